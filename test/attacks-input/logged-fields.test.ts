import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Client, Metadata } from '@grpc/grpc-js';
import { create, toBinary } from '@bufbuild/protobuf';
import { channelCredentials } from '../../src/client/tls.js';
import { LogClient } from '../../src/client/index.js';
import { JoinRequestSchema } from '../../src/gen/golog/peer/v1/peer_service_pb.js';
import { modelFile } from '../cluster/security.js';
import { compile, Scratch, ServerProcess } from '../end-to-end/golog-process.js';
import { root } from '../foundation/checkout.js';
import { hasLogged } from '../logging/logged-lines.js';
import { CertificateSet } from '../security/certificate-sets.js';
import { clientOf, policyFile } from '../security/secure-node.js';

/** No line is longer, whatever was sent: 8,000 characters, some of which JSON escapes. */
const lineBytesMax = 16_000;
const hostile = `a\r\n{"level":"info","msg":"forged"}\n\u001b[2J\u0000\u2028 ${'x'.repeat(1_000_000)}`;

const linesOf = (text: string): string[] => text.split('\n').filter((line) => line !== '');

function expectWholeLines(text: string): void {
  for (const line of linesOf(text)) {
    expect(line.length).toBeLessThan(lineBytesMax);
    // eslint-disable-next-line no-control-regex -- control characters are what it looks for
    expect(line).not.toMatch(/[\u0000-\u001f\u007f]/);
    const { msg } = JSON.parse(line) as { msg: string };
    expect(msg).not.toBe('forged');
  }
}

beforeAll(compile, 180_000);

it('a logged field is escaped and cut, in whatever it lies', () => {
  const program = `
    import { createLogger } from './dist/infrastructure/logging.js';
    const logger = createLogger('info');
    const hostile = process.env.HOSTILE + 'x'.repeat(1_000_000);
    const error = new Error(hostile, { cause: new TypeError(hostile) });
    const circle = { name: hostile };
    circle.self = circle;
    for (const value of [hostile, { name: hostile }, [[hostile]], { [hostile]: 1 }, new Uint8Array(1e6), circle,
      Array(1e5).fill(hostile), error, Object.assign(new Error('a'), { details: hostile }), 2n ** 64n, null])
      for (const name of ['err', 'error', 'peer']) logger.warn('disk_full', { [name]: value }, 'said');
  `;
  const env = { ...process.env, HOSTILE: hostile.slice(0, 60).replace('\0', ''), NODE_OPTIONS: '' };
  const { stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    ...{ cwd: root, env, encoding: 'utf8', maxBuffer: 64 << 20 },
  });
  expectWholeLines(stderr);
  expect([status, linesOf(stderr).length]).toEqual([0, 33]);
  expect(stderr).toContain('(1000');
});

describe('a node that logs everything', () => {
  const scratch = new Scratch();
  const gossipKey = 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=';
  let set: CertificateSet;
  let node: ServerProcess;

  beforeAll(async () => {
    set = await CertificateSet.own('n1');
    const files = Object.entries({
      ...{ 'server-tls-cert-file': 'node-n1', 'server-tls-key-file': 'node-n1-key', 'server-tls-ca-file': 'ca' },
    }).flatMap(([option, file]) => [`--${option}`, set.file(file)]);
    const acl = ['--acl-model-file', modelFile, '--acl-policy-file', policyFile];
    const more = ['--node-name', 'n1', '--log-level', 'debug', '--encrypt', gossipKey];
    node = await ServerProcess.start(scratch.folder('data'), undefined, [...files, ...acl, ...more]);
  }, 60_000);

  afterAll(async () => {
    scratch.remove();
    set.remove();
  });

  const call = (path: string, pair: string, request: Uint8Array, metadata = new Metadata()): Promise<string> => {
    const client = new Client(node.rpcAddr, channelCredentials(clientOf(set, pair)));
    const same = (bytes: Uint8Array): Buffer => Buffer.from(bytes);
    return new Promise((resolve) => {
      client.makeUnaryRequest(path, same, same, request, metadata, { deadline: Date.now() + 10_000 }, (error) => {
        client.close();
        resolve(error?.details ?? 'answered');
      });
    });
  };

  it('writes one line of JSON for what callers send, and no secret', async () => {
    const joiner = { name: hostile, uuid: hostile, rpcAddr: hostile.slice(0, 50_000), bootstrapExpect: 1 };
    const join = toBinary(JoinRequestSchema, create(JoinRequestSchema, { joiner }));
    const peer = '/golog.peer.v1.PeerService';
    expect(await call(`${peer}/Join`, 'node-n1', join)).toMatch(/UUID of the joiner/);
    const garbage = new Metadata();
    garbage.set('golog-name', `../${'%1b[2J'.repeat(500)}`);
    garbage.set('golog-from', '1');
    await call(`${peer}/GetLogEnd`, 'node-n1', Uint8Array.of(0xff), garbage);
    expect(await call('/log.v1.Log/Produce', 'nobody-client', Uint8Array.of(10, 0))).not.toBe('answered');
    await call(`/${'%0d%0a'.repeat(500)}`, 'root-client', new Uint8Array());
    const client = LogClient.connect(node.rpcAddr, clientOf(set, 'root-client'));
    await expect(client.read({ from: { offset: 99 } })).rejects.toThrow(/out of range/);
    client.close();
    node.kill('SIGHUP');
    await node.until('it said that it was asked to read its files again', ({ stderr }) =>
      hasLogged(stderr, 'acl_reloaded') ? true : undefined,
    );
    expect(await node.stop()).toBe(0);
    const { stdout, stderr } = node;
    expectWholeLines(stderr);
    expect(hasLogged(stderr, 'join_request_malformed')).toBe(true);
    const secrets = [gossipKey, Buffer.from(gossipKey, 'base64').toString('hex'), 'PRIVATE KEY'];
    const key = readFileSync(set.file('node-n1-key'), 'utf8').split('\n')[1] ?? '';
    for (const secret of [...secrets, key]) expect(`${stdout}${stderr}`.includes(secret)).toBe(false);
  }, 60_000);
});
