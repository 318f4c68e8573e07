import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { GrpcServer } from '../../src/adapters/grpc/index.js';
import { systemClock } from '../../src/adapters/clock/system-clock.js';
import { MemoryPeerNetwork, type MemoryPeerTransport } from '../../src/adapters/memory/memory-peer-network.js';
import { seededRandom } from '../../src/adapters/memory/seeded-random.js';
import { GrpcJoinTransport, GrpcPeerTransport, PeerEndpoint } from '../../src/adapters/peer/index.js';
import { FakeCommitLog } from '../adapters/grpc/fake-commit-log.js';
import { TcpProxy } from '../adapters/peer/tcp-proxy.js';
import { describePeerAddresses } from './peer-addresses.js';
import type { NetworkUnderTest } from './peer-receiver.js';
import { describePeerTransport } from './peer-transport.js';
import { RecordingLogger } from '../logging/recording-logger.js';

const inMemory = async (): Promise<NetworkUnderTest> => {
  const network = new MemoryPeerNetwork(systemClock);
  const transports = new Map<string, MemoryPeerTransport>();
  let holes = 0;
  const at = (name: string): MemoryPeerTransport => transports.get(name)!;
  return {
    joinTransport: network.joinTransport,
    async node(name, { logId }) {
      const transport = network.join(name, logId);
      transports.set(name, transport);
      return {
        rpcAddr: name,
        transport,
        setJoinHandler: (joinHandler) => {
          network.serve(name, { joinHandler });
        },
        waitingBytes: () => at('two').waitingBytes,
        stop: async () => {
          network.serve(name, {});
          await transport.close();
        },
      };
    },
    hole: () => Promise.resolve(`hole-${++holes}`),
    cut: () => {
      network.cut(1, 2);
    },
    heal: () => {
      network.heal();
    },
    stall: (name) => {
      at(name).stall();
    },
    resume: (name) => {
      at(name).resume();
    },
    close: async () => undefined,
  };
};

const overGrpc = async (): Promise<NetworkUnderTest> => {
  const logger = new RecordingLogger();
  const ports = new Map<string, number>();
  const proxies = new Map<string, TcpProxy>();
  const servers = new Set<GrpcServer>();
  const holes = new Set<Server>();
  const accepted = new Set<Socket>();
  return {
    joinTransport: new GrpcJoinTransport(),
    async node(name, checksum) {
      const endpoint = new PeerEndpoint(logger);
      const server = new GrpcServer({ host: '127.0.0.1', port: 0 }, new FakeCommitLog(), logger, undefined, [endpoint]);
      ports.set(name, (await server.listen()).port);
      servers.add(server);
      const proxy = proxies.get(name) ?? (await TcpProxy.open(() => ports.get(name)!));
      proxies.set(name, proxy);
      const random = seededRandom(1);
      const transport = new GrpcPeerTransport({ checksum, endpoint, clock: systemClock, random, logger });
      return {
        rpcAddr: proxy.rpcAddr,
        transport,
        setJoinHandler: (desk) => {
          endpoint.setJoinHandler(desk);
        },
        waitingBytes: (to) => transport.waitingBytes(to),
        stop: async () => {
          await server.close(0);
          await transport.close();
        },
      };
    },
    hole: async () => {
      const hole = createServer((socket) => accepted.add(socket.on('error', () => undefined))).listen(0, '127.0.0.1');
      await once(hole, 'listening');
      holes.add(hole);
      return `127.0.0.1:${(hole.address() as AddressInfo).port}`;
    },
    cut: () => {
      for (const proxy of proxies.values()) proxy.cut();
    },
    heal: () => {
      for (const proxy of proxies.values()) proxy.heal();
    },
    stall: (name) => proxies.get(name)!.stall(),
    resume: (name) => proxies.get(name)!.resume(),
    close: async () => {
      await Promise.all([...proxies.values()].map((proxy) => proxy.close()));
      await Promise.all([...servers].map((server) => server.close(0)));
      for (const hole of holes) hole.close();
      // grpc-js keeps a connection whose peer says nothing while it is set up, even after it is closed.
      for (const socket of accepted) socket.destroy();
    },
  };
};

for (const [name, make] of [
  ['MemoryPeerNetwork', inMemory],
  ['GrpcPeerTransport', overGrpc],
] as const) {
  describePeerTransport(name, make);
  describePeerAddresses(name, make);
}
