import { join } from 'node:path';
import type { Bench } from './bench.js';
import { GrpcSession } from './grpc-session.js';
import { h2load } from './h2load.js';
import { freePort, type Server } from './processes.js';
import { startProgram, untilDone } from './program.js';
import type { Load } from './rounds.js';
import { FieldReader, grpcFrame, recordValueBytes, uint64Of, varint } from './wire.js';

const program = 'etcd';
const servers = 3;
const putPath = '/etcdserverpb.KV/Put';
const statusPath = '/etcdserverpb.Maintenance/Status';

/** An `etcdserverpb.PutRequest`. */
const putRequest = (): Buffer => {
  const key = Buffer.from('bench');
  const value = Buffer.alloc(recordValueBytes, 'x');
  return Buffer.concat([varint(10), varint(key.length), key, varint(18), varint(value.length), value]);
};

export interface Etcd {
  readonly pids: readonly number[];
  /** Puts of 100 bytes at the leader, 256 in flight. */
  put(seconds: number): Promise<Load>;
  stop(): Promise<void>;
}

/** Three servers with their defaults: they sync before they answer. */
export async function startEtcd(bench: Bench): Promise<Etcd> {
  const directory = await bench.temporaryDirectory();
  const ports = await Promise.all(Array.from({ length: servers * 2 }, freePort));
  const urls = ports.map((port) => `http://127.0.0.1:${port}`);
  const [clientUrls, peerUrls] = [urls.slice(0, servers), urls.slice(servers)];
  const members = peerUrls.map((url, place) => `n${place + 1}=${url}`).join(',');
  const running: readonly Server[] = clientUrls.map((url, place) =>
    startProgram(bench, program, [
      ...['--name', `n${place + 1}`, '--data-dir', join(directory, `n${place + 1}`), '--log-level', 'error'],
      ...['--listen-client-urls', url, '--advertise-client-urls', url],
      ...['--listen-peer-urls', peerUrls[place], '--initial-advertise-peer-urls', peerUrls[place]],
      ...['--initial-cluster', members, '--initial-cluster-state', 'new', '--quota-backend-bytes', '8589934592'],
    ]),
  );
  const addresses = clientUrls.map((url) => url.slice('http://'.length));
  const leader = await untilDone('led', async () => {
    const leading = await Promise.all(addresses.map(isLeader));
    const address = addresses[leading.indexOf(true)];
    if (address === undefined) throw new Error('etcd has no leader');
    return address;
  });
  return {
    pids: running.map(({ pid }) => pid),
    put: (seconds) => {
      const body = grpcFrame(putRequest());
      return h2load({ address: leader, path: putPath, contentType: 'application/grpc', body, seconds }, directory);
    },
    stop: async () => {
      await Promise.all(running.map((server) => server.stop()));
      await bench.remove(directory);
    },
  };
}

/** A member leads when the leader's id, field 4 of its status, is its own, field 2 of the header. */
async function isLeader(address: string): Promise<boolean> {
  const session = await GrpcSession.connect(address);
  try {
    const status = await session.unary(statusPath, grpcFrame(Buffer.alloc(0)));
    const header = new FieldReader(status);
    if (!header.next() || header.field !== 1) throw new Error('a status of etcd without its header');
    return uint64Of(status, 4) === uint64Of(status.subarray(header.start, header.end), 2);
  } finally {
    session.close();
  }
}
