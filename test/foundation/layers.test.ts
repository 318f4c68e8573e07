import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, posix } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { root } from './checkout.js';

/** A file in layer `from` that imports `to`, and the rule that must object; '' where it is allowed. */
type Case = readonly [from: string, to: string, rule: string];
const notAllowed = 'not-in-allowed';

/** The levels of src/application, level 1 first (docs/architecture.md). */
const applicationLevels = [
  ['node'],
  ['replica'],
  ['repair', 'cluster'],
  ['raft'],
  ['storage', 'join', 'vouching'],
  ['access', 'waiting'],
  ['ports'],
  ['configuration'],
];

/** Each folder may import those of levels with a higher number, and no others. */
function applicationCases(): Case[] {
  const folder = (name: string): string => `src/application/${name}`;
  return applicationLevels.flatMap((names, level) =>
    names.flatMap((name) =>
      applicationLevels.flatMap((others, otherLevel) =>
        others
          .filter((other) => other !== name)
          .map((other): Case => [folder(name), folder(other), otherLevel > level ? '' : notAllowed]),
      ),
    ),
  );
}

const cases: readonly Case[] = [
  ['src/gen/log', '@bufbuild/protobuf', ''],
  ['src/gen/log', 'src/domain/log', notAllowed],

  ['src/domain/raft', 'src/domain/log', ''],
  ['src/domain/log', 'node:fs', notAllowed],
  ['src/domain/log', 'node:crypto', notAllowed],
  ['src/domain/log', '@node-rs/crc32', notAllowed],
  ['src/domain/log', 'src/gen/log', notAllowed],
  ['src/domain/log', 'src/application', notAllowed],
  ['src/domain/log', 'src/adapters/memory', notAllowed],

  ['src/application/raft', 'src/domain/log', ''],
  ['src/application/raft', 'node:timers', notAllowed],
  ['src/application/raft', 'node:net', notAllowed],
  ['src/application/raft', 'src/gen/log', notAllowed],
  ['src/application/raft', 'src/adapters/memory', notAllowed],
  ['src/application/raft', 'inversify', 'container-in-infrastructure-only'],
  ['src/application/novel', 'src/domain/log', notAllowed],
  ...applicationCases(),

  ['src/adapters/grpc', 'src/domain/log', ''],
  ['src/adapters/grpc', 'src/application/ports', ''],
  ['src/adapters/grpc', 'src/gen/log', ''],
  ['src/adapters/grpc', 'src/adapters/grpc/frames', ''],
  ['src/adapters/grpc', '@grpc/grpc-js', ''],
  ['src/adapters/grpc', 'node:http2', ''],
  ['src/adapters/grpc', '@connectrpc/connect', notAllowed],
  ['src/adapters/grpc', 'src/adapters/http', notAllowed],
  ['src/adapters/grpc', 'src/infrastructure', notAllowed],
  ['src/adapters/grpc', 'inversify', 'container-in-infrastructure-only'],
  ['src/adapters/grpc', 'src/adapters/listener', ''],
  ['src/adapters/http', 'src/adapters/listener', ''],
  ['src/adapters/peer', 'src/adapters/listener', notAllowed],
  ['src/adapters/listener', 'src/adapters/grpc', notAllowed],
  ['src/adapters/listener', 'src/adapters/http', notAllowed],
  ['src/adapters/listener', '@grpc/grpc-js', notAllowed],
  ['src/adapters/listener', 'src/adapters/wire', notAllowed],
  ['src/adapters/listener', 'node:http2', ''],
  ['src/adapters/grpc', 'src/adapters/wire', ''],
  ['src/adapters/http', 'src/adapters/wire', ''],
  ['src/adapters/peer', 'src/adapters/wire', notAllowed],
  ['src/adapters/wire', 'src/adapters/grpc', notAllowed],
  ['src/adapters/wire', 'src/adapters/http', notAllowed],
  ['src/adapters/wire', 'src/adapters/listener', notAllowed],
  ['src/adapters/wire', '@bufbuild/protobuf', ''],
  ['src/adapters/wire', '@connectrpc/connect', notAllowed],
  ['src/adapters/http', '@connectrpc/connect', ''],
  ['src/adapters/http', '@grpc/grpc-js', notAllowed],
  ['src/adapters/file-system', '@node-rs/crc32', notAllowed],
  ['src/adapters/novel', 'pino', notAllowed],

  ['src/client', 'src/gen/log', ''],
  ['src/client', '@connectrpc/connect', ''],
  ['src/client', 'src/domain/log', notAllowed],
  ['src/client', 'src/infrastructure', notAllowed],

  ['src/cli', 'src/client', ''],
  ['src/cli', 'src/infrastructure', ''],
  ['src/cli', 'commander', ''],
  ['src/cli', 'src/adapters/http', notAllowed],
  ['src/cli', 'src/domain/log', notAllowed],
  ['src/cli', 'inversify', 'container-in-infrastructure-only'],

  ['src/infrastructure', 'inversify', ''],
  ['src/infrastructure', 'pino', ''],
  ['src/infrastructure', 'src/adapters/http', ''],
  ['src/infrastructure', 'src/domain/log', ''],
  ['src/infrastructure', 'src/cli', notAllowed],
  ['src/infrastructure', 'fast-check', 'no-dev-dependency-in-product'],
  ['src/infrastructure', 'not-installed', 'no-undeclared-dependency'],
  ['src/infrastructure', 'test/contract', 'no-test-code-in-product'],

  ['test/contract', 'src/domain/log', ''],
  ['test/contract', 'src/adapters/memory', ''],
  ['test/contract', 'inversify', ''],
  ['test/contract', 'fast-check', ''],
];

const dependencies = ['@bufbuild/protobuf', '@grpc/grpc-js', '@connectrpc/connect', '@node-rs/crc32'];
dependencies.push('inversify', 'pino', 'commander');

interface Violation {
  readonly from: string;
  readonly to: string;
  readonly rule: { readonly name: string };
}

describe('the import rules', () => {
  let tree: string;
  /** Names of the rules that objected, by importing file. */
  const objections = new Map<string, Set<string>>();
  const caseFile = (at: number): string => `${cases[at]?.[0]}/case-${at}.ts`;

  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(tree, path)), { recursive: true });
    writeFileSync(join(tree, path), text);
  };
  const specifier = (from: string, to: string): string =>
    /^(src|test)\//.test(to) ? `./${posix.relative(posix.dirname(from), `${to}/stub.js`)}` : to;

  beforeAll(() => {
    tree = mkdtempSync(join(tmpdir(), 'golog-layers-'));
    const ranges = (names: readonly string[]): object => Object.fromEntries(names.map((name) => [name, '1.0.0']));
    write(
      'package.json',
      JSON.stringify({ type: 'module', dependencies: ranges(dependencies), devDependencies: ranges(['fast-check']) }),
    );
    write('tsconfig.json', JSON.stringify({ compilerOptions: { module: 'NodeNext', target: 'ES2023' } }));
    for (const name of [...dependencies, 'fast-check']) {
      write(`node_modules/${name}/package.json`, JSON.stringify({ name, version: '1.0.0', main: 'index.js' }));
      write(`node_modules/${name}/index.js`, 'exports.stub = 1;\n');
    }
    for (const [from, to] of cases) {
      for (const layer of [from, to])
        if (/^(src|test)\//.test(layer)) write(`${layer}/stub.ts`, 'export const stub = 1;\n');
    }
    cases.forEach(([, to], at) => {
      write(
        caseFile(at),
        `import * as imported from '${specifier(caseFile(at), to)}';\nexport const used = imported;\n`,
      );
    });
    write('src/domain/cycle/one.ts', "import { two } from './two.js';\nexport const one = (): unknown => two;\n");
    write('src/domain/cycle/two.ts', "import { one } from './one.js';\nexport const two = (): unknown => one;\n");
    write(
      'src/domain/log/stub.test.ts',
      "import { stub } from '../../adapters/memory/stub.js';\nexport const it = stub;\n",
    );

    const run = spawnSync(
      process.execPath,
      [
        join(root, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs'),
        ...['--config', join(root, '.dependency-cruiser.cjs'), '--output-type', 'json', 'src', 'test'],
      ],
      { cwd: tree, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 },
    );
    const report = JSON.parse(run.stdout) as { summary: { violations: readonly Violation[] } };
    for (const { from, rule } of report.summary.violations) {
      objections.set(from, (objections.get(from) ?? new Set()).add(rule.name));
    }
  }, 120_000);

  afterAll(() => rmSync(tree, { recursive: true, force: true }));

  it.each(cases.map((row, at) => [...row, at] as const))('%s importing %s: %s', (_from, _to, rule, at) => {
    const found = [...(objections.get(caseFile(at)) ?? [])];
    if (rule === '') expect(found).toEqual([]);
    else expect(found).toContain(rule);
  });

  it('object to a cycle', () => {
    expect([...(objections.get('src/domain/cycle/one.ts') ?? [])]).toEqual(['no-cycles']);
  });

  it('let a test beside the code import what it needs', () => {
    expect(objections.get('src/domain/log/stub.test.ts')).toBeUndefined();
  });

  it('name each adapter that exists', () => {
    const adapters = readdirSync(join(root, 'src/adapters'), { withFileTypes: true }).filter((entry) =>
      entry.isDirectory(),
    );
    const libraryFree = ['memory', 'clock', 'serf'];
    const rules = spawnSync(
      process.execPath,
      ['-p', `JSON.stringify(require(${JSON.stringify(join(root, '.dependency-cruiser.cjs'))}).allowed)`],
      { encoding: 'utf8' },
    ).stdout;
    const unknown = adapters
      .map(({ name }) => name)
      .filter((name) => !libraryFree.includes(name) && !rules.includes(name));
    expect(unknown).toEqual([]);
  });
});
