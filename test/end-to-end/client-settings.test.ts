import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { compile, type Finished, runGolog, Scratch, ServerProcess } from './golog-process.js';

const scratch = new Scratch();
const own = (name: string): string => scratch.file(`own/${name}`);
const other = (name: string): string => scratch.file(`other/${name}`);
const client = (of: (name: string) => string): string[] => [
  '--tls-cert-file',
  of('root-client.pem'),
  '--tls-key-file',
  of('root-client-key.pem'),
];
const serverTls = (of: (name: string) => string): string[] =>
  Object.entries({ ca: 'ca.pem', cert: 'server.pem', key: 'server-key.pem' }).flatMap(([what, name]) => [
    `--server-tls-${what}-file`,
    of(name),
  ]);

let secured: ServerProcess;
let plain: ServerProcess;
let elsewhere: ServerProcess;

beforeAll(async () => {
  compile();
  await runGolog(['certs', 'init', '--dir', scratch.file('own')]);
  await runGolog(['certs', 'init', '--dir', scratch.file('other'), '--host', 'example.org,192.0.2.7']);
  [secured, plain, elsewhere] = await Promise.all([
    ServerProcess.start(scratch.file('secured'), undefined, serverTls(own)),
    ServerProcess.start(scratch.file('plain')),
    ServerProcess.start(scratch.file('elsewhere'), undefined, serverTls(other)),
  ]);
}, 120_000);
afterAll(async () => {
  await Promise.all([secured, plain, elsewhere].map((server) => server.stop()));
  scratch.remove();
});

describe('a command that cannot talk to a server', () => {
  it.each<[string, () => string, string[], string]>([
    ['has no TLS', () => secured.rpcAddr, [], 'the server speaks TLS; give --tls-ca-file'],
    [
      'has no certificate',
      () => secured.rpcAddr,
      ['--tls-ca-file', own('ca.pem')],
      'the server asks for a client certificate; give --tls-cert-file and --tls-key-file',
    ],
    [
      'has the CA of another cluster',
      () => secured.rpcAddr,
      ['--tls-ca-file', other('ca.pem'), ...client(own)],
      'the CA of --tls-ca-file has not signed the certificate of the server',
    ],
    [
      'has no CA',
      () => secured.rpcAddr,
      client(own),
      'no CA that Node trusts has signed the certificate of the server; give --tls-ca-file',
    ],
    [
      'has a certificate of another cluster',
      () => secured.rpcAddr,
      ['--tls-ca-file', own('ca.pem'), ...client(other)],
      'the server refuses the certificate of --tls-cert-file',
    ],
    [
      'has another name for the server than its certificate',
      () => elsewhere.rpcAddr,
      ['--tls-ca-file', other('ca.pem'), ...client(other)],
      'the certificate of the server is not for 127.0.0.1, but for example.org, 192.0.2.7;',
    ],
    ['has TLS', () => plain.rpcAddr, ['--tls-ca-file', own('ca.pem')], 'the server does not speak TLS; leave out'],
    ['has the gossip port', () => plain.gossipAddr, [], 'it is not a gRPC server; give --addr the gRPC port'],
  ])(
    'says why, when it %s',
    async (_, address, flags, message) => {
      for (const command of [['cluster', 'status'], ['consume'], ['produce']]) {
        const { code, stderr } = await runGolog([...command, '--addr', address(), ...flags]);
        expect([code, stderr]).toEqual([
          3,
          expect.stringMatching(`^golog ${command.join(' ')}: cannot talk to ${address()}: `),
        ]);
        expect(stderr).toContain(message);
        expect(stderr).not.toMatch(/Resolution note|error:0|SSL routines/);
      }
    },
    60_000,
  );

  it.each<[string[], RegExp]>([
    [['--tls-ca-file', own('ca-key.pem')], /--tls-ca-file .*ca-key.pem has no certificate: expected PEM/],
    [['--tls-ca-file', scratch.file('absent')], /--tls-ca-file .*absent: ENOENT/],
    [['--tls-cert-file', own('root-client.pem')], /--tls-cert-file and --tls-key-file need each other/],
    [
      ['--tls-cert-file', own('root-client.pem'), '--tls-key-file', own('nobody-client-key.pem')],
      /--tls-key-file .* is not the key of --tls-cert-file/,
    ],
    [
      ['--tls-cert-file', own('root-client.pem'), '--tls-key-file', own('root-client.pem')],
      /--tls-key-file .* has no private key: expected PEM/,
    ],
    [
      ['--tls-cert-file', own('root-client.pem'), '--tls-key-file', scratch.file('encrypted.pem')],
      /--tls-key-file .*encrypted.pem is encrypted: decrypt it, for example with openssl pkey/,
    ],
  ])(
    'refuses files that it cannot use: %j',
    async (flags, message) => {
      const encrypted = ['-----BEGIN ENCRYPTED PRIVATE KEY-----', 'MIIB', '-----END ENCRYPTED PRIVATE KEY-----', ''];
      writeFileSync(scratch.file('encrypted.pem'), encrypted.join('\n'));
      const { code, stderr } = await runGolog(['servers', '--addr', secured.rpcAddr, ...flags]);
      expect([code, stderr]).toEqual([2, expect.stringMatching(message)]);
    },
    60_000,
  );
});

describe('the variables of the client commands', () => {
  const run = (args: string[], env: Record<string, string>): Promise<Finished> =>
    runGolog(args, 'x\n', undefined, { env });

  it('name the servers, unless a flag does', async () => {
    const nobody = plain.rpcAddr.replace(/\d+$/, '1');
    const env = { GOLOG_ADDR: ` ${nobody}, ${plain.rpcAddr} ` };
    for (const command of [['produce'], ['consume', '--from', '-1'], ['servers'], ['cluster', 'get']])
      expect((await run(command, env)).code).toBe(0);
    const { code, stderr } = await run(['servers', '--addr', nobody], env);
    expect([code, stderr]).toEqual([3, expect.stringContaining(`cannot reach ${nobody}`)]);
    const wrong = await run(['servers'], { GOLOG_ADDR: 'http://x' });
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringMatching(/GOLOG_ADDR.*expected HOST:PORT/)]);
  }, 60_000);

  it('name the TLS files', async () => {
    const env = {
      GOLOG_ADDR: secured.rpcAddr,
      GOLOG_TLS_CA_FILE: own('ca.pem'),
      GOLOG_TLS_CERT_FILE: own('root-client.pem'),
      GOLOG_TLS_KEY_FILE: own('root-client-key.pem'),
    };
    for (const command of [['produce'], ['consume', '--from', '-1'], ['servers'], ['cluster', 'get']])
      expect((await run(command, env)).code).toBe(0);
  }, 60_000);

  it('do not stop a server from starting', async () => {
    const env = { GOLOG_ADDR: 'h:1', GOLOG_TLS_CA_FILE: 'x', GOLOG_TLS_CERT_FILE: 'x', GOLOG_TLS_KEY_FILE: 'x' };
    const server = await ServerProcess.spawn(scratch.file('beside'), '0', [], { env }).served();
    expect(await server.stop()).toBe(0);
  }, 60_000);
});
