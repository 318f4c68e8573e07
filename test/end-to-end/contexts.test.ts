import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { compile, type Finished, runGolog, Scratch, ServerProcess } from './golog-process.js';

const scratch = new Scratch();
const home = scratch.file('home');
const file = join(home, 'golog', 'contexts.json');
const certificate = (name: string): string => scratch.file(`certs/${name}`);
let secured: ServerProcess;
let plain: ServerProcess;

const golog = (args: string[], env: Record<string, string> = {}): Promise<Finished> =>
  runGolog(args, '', undefined, { env: { XDG_CONFIG_HOME: home, ...env } });
const client = (name: string): string[] => [
  ...['--tls-ca-file', certificate('ca.pem')],
  ...['--tls-cert-file', certificate(`${name}-client.pem`), '--tls-key-file', certificate(`${name}-client-key.pem`)],
];

beforeAll(async () => {
  compile();
  await runGolog(['certs', 'init', '--dir', scratch.file('certs')]);
  const tls = Object.entries({ ca: 'ca.pem', cert: 'server.pem', key: 'server-key.pem' });
  const flags = tls.flatMap(([what, name]) => [`--server-tls-${what}-file`, certificate(name)]);
  [secured, plain] = await Promise.all([
    ServerProcess.start(scratch.file('secured'), undefined, flags),
    ServerProcess.start(scratch.file('plain')),
  ]);
  await runGolog(['produce', '--addr', secured.rpcAddr, ...client('root')], 'secured\n');
  await runGolog(['produce', '--addr', plain.rpcAddr], 'plain\n');
  expect(await golog(['context', 'add', 'prod', '--addr', secured.rpcAddr, ...client('root')])).toMatchObject({
    code: 0,
    stderr: '',
  });
  expect((await golog(['context', 'add', 'lab', '--addr', plain.rpcAddr])).code).toBe(0);
}, 120_000);
afterAll(async () => {
  await Promise.all([secured.stop(), plain.stop()]);
  scratch.remove();
});

describe('F32: a named context', () => {
  it('is used by --context, by GOLOG_CONTEXT and once it is the current one, in that order', async () => {
    const consumed = async (args: string[], env?: Record<string, string>): Promise<string> => {
      const { code, stdout, stderr } = await golog(['consume', ...args], env);
      return code === 0 ? stdout : stderr;
    };
    expect(await consumed(['--context', 'prod'])).toBe('secured\n');
    expect(await consumed([], { GOLOG_CONTEXT: 'lab' })).toBe('plain\n');
    expect(await consumed(['--context', 'prod'], { GOLOG_CONTEXT: 'lab' })).toBe('secured\n');
    await golog(['context', 'use', 'prod']);
    expect(await consumed([])).toBe('secured\n');
    expect(await consumed([], { GOLOG_CONTEXT: 'lab' })).toBe('plain\n');
    // What is given wins, and the current context, with its TLS, is about other servers than those of a given address.
    expect(await consumed(['--addr', plain.rpcAddr])).toBe('plain\n');
    expect(await consumed([], { GOLOG_ADDR: plain.rpcAddr })).toBe('plain\n');
    expect(await consumed(['--context', 'prod', '--addr', secured.rpcAddr])).toBe('secured\n');
    expect(await consumed(['--context', 'prod', '--addr', plain.rpcAddr])).toContain('the server does not speak TLS');
    expect(await consumed(['--context', 'default', '--addr', plain.rpcAddr])).toBe('plain\n');
  }, 60_000);

  it('is stored in one file that only its owner may read, with paths and no keys', async () => {
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(join(home, 'golog')).mode & 0o777).toBe(0o700);
    const text = readFileSync(file, 'utf8');
    expect(text).not.toContain('PRIVATE');
    expect(JSON.parse(text)).toMatchObject({
      contexts: { prod: { addr: [secured.rpcAddr], tlsKeyFile: certificate('root-client-key.pem') } },
    });
  });

  it('is listed, shown, replaced and removed', async () => {
    await golog(['context', 'use', 'lab']);
    expect((await golog(['context', 'list'])).stdout).toMatch(/^default .*\nprod .*\nlab +\* /m);
    expect(JSON.parse((await golog(['context', 'show'])).stdout)).toEqual({ name: 'lab', addr: [plain.rpcAddr] });
    const exists = await golog(['context', 'add', 'lab', '--addr', 'a:1']);
    expect([exists.code, exists.stderr]).toEqual([2, expect.stringContaining('"lab" exists; give --replace')]);
    expect((await golog(['context', 'add', 'lab', '--replace', '--addr', 'a:1,b'])).code).toBe(0);
    expect(JSON.parse((await golog(['context', 'show', 'lab'])).stdout)).toMatchObject({ addr: ['a:1', 'b:8400'] });
    expect((await golog(['context', 'remove', 'lab'])).stdout).toContain('the current context is "default"');
    expect(JSON.parse((await golog(['context', 'list', '--json'])).stdout)).toMatchObject({ current: 'default' });
  }, 60_000);

  it.each<[string, string[], Record<string, string>, RegExp]>([
    [
      'of an unknown name',
      ['consume', '--context', 'x'],
      {},
      /there is no context "x" in .*: expected one of default, p/,
    ],
    ['of an unknown name in the variable', ['servers'], { GOLOG_CONTEXT: 'x' }, /there is no context "x"/],
    ['to use', ['context', 'use', 'x'], {}, /there is no context "x"/],
    ['to remove', ['context', 'remove', 'x'], {}, /there is no context "x"/],
    ['with an odd name', ['context', 'add', '../x', '--addr', 'a'], {}, /expected up to 63 letters/],
    ['with the reserved name', ['context', 'add', 'default', '--addr', 'a'], {}, /stands for no context/],
    ['without an address', ['context', 'add', 'y'], {}, /--addr is missing/],
    [
      'with an absent file',
      ['context', 'add', 'y', '--addr', 'a', '--tls-ca-file', '/absent'],
      {},
      /--tls-ca-file .*ENOENT/,
    ],
    [
      'with an empty variable',
      ['servers'],
      { GOLOG_TLS_CA_FILE: '' },
      /GOLOG_TLS_CA_FILE.*expected the path of a file/,
    ],
  ])('%s is refused in words', async (_, args, env, message) => {
    const { code, stderr } = await golog(args, env);
    expect(stderr).toMatch(message);
    expect(stderr).not.toContain('    at ');
    expect(code).toBe(2);
  });

  it.each([
    ['{', 'is not a list of contexts'],
    ['[]', 'the file is not an object'],
    ['{"contexts":{"a":{}}}', 'context "a" lacks "addr"'],
    ['{"contexts":{"a":{"addr":["a"],"tlsKey":"x"}}}', 'has the unknown key "tlsKey"'],
    ['{"current":"b","contexts":{}}', 'is not among the contexts'],
  ])('in a file that is malformed (%s) is refused by its path', async (text, reason) => {
    const other = scratch.file('malformed');
    mkdirSync(join(other, 'golog'), { recursive: true });
    writeFileSync(join(other, 'golog', 'contexts.json'), text);
    const { code, stderr } = await golog(['consume', '--context', 'a'], { XDG_CONFIG_HOME: other });
    expect([code, stderr]).toEqual([2, expect.stringContaining(reason)]);
    expect(stderr).toContain(join(other, 'golog', 'contexts.json'));
  });
});
