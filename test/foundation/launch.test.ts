import { spawnSync, type SpawnSyncReturns } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { tell } from '../cluster/deadline.js';
import { root } from './checkout.js';

const echo = `process.stdout.write(JSON.stringify({
  args: process.argv.slice(2), cwd: process.cwd(),
  dataDir: process.env.GOLOG_DATA_DIR ?? null, ioUring: process.env.UV_USE_IO_URING }));\n`;

const hasMake = spawnSync('make', ['--version']).status === 0;
if (!hasMake) tell('the targets of the Makefile are not tested: make is not installed');
const itWithMake = hasMake ? it : it.skip;

describe('starting golog', () => {
  let base: string;
  /** A checkout with a space in its path, installed and compiled by the stamps, whose program prints how it was called. */
  let checkout: string;

  const write = (path: string, content: string, mode = 0o644): void => {
    const file = join(checkout, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
    chmodSync(file, mode);
  };
  const run = (file: string, args: string[], env: NodeJS.ProcessEnv = {}): SpawnSyncReturns<string> => {
    const { GOLOG_DATA_DIR: _dataDir, ...inherited } = process.env;
    return spawnSync(file, args, { cwd: tmpdir(), encoding: 'utf8', env: { ...inherited, ...env } });
  };
  /** Puts a program of that name before all others in PATH; it answers with a line and the exit code. */
  const pretend = (program: string, line: string, code: number): NodeJS.ProcessEnv => {
    write(`../fake/${program}`, `#!/bin/sh\necho '${line}'\nexit ${code}\n`, 0o755);
    return { PATH: `${join(base, 'fake')}:${process.env['PATH']}` };
  };

  beforeEach(() => {
    base = realpathSync(mkdtempSync(join(tmpdir(), 'golog-launch-')));
    checkout = join(base, 'a checkout');
    mkdirSync(checkout);
    for (const path of ['bin', 'scripts', 'run.sh'])
      cpSync(join(root, path), join(checkout, path), { recursive: true });
    write('package.json', '{"type":"module"}');
    write('package-lock.json', '{}');
    write('node_modules/.golog-package-lock.json', '{}');
    write('src/cli/main.ts', '');
    write('tsconfig.json', '{}');
    write('tsconfig.build.json', '{}');
    write('dist/bundle/golog.js', echo);
    write('dist/.stamp', '');
    const later = new Date(Date.now() + 1000);
    utimesSync(join(checkout, 'dist/.stamp'), later, later);
  });
  afterEach(() => rmSync(base, { recursive: true, force: true }));

  it('run.sh serves from any directory, hands its arguments on and keeps the log in the checkout', () => {
    const { stdout, stderr } = run(join(checkout, 'run.sh'), ['--node-name', 'a b']);
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toMatchObject({
      args: ['serve', '--node-name', 'a b'],
      cwd: realpathSync(tmpdir()),
      dataDir: join(checkout, 'golog-data'),
      ioUring: '0',
    });
  });

  it('run.sh leaves the data directory to the environment or a configuration file where one says', () => {
    const own = run(join(checkout, 'run.sh'), [], { GOLOG_DATA_DIR: '/elsewhere' });
    expect(JSON.parse(own.stdout)).toMatchObject({ dataDir: '/elsewhere' });
    const configured = run(join(checkout, 'run.sh'), ['--config-file', 'golog.yaml']);
    expect(JSON.parse(configured.stdout)).toMatchObject({ dataDir: null });
  });

  it('run.sh names the version it needs when Node is too old', () => {
    const { status, stderr } = run(join(checkout, 'run.sh'), [], pretend('node', 'v20.18.3', 0));
    expect(status).toBe(1);
    expect(stderr).toMatch(/needs Node\.js 20\.19 or newer.*20\.18\.3/);
  });

  it('run.sh installs again when package-lock.json changed, and stops when that fails', () => {
    write('package-lock.json', '{"changed":true}');
    const { status, stdout, stderr } = run(join(checkout, 'run.sh'), [], pretend('npm', 'npm was asked', 7));
    expect(status).toBe(7);
    expect(stdout).toBe('');
    expect(stderr).toContain('npm was asked');
  });

  it('run.sh compiles again when a source is newer, and does not start what failed to compile', () => {
    const later = new Date(Date.now() + 5000);
    utimesSync(join(checkout, 'src/cli/main.ts'), later, later);
    write('node_modules/typescript/bin/tsc', "console.error('tsc was asked'); process.exitCode = 2;\n");
    write('node_modules/typescript/package.json', '{"type":"commonjs"}');
    const { status, stdout, stderr } = run(join(checkout, 'run.sh'), []);
    expect(status).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toContain('tsc was asked');
  });

  const makeIn = (env: NodeJS.ProcessEnv, ...targets: string[]): SpawnSyncReturns<string> => {
    cpSync(join(root, 'Makefile'), join(checkout, 'Makefile'));
    return run('make', ['-C', checkout, '--no-print-directory', ...targets], env);
  };

  itWithMake('plain make compiles the protobuf, then the product', () => {
    const later = new Date(Date.now() + 5000);
    utimesSync(join(checkout, 'src/cli/main.ts'), later, later);
    write('node_modules/typescript/bin/tsc', "console.log('tsc was asked'); process.exitCode = 2;\n");
    write('node_modules/typescript/package.json', '{"type":"commonjs"}');
    write('../fake/npm', '#!/bin/sh\necho "npm was asked: $*"\n', 0o755);
    const { status, stdout, stderr } = makeIn({ PATH: `${join(base, 'fake')}:${process.env['PATH']}` });
    expect(stdout).toBe('npm was asked: run --silent generate\n');
    expect(stderr).toContain('tsc was asked');
    expect(status).not.toBe(0);
  });

  itWithMake('make stops where the protobuf does not compile', () => {
    const { status, stdout, stderr } = makeIn(pretend('npm', 'npm was asked', 7));
    expect([status, stdout]).toEqual([2, 'npm was asked\n']);
    expect(stderr).not.toContain('Compiling');
  });

  itWithMake('make help lists every target that is meant for people', () => {
    const { status, stdout } = makeIn({}, 'help');
    expect(status).toBe(0);
    const listed = [...stdout.matchAll(/^ {2}make ([a-z]+) {2,}\S/gm)].map(([, target]) => target);
    expect(listed).toEqual(['help', 'install', 'compile', 'test', 'lint', 'check', 'bench', 'gencert', 'clean']);
  });

  it('bin/golog works through a link, as npm link makes one', () => {
    symlinkSync(join(checkout, 'bin/golog'), join(base, 'golog'));
    expect(JSON.parse(run(join(base, 'golog'), ['--version']).stdout)).toMatchObject({ args: ['--version'] });
  });

  it('bin/golog says what to do when it is not compiled', () => {
    rmSync(join(checkout, 'dist'), { recursive: true });
    const { status, stderr } = run(join(checkout, 'bin/golog'), ['serve']);
    expect(status).toBe(1);
    expect(stderr).toContain('make compile');
  });
});

describe('npm run generate', () => {
  let checkout: string;
  const generate = (...args: string[]): SpawnSyncReturns<string> =>
    spawnSync('sh', [join(checkout, 'scripts/generate.sh'), ...args], { encoding: 'utf8' });
  const generated = (name: string): string => join(checkout, 'src/gen', name);

  beforeEach(() => {
    checkout = mkdtempSync(join(tmpdir(), 'golog generate-'));
    for (const path of ['proto', 'src/gen', 'scripts', 'buf.yaml', 'buf.gen.yaml'])
      cpSync(join(root, path), join(checkout, path), { recursive: true });
    symlinkSync(join(root, 'node_modules'), join(checkout, 'node_modules'));
  });
  afterEach(() => rmSync(checkout, { recursive: true, force: true }));

  it('touches nothing when src/gen fits', () => {
    const longAgo = new Date(0);
    utimesSync(generated('log/v1/log_pb.ts'), longAgo, longAgo);
    expect(generate()).toMatchObject({ status: 0, stdout: '', stderr: '' });
    expect(statSync(generated('log/v1/log_pb.ts')).mtime).toEqual(longAgo);
  });

  it('compiles a change, drops what no proto makes, and has the check tell of both', () => {
    appendFileSync(join(checkout, 'proto/log/v1/log.proto'), '\nmessage Newcomer {}\n');
    writeFileSync(generated('stale_pb.ts'), '');
    const check = generate('--check');
    expect([check.status, check.stderr]).toEqual([1, expect.stringContaining('npm run generate')]);
    expect(check.stdout).toMatch(/stale_pb\.ts[^]*Newcomer|Newcomer[^]*stale_pb\.ts/);
    expect(existsSync(generated('stale_pb.ts'))).toBe(true);
    expect(generate().status).toBe(0);
    expect(readFileSync(generated('log/v1/log_pb.ts'), 'utf8')).toContain('export type Newcomer');
    expect(existsSync(generated('stale_pb.ts'))).toBe(false);
    expect(generate('--check').status).toBe(0);
  });

  it('keeps src/gen when a proto does not compile', () => {
    appendFileSync(join(checkout, 'proto/log/v1/log.proto'), '\nmessage {\n');
    const { status, stderr } = generate();
    expect(status).not.toBe(0);
    expect(stderr).toContain('log.proto');
    expect(existsSync(generated('log/v1/log_pb.ts'))).toBe(true);
  });
});

describe("CI's closing line", () => {
  const good = { numPassedTests: 3, numPendingTests: 1, numTodoTests: 1 };
  it.each([
    ['all passed', [good], '3 passed, 0 failed, 2 skipped', 0],
    ['one failed', [{ numPassedTests: 3, numFailedTests: 1 }], '3 passed, 1 failed, 0 skipped', 1],
    [
      'one failed, by name',
      [
        {
          numPassedTests: 3,
          numFailedTests: 1,
          testResults: [
            {
              name: join(process.cwd(), 'test/one.test.ts'),
              message: 'all of it',
              assertionResults: [
                { status: 'passed', fullName: 'one holds', failureMessages: [] },
                { status: 'failed', fullName: 'one fails', failureMessages: ['\u001b[31mexpected\u001b[39m 2'] },
              ],
            },
          ],
        },
      ],
      'FAILED test/one.test.ts: one fails\nexpected 2\n\n3 passed, 1 failed, 0 skipped',
      1,
    ],
    ['a suite did not load', [{ numPassedTests: 3, numRuntimeErrorTestSuites: 1 }], '3 passed, 1 failed, 0 skipped', 1],
    ['nothing ran', [{}], '0 passed, 0 failed, 0 skipped', 1],
    ['no report', [undefined], '0 passed, 1 failed, 0 skipped', 1],
    ['all of two runs passed', [good, good], '6 passed, 0 failed, 4 skipped', 0],
    ['nothing ran the second time', [good, {}], '3 passed, 0 failed, 2 skipped', 1],
    [
      'one failed the second time',
      [good, { numPassedTests: 2, numFailedTests: 1 }],
      '5 passed, 1 failed, 2 skipped',
      1,
    ],
    ['no report of the second run', [good, undefined], '3 passed, 1 failed, 2 skipped', 1],
  ])('%s', (_name, runs, line, code) => {
    const none = {
      numPassedTests: 0,
      numFailedTests: 0,
      numPendingTests: 0,
      numTodoTests: 0,
      numRuntimeErrorTestSuites: 0,
      testResults: [],
    };
    const directory = mkdtempSync(join(tmpdir(), 'golog-report-'));
    const files = runs.map((counts, number) => {
      const file = join(directory, `${number}.json`);
      writeFileSync(file, counts === undefined ? '' : JSON.stringify({ ...none, ...counts }));
      return file;
    });
    const { status, stdout } = spawnSync(process.execPath, [join(root, 'scripts/closing-line.js'), ...files], {
      encoding: 'utf8',
    });
    rmSync(directory, { recursive: true });
    expect({ line: stdout.trimEnd(), status }).toEqual({ line, status: code });
  });
});
