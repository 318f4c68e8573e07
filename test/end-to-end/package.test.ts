import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import { checkoutFiles, root } from '../foundation/checkout.js';
import { Scratch } from './golog-process.js';

const scratch = new Scratch();

afterAll(() => scratch.remove());

function run(directory: string, file: string, args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(file, args, { cwd: directory, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${file} ${args.join(' ')} ended with ${status}: ${stdout}${stderr}`);
  return stdout;
}

it('F30: the package of a checkout that was never compiled works', () => {
  const checkout = scratch.folder('checkout');
  for (const path of checkoutFiles()) cpSync(join(root, path), join(checkout, path));
  symlinkSync(join(root, 'node_modules'), join(checkout, 'node_modules'));
  const packed = scratch.folder('packed');
  run(checkout, 'npm', ['pack', '--pack-destination', packed]);

  const project = scratch.folder('project');
  const installed = join(project, 'node_modules/golog');
  mkdirSync(installed, { recursive: true });
  run(project, 'tar', ['xzf', join(packed, 'golog-0.1.0.tgz'), '--strip-components=1', '-C', installed]);
  symlinkSync(join(root, 'node_modules'), join(installed, 'node_modules'));
  expect(run(project, join(installed, 'bin/golog'), ['--version'])).toMatch(/^0\.1\.0/);
  writeFileSync(
    join(project, 'embed.mjs'),
    `import { createContainer } from 'golog';
import { LogClient } from 'golog/client';
console.log(typeof createContainer, typeof LogClient);
`,
  );
  expect(run(project, 'node', ['embed.mjs'])).toBe('function function\n');
}, 120_000);
