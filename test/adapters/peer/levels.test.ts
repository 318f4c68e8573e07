import { afterEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { Client, type ClientDuplexStream, credentials, type ServiceError, status } from '@grpc/grpc-js';
import { identityMetadata } from '../../../src/adapters/peer/identity/peer-identity.js';
import { featureLevelKnown } from '../../../src/application/configuration/cluster-settings.js';
import { until } from '../grpc/fixture.js';
import { addressOf, checksum, startNode, stopNode, type TestNode } from './fixture.js';

const nodes: TestNode[] = [];
const clients: Client[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await Promise.all(nodes.splice(0).map(stopNode));
});

async function start(...args: Parameters<typeof startNode>): Promise<TestNode> {
  const node = await startNode(...args);
  nodes.push(node);
  return node;
}

const same = (bytes: Buffer): Buffer => bytes;

/** Opens a stream to the node as a member that offers this level. */
function call(node: TestNode, featureLevel: number): ClientDuplexStream<Buffer, Buffer> {
  const client = new Client(addressOf(node), credentials.createInsecure());
  clients.push(client);
  const identity = { clusterId: checksum.logId, from: 1, to: 2, rpcAddr: '', name: 'n1', featureLevel };
  const stream = client.makeBidiStreamRequest(
    '/golog.peer.v1.PeerService/Control',
    same,
    same,
    identityMetadata(identity),
    {},
  );
  stream.on('error', () => undefined);
  return stream;
}

describe('the generation in the handshake of peers', () => {
  it('must be the same; the node of the lower one is told', async () => {
    const told: number[] = [];
    const one = await start(1, {}, checksum, { superseded: (generation) => told.push(generation) });
    const two = await start(2, {}, checksum, {
      settings: { generation: 3 },
      superseded: (generation) => told.push(-generation),
    });
    two.transport.setPeers([{ id: 1, rpcAddr: addressOf(one) }]);
    one.transport.setPeers([{ id: 2, rpcAddr: addressOf(two) }]);
    await until(() => told.length > 0);
    expect(new Set(told)).toEqual(new Set([3]));
    expect([one, two].flatMap(({ received }) => received)).toEqual([]);
    const refused = two.logger.lines.find(({ event }) => event === 'peer_refused_connection');
    expect(refused?.fields).toMatchObject({
      reason: 'this node has generation 0 of the log; the caller has generation 3',
    });
  });

  it('is told to nodes of the same cluster only', async () => {
    const told: number[] = [];
    const another = { ...checksum, logId: new Uint8Array(16).fill(9) };
    const one = await start(1, {}, another, { superseded: (generation) => told.push(generation) });
    const two = await start(2, {}, checksum, { settings: { generation: 3 } });
    one.transport.setPeers([{ id: 2, rpcAddr: addressOf(two) }]);
    await until(() => one.logger.lines.some(({ event }) => event === 'peer_refused_connection'));
    expect(told).toEqual([]);
  });
});

describe('the feature level in the handshake of peers', () => {
  it('is known of a member that has called', async () => {
    const [one, two] = [await start(1), await start(2)];
    one.transport.setPeers([{ id: 2, rpcAddr: addressOf(two) }]);
    two.transport.setPeers([{ id: 1, rpcAddr: addressOf(one) }]);
    const levels = (): unknown[] => [one.transport.featureLevelOf(2), two.transport.featureLevelOf(1)];
    await until(() => !levels().includes(undefined));
    expect(levels()).toEqual([featureLevelKnown, featureLevelKnown]);
  });

  it('is 0 of a release without levels, which is admitted while the cluster is at level 0', async () => {
    const node = await start(2);
    node.transport.setPeers([{ id: 1, rpcAddr: '127.0.0.1:1' }]);
    await once(call(node, 0), 'metadata');
    expect(node.transport.featureLevelOf(1)).toBe(0);
  });

  it('must be as high as that of the cluster', async () => {
    const node = await start(2, {}, checksum, { settings: { featureLevel: 1 } });
    node.transport.setPeers([{ id: 1, rpcAddr: '127.0.0.1:1' }]);
    const [error] = (await once(call(node, 0), 'error')) as [ServiceError];
    expect([error.code, error.details]).toEqual([
      status.FAILED_PRECONDITION,
      'the cluster is at feature level 1; the caller offers level 0',
    ]);
    await once(call(node, 1), 'metadata');
  });
});
