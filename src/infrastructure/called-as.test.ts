import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { calledAs } from './called-as.js';

const top = realpathSync(mkdtempSync(join(tmpdir(), 'golog-called-')));
const path = join(top, 'checkout/bin/golog');
const [installed, other] = [join(top, 'installed'), join(top, 'other')];

beforeAll(() => {
  for (const folder of [join(top, 'checkout/bin'), installed, other]) mkdirSync(folder, { recursive: true });
  writeFileSync(path, '');
  chmodSync(path, 0o755);
  symlinkSync(path, join(installed, 'golog'));
  writeFileSync(join(other, 'golog'), '');
});
afterAll(() => rmSync(top, { recursive: true }));

it.each([
  ['the path, from the top of a checkout', { directory: join(top, 'checkout'), searchPath: other }, 'bin/golog'],
  ['the path, in its own folder', { directory: join(top, 'checkout/bin'), searchPath: '' }, './golog'],
  ['the whole path, elsewhere', { directory: other, searchPath: `${other}:/nowhere` }, path],
  ['golog, where that is what PATH has', { directory: other, searchPath: `/nowhere:${installed}:${other}` }, 'golog'],
  [
    'the path, where PATH has another golog before it',
    { directory: top, searchPath: `${other}:${installed}` },
    'checkout/bin/golog',
  ],
])('is called by %s', (_, where, expected) => {
  expect(calledAs({ path, ...where })).toBe(expected);
});
