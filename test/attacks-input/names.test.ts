import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { createClient, type Transport } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport } from '@connectrpc/connect-node';
import { Client, credentials, status } from '@grpc/grpc-js';
import { systemClock } from '../../src/adapters/clock/system-clock.js';
import { SerfGossip } from '../../src/adapters/serf/index.js';
import { encodeNodeTags } from '../../src/application/join/gossip-tags.js';
import { ClusterClient } from '../../src/client/index.js';
import { ClusterService } from '../../src/gen/golog/v1/cluster_service_pb.js';
import { JoinRequestSchema, JoinResponseSchema } from '../../src/gen/golog/peer/v1/peer_service_pb.js';
import { localTiming } from '../../src/domain/gossip/timing.js';
import { ConfigError, resolveConfig } from '../../src/infrastructure/config.js';
import { eventually } from '../cluster/deadline.js';
import { compile, runGolog } from '../end-to-end/golog-process.js';
import { SecureNode } from '../security/secure-node.js';
import { RecordingLogger } from '../logging/recording-logger.js';

const uuid = '01234567-89ab-4cde-8f01-23456789abcd';
const hostileNames = [
  ...['../n2', '..', '.', '/etc/passwd', 'n2/../n3', '%2e%2e%2f', 'n2\u0000', '\u0000', 'n'.repeat(300)],
  ...['__proto__', ' n2', 'n2\n', '\u001b[2J', '-n2', '--node-name', 'ñ', '\u202en2', 'n2:8400', '', '*'],
];
const hostileAddresses = [
  '',
  ':1',
  'n2',
  'n2:0',
  'n2:65536',
  '../n2:1',
  'n2\u0000:1',
  'unix:/run/x',
  'x'.repeat(300) + ':1',
];

describe('a name that is none', () => {
  it.each(hostileNames)('is refused in a flag, a variable and a file: %j', (name) => {
    const folder = mkdtempSync(join(tmpdir(), 'golog-names-'));
    const file = join(folder, 'golog.yaml');
    writeFileSync(file, `node-name: ${JSON.stringify(name)}\n`);
    const refused = (resolve: () => unknown): void => {
      expect(resolve).toThrow(ConfigError);
      expect(resolve).toThrow(/node-name|NODE_NAME/);
    };
    refused(() => resolveConfig(new Map([['node-name', name]]), {}, undefined));
    refused(() => resolveConfig(new Map(), { GOLOG_NODE_NAME: name }, undefined));
    refused(() => resolveConfig(new Map(), {}, file));
    rmSync(folder, { recursive: true });
  });

  it('is refused as a key of the file as well', () => {
    const folder = mkdtempSync(join(tmpdir(), 'golog-names-'));
    const file = join(folder, 'golog.yaml');
    for (const text of ['__proto__: {}\n', 'constructor: 1\n', '"../x": 1\n', '{"__proto__": {"insecure": true}}\n']) {
      writeFileSync(file, text);
      expect(() => resolveConfig(new Map(), {}, file)).toThrow(/unknown key/);
    }
    rmSync(folder, { recursive: true });
  });

  it('is refused by commands, which leave nothing behind', async () => {
    compile();
    const folder = mkdtempSync(join(tmpdir(), 'golog-names-'));
    for (const args of [
      ['certs', 'init', '--dir', folder, '--node', '../n2'],
      ['certs', 'init', '--dir', folder, '--client', '__proto__'],
      ['certs', 'init', '--dir', folder, '--cluster', 'a/b'],
      ['serve', '--data-dir', join(folder, 'data'), '--node-name', '../n2'],
    ])
      expect([args, (await runGolog(args)).code]).toEqual([args, 2]);
    expect(readdirSync(folder)).toEqual([]);
    rmSync(folder, { recursive: true });
  }, 180_000);
});

describe('a node', () => {
  const endings: (() => unknown)[] = [];
  let node: SecureNode;
  let cluster: ClusterClient;

  beforeAll(async () => {
    node = await SecureNode.start();
    cluster = new ClusterClient([node.rpcAddr]);
  });
  afterEach(async () => {
    for (const end of endings.splice(0).reverse()) await end();
    const { members } = await cluster.status();
    expect(members.map(({ name }) => name)).toEqual(['n1']);
    expect(node.fatal).toBeUndefined();
  });
  afterAll(async () => {
    cluster.close();
    await node.stop();
  });

  const join = (joiner: { name: string; uuid: string; rpcAddr: string }): Promise<string> => {
    const client = new Client(node.rpcAddr, credentials.createInsecure());
    return new Promise((resolve) => {
      client.makeUnaryRequest(
        '/golog.peer.v1.PeerService/Join',
        (request: Uint8Array) => Buffer.from(request),
        (response) => fromBinary(JoinResponseSchema, new Uint8Array(response)),
        toBinary(JoinRequestSchema, create(JoinRequestSchema, { joiner })),
        (error, response) => {
          client.close();
          resolve(error === null ? String(response?.answer.case) : status[error.code]);
        },
      );
    });
  };

  it('lets none join that has no name, no UUID or no address', async () => {
    const joiner = { name: 'n2', uuid, rpcAddr: '127.0.0.1:1' };
    for (const name of hostileNames)
      expect([name, await join({ ...joiner, name })]).toEqual([name, 'INVALID_ARGUMENT']);
    for (const rpcAddr of hostileAddresses)
      expect([rpcAddr, await join({ ...joiner, rpcAddr })]).toEqual([rpcAddr, 'INVALID_ARGUMENT']);
    for (const id of ['', '../x', `${uuid}\u0000`, uuid.toUpperCase(), '0'.repeat(300)])
      expect([id, await join({ ...joiner, uuid: id })]).toEqual([id, 'INVALID_ARGUMENT']);
  });

  it.each<[string, (node: SecureNode) => Transport]>([
    ['gRPC', ({ rpcAddr }) => createGrpcTransport({ baseUrl: `http://${rpcAddr}` })],
    ['Connect', ({ httpAddr }) => createConnectTransport({ baseUrl: `http://${httpAddr}`, httpVersion: '1.1' })],
  ])('adds, promotes, removes and follows none by %s', async (_, transportTo) => {
    const client = createClient(ClusterService, transportTo(node));
    for (const name of hostileNames) {
      for (const call of [
        client.addMember({ name, rpcAddr: '127.0.0.1:1' }),
        client.promoteMember({ name }),
        client.removeMember({ name }),
        client.transferLeadership({ name }),
      ])
        await expect(call).rejects.toThrow(/invalid_argument.*is not a valid member name/);
    }
    for (const rpcAddr of hostileAddresses)
      await expect(client.addMember({ name: 'n2', rpcAddr })).rejects.toThrow(
        /invalid_argument.*is not a valid address/,
      );
  });

  it('makes no server of one that gossips', async () => {
    const tags = encodeNodeTags({
      ...{ role: 'replica', uuid, rpcAddr: '127.0.0.1:1', httpAddr: '', version: '0' },
      clusterId: (await cluster.status()).clusterId,
    });
    const start = async (name: string, more: Readonly<Record<string, string>> = {}): Promise<void> => {
      const gossip = new SerfGossip({
        ...{ name, bindAddr: '127.0.0.1:0', timing: localTiming, clock: systemClock, logger: new RecordingLogger() },
        tags: new Map([...tags, ...Object.entries(more)]),
      });
      endings.push(() => gossip.close());
      await gossip.start();
      await gossip.join([node.gossipAddr], new AbortController().signal);
    };
    const hostile = ['../r2', '__proto__', 'r 2', 'ñ'];
    for (const name of hostile) await start(name);
    await start('r3', { rpc_addr: '../x:1' });
    await start('r4', { id: '../x' });
    // Told after them, so that they are known by then as far as they ever are.
    await start('r5');
    await eventually('the last to be known', async () => {
      const { gossip = [] } = await cluster.status();
      return gossip.some(({ name }) => name === 'r5') ? true : undefined;
    });
    expect((await cluster.servers()).map(({ id }) => id)).toEqual(['n1']);
  });
});
