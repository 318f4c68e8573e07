import { create, toBinary } from '@bufbuild/protobuf';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { encodeNodeTags } from '../../src/application/join/gossip-tags.js';
import { JoinResponseSchema, PeerService } from '../../src/gen/golog/peer/v1/peer_service_pb.js';
import { GossipNode } from '../interop/gossip-node.js';
import type { LiveCluster } from './live-cluster.js';
import { gossipSecurity } from './security.js';

/** A member of the gossip that is no node, with an address that those who join ask. */
export interface Impostor {
  /** How often the address was called. */
  readonly calls: () => number;
  readonly close: () => Promise<void>;
}

type Address = Impostor & { readonly rpcAddr: string };

/** Accepts connections, and says nothing. */
async function silent(): Promise<Address> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => sockets.push(socket.on('error', () => undefined)));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    rpcAddr: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls: () => sockets.length,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

/** Refuses everybody in the name of the cluster; in clear, as it has no certificate. */
async function refusing(clusterId: string): Promise<Address> {
  const server = new Server();
  const refused = { reason: 'you are not welcome', clusterId: Buffer.from(clusterId.replaceAll('-', ''), 'hex') };
  const answer = create(JoinResponseSchema, { answer: { case: 'refused', value: refused } });
  const same = (bytes: Buffer): Buffer => bytes;
  const path = `/${PeerService.typeName}/${PeerService.method.join.name}`;
  const codec = {
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
  let calls = 0;
  server.addService(
    { join: { path, requestStream: false, responseStream: false, ...codec } },
    {
      join: (_: unknown, answered: (error: null, response: Buffer) => void) => {
        calls += 1;
        answered(null, Buffer.from(toBinary(JoinResponseSchema, answer)));
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  return { rpcAddr: `127.0.0.1:${port}`, calls: () => calls, close: async () => server.forceShutdown() };
}

/** Puts an impostor into the gossip of the nodes, as a node of their cluster. */
export async function impostorAmong(nodes: LiveCluster, kind: 'silent' | 'refusing'): Promise<Impostor> {
  const { clusterId } = (await nodes.nodes[0].view())!;
  const address = await (kind === 'silent' ? silent() : refusing(clusterId));
  const { rpcAddr } = address;
  const own = { role: 'node', uuid: randomUUID(), rpcAddr, httpAddr: rpcAddr, version: '0.1.0' } as const;
  const tags = encodeNodeTags({ ...own, clusterId, featureLevel: 1 });
  const gossip = await GossipNode.start(`impostor-${kind}`, { tags, ...gossipSecurity });
  await gossip.join(...nodes.nodes.map(({ gossipAddr }) => gossipAddr));
  return {
    calls: address.calls,
    close: async () => {
      await gossip.close();
      await address.close();
    },
  };
}
