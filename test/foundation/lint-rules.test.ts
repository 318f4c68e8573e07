import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { root } from './checkout.js';

const worldly = [
  'export const now = Date.now();',
  'export const today = new Date();',
  'export const chance = Math.random();',
  'export const bytes = Buffer.alloc(1);',
  'export const pid = process.pid;',
  'setTimeout(() => undefined, 1);',
  'export const epoch = new Date(0);',
];
const ambient = [
  'export const home = process.env.HOME;',
  "process.on('SIGTERM', () => undefined);",
  "export { env } from 'node:process';",
];
const careless = [
  'const sync = async (): Promise<void> => Promise.resolve();',
  'sync();',
  'export const any = (value: any): unknown => value;',
  'export const forced = 1 as unknown as string;',
  "export const kind = (of: 'a' | 'b'): void => { switch (of) { case 'a': break; } };",
  'export default sync;',
  'export interface IPort { sync(): void }',
  'while (true) { break; }',
];

/** What stands in a file, and the objections expected, as `line rule`. */
const files: Readonly<Record<string, { lines: readonly string[]; objections: readonly string[] }>> = {
  'src/domain/log/worldly.ts': {
    lines: worldly,
    objections: [
      '1 no-restricted-properties',
      '2 no-restricted-syntax',
      '3 no-restricted-properties',
      '4 no-restricted-globals',
      '5 no-restricted-globals',
      '6 no-restricted-globals',
    ],
  },
  'src/adapters/clock/worldly.ts': { lines: worldly, objections: [] },
  'src/adapters/clock/ambient.ts': {
    lines: ambient,
    objections: ['1 no-restricted-properties', '2 no-restricted-properties', '3 no-restricted-imports'],
  },
  'src/adapters/serf/worldly.ts': { lines: worldly, objections: ['1 no-restricted-properties'] },
  'src/infrastructure/worldly.ts': { lines: worldly, objections: ['1 no-restricted-properties'] },
  'src/infrastructure/ambient.ts': { lines: ambient, objections: [] },
  'src/application/careless.ts': {
    lines: careless,
    objections: [
      '2 @typescript-eslint/no-floating-promises',
      '3 @typescript-eslint/no-explicit-any',
      '4 no-restricted-syntax',
      '5 @typescript-eslint/switch-exhaustiveness-check',
      '6 no-restricted-syntax',
      '7 @typescript-eslint/naming-convention',
    ],
  },
};

interface Report {
  readonly filePath: string;
  readonly messages: readonly { readonly ruleId: string | null; readonly line: number }[];
}

describe('the lint rules', () => {
  let tree: string;
  let reports: readonly Report[];

  beforeAll(() => {
    tree = realpathSync(mkdtempSync(join(tmpdir(), 'golog-lint-')));
    symlinkSync(join(root, 'node_modules'), join(tree, 'node_modules'));
    for (const name of ['eslint.config.js', 'tsconfig.json', 'package.json'])
      copyFileSync(join(root, name), join(tree, name));
    for (const [path, { lines }] of Object.entries(files)) {
      mkdirSync(dirname(join(tree, path)), { recursive: true });
      writeFileSync(join(tree, path), lines.join('\n') + '\n');
    }
    const run = spawnSync(process.execPath, ['node_modules/eslint/bin/eslint.js', '--format=json', 'src'], {
      cwd: tree,
      encoding: 'utf8',
      maxBuffer: 16 * 1024 * 1024,
    });
    reports = JSON.parse(run.stdout) as Report[];
  }, 120_000);

  afterAll(() => rmSync(tree, { recursive: true, force: true }));

  it.each(Object.entries(files))('object to what they should in %s', (path, { objections }) => {
    const report = reports.find(({ filePath }) => relative(tree, filePath) === path);
    expect(report?.messages.map(({ ruleId, line }) => `${line} ${ruleId}`).sort()).toEqual(objections);
  });
});
