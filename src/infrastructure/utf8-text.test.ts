import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import { readConfigFile } from './config-file.js';
import { readTexts } from './watched-files.js';

const folder = mkdtempSync(join(tmpdir(), 'golog-utf8-'));
afterAll(() => rmSync(folder, { recursive: true }));

const path = join(folder, 'written');

it.each([
  ['a byte that is in none', Buffer.of(0xff)],
  ['a character that is cut off', Buffer.of(0xe2, 0x82)],
  ['half a surrogate pair', Buffer.of(0xed, 0xa0, 0xbd)],
])('a configuration, a policy or a certificate with %s is refused by the name of its file', async (_, bytes) => {
  writeFileSync(path, Buffer.concat([Buffer.from('data-dir: "'), bytes, Buffer.from('"\n')]));
  expect(() => readConfigFile(path)).toThrow(`--config-file ${path}: the file is not text in UTF-8`);
  await expect(readTexts({ policy: path })).rejects.toThrow(`${path} is not text in UTF-8`);
});

it('where PEM is expected, the message about another file, such as DER, says what to do', async () => {
  writeFileSync(path, Buffer.of(0x30, 0x82, 0x05));
  await expect(readTexts({ key: path }, ': expected PEM')).rejects.toThrow(
    `${path} is not text in UTF-8: expected PEM`,
  );
});

it('every character is kept, U+FFFD too', async () => {
  const text = 'data-dir: "\ufffd \u{1f600} é"\n';
  writeFileSync(path, text);
  expect(readConfigFile(path).get('data-dir')).toBe('\ufffd \u{1f600} é');
  expect(await readTexts({ policy: path })).toEqual({ policy: text });
});
