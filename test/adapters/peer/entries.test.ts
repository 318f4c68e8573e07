import { afterEach, describe, expect, it } from '@jest/globals';
import { crc32c } from '../../../src/adapters/checksum/crc32c.js';
import { systemClock } from '../../../src/adapters/clock/system-clock.js';
import { GrpcServer } from '../../../src/adapters/grpc/index.js';
import { ManualClock } from '../../../src/adapters/memory/manual-clock.js';
import { MemoryPeerNetwork } from '../../../src/adapters/memory/memory-peer-network.js';
import { GrpcEntrySource, GrpcPeerTransport, PeerEndpoint } from '../../../src/adapters/peer/index.js';
import { UnavailableError } from '../../../src/application/errors.js';
import type { EntryHandler, EntrySource, LogEnd } from '../../../src/application/ports/entry-source.js';
import type { Peer, PeerReceiver } from '../../../src/application/ports/peer-transport.js';
import { CorruptRangeError, IndexOutOfRangeError, InvalidInputError } from '../../../src/domain/log/errors.js';
import { toIndex, toOffset } from '../../../src/domain/log/offsets.js';
import type { RecordBatch, BatchChecksum } from '../../../src/domain/log/record-batch.js';
import { makeBatch, logOptions } from '../../crash/workload.js';
import { FakeCommitLog } from '../grpc/fake-commit-log.js';
import { RecordingLogger } from '../../logging/recording-logger.js';

const checksum: BatchChecksum = { crc32c, logId: logOptions.logId };
const forever = new AbortController().signal;
const logEnd: LogEnd = { term: 7, leads: true, startIndex: 3, commitIndex: 40, lastIndex: 41 };
const batches = Array.from({ length: 40 }, (_, place) => makeBatch(place + 1, place * 2, 2, 20_000, 0));

/** Keeps entries 3 to 40. */
class Desk implements EntryHandler {
  readonly asked: [from: number, term: number][] = [];
  change: (batch: RecordBatch) => RecordBatch = (batch) => batch;
  given = 0;

  logEnd(from: number, term: number): LogEnd {
    this.asked.push([from, term]);
    return logEnd;
  }

  async *read(from: number, until: number): AsyncGenerator<RecordBatch[]> {
    if (from < 3) throw new IndexOutOfRangeError(toIndex(from), toIndex(3), toIndex(40));
    if (until > 41) throw new UnavailableError('not committed here yet');
    if (from === 13) throw new CorruptRangeError(toOffset(0), toOffset(1), 'bad');
    for (let next = from; next < until; next += 10) {
      this.given += 1;
      yield batches.slice(next - 1, Math.min(next + 9, until - 1)).map(this.change);
    }
  }
}

const receiver: PeerReceiver = {
  receive: () => {},
  unreachable: () => {},
  appendForwarded: () => new Promise(() => {}),
  producersForwarded: new FakeCommitLog(),
};

interface Served {
  readonly source: EntrySource;
  readonly peer: Peer;
  close(): Promise<void>;
}

/** Member 2 serves the desk to member 1. */
const networks: Record<string, (desk: Desk) => Promise<Served>> = {
  memory: async (desk) => {
    const network = new MemoryPeerNetwork(new ManualClock());
    network.serve('n2:8400', { entries: desk });
    const peer = { id: 2, rpcAddr: 'n2:8400' };
    network.join(peer.rpcAddr, checksum.logId).start(peer, receiver);
    return { source: network.entrySource(1), peer, close: () => Promise.resolve() };
  },
  gRPC: async (desk) => {
    const { server, transport, peer } = await grpcMember(desk);
    const close = async (): Promise<void> => {
      await transport.close();
      await server.close(0);
    };
    return { source: new GrpcEntrySource(checksum, { id: 1, rpcAddr: 'n1:8400' }), peer, close };
  },
};

async function grpcMember(desk: Desk) {
  const logger = new RecordingLogger();
  const endpoint = new PeerEndpoint(logger);
  const server = new GrpcServer({ host: '127.0.0.1', port: 0 }, new FakeCommitLog(), logger, undefined, [endpoint]);
  const { port } = await server.listen();
  const transport = new GrpcPeerTransport({ checksum, endpoint, clock: systemClock, random: () => 0.5, logger });
  const peer = { id: 2, rpcAddr: `127.0.0.1:${port}` };
  transport.start(peer, receiver);
  transport.setPeers([{ id: 1, rpcAddr: '127.0.0.1:1' }]);
  endpoint.setEntries(desk);
  return { server, transport, peer };
}

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function serve(kind: string, desk: Desk): Promise<Served> {
  const served = await networks[kind](desk);
  closing.push(() => served.close());
  return served;
}

async function readAll({ source, peer }: Served, from: number, until: number): Promise<RecordBatch[]> {
  const all: RecordBatch[] = [];
  for await (const run of source.read(peer, from, until, forever)) all.push(...run);
  return all;
}

const bytes = ({ header, payload }: RecordBatch): string => Buffer.concat([header, payload]).toString('base64');

describe.each(Object.keys(networks))('entries of a member, by %s', (kind) => {
  it('come as they are stored, in order, and end', async () => {
    const served = await serve(kind, new Desk());
    const all = await readAll(served, 3, 41);
    expect(all.map(({ index }) => index)).toEqual(Array.from({ length: 38 }, (_, place) => place + 3));
    expect(all.map(bytes)).toEqual(batches.slice(2).map(bytes));
  });

  it('are preceded by how far its log goes; it hears who asks, and of what term', async () => {
    const desk = new Desk();
    const { source, peer } = await serve(kind, desk);
    expect(await source.logEnd(peer, 9, forever)).toEqual(logEnd);
    expect(desk.asked).toEqual([[1, 9]]);
  });

  it('are not given where it has not committed them', async () => {
    const served = await serve(kind, new Desk());
    await expect(readAll(served, 30, 45)).rejects.toThrow(UnavailableError);
  });

  it('end with the reason of an abort', async () => {
    const desk = new Desk();
    const { source, peer } = await serve(kind, desk);
    const stop = new AbortController();
    const reading = (async () => {
      for await (const run of source.read(peer, 3, 41, stop.signal)) if (run.length > 0) stop.abort(new Error('stop'));
    })();
    await expect(reading).rejects.toThrow('stop');
    await expect(source.logEnd(peer, 1, stop.signal)).rejects.toThrow('stop');
  });

  it('are nowhere to be had from a member that is not there', async () => {
    const { source } = await serve(kind, new Desk());
    await expect(source.logEnd({ id: 3, rpcAddr: '127.0.0.1:1' }, 1, forever)).rejects.toThrow(UnavailableError);
  });
});

describe('entries of a member, over gRPC alone', () => {
  it('do not pass damaged', async () => {
    const desk = new Desk();
    desk.change = (batch) => ({
      ...batch,
      payload: batch.payload.map((byte, place) => (place === 99 ? byte ^ 1 : byte)),
    });
    await expect(readAll(await serve('gRPC', desk), 3, 41)).rejects.toThrow(InvalidInputError);
  });

  it('are refused with what is the matter', async () => {
    const served = await serve('gRPC', new Desk());
    await expect(readAll(served, 2, 41)).rejects.toThrow(/index 2 is out of range/);
    await expect(readAll(served, 13, 41)).rejects.toThrow(/corrupt or lost on this node/);
  });

  it('are for members of the cluster', async () => {
    const { peer } = await serve('gRPC', new Desk());
    const stranger = new GrpcEntrySource({ crc32c, logId: new Uint8Array(16) }, { id: 1, rpcAddr: 'n1:8400' });
    await expect(stranger.logEnd(peer, 1, forever)).rejects.toThrow(/the caller expected 0000/);
    await expect(readAll({ source: stranger, peer, close: () => Promise.resolve() }, 3, 41)).rejects.toThrow(
      /the caller expected 0000/,
    );
    const misled = new GrpcEntrySource(checksum, { id: 1, rpcAddr: 'n1:8400' });
    await expect(misled.logEnd({ ...peer, id: 3 }, 1, forever)).rejects.toThrow(
      /this node is member 2; the caller expected 3/,
    );
  });

  it('stop when the member closes its links', async () => {
    const desk = new Desk();
    const { server, transport, peer } = await grpcMember(desk);
    const source = new GrpcEntrySource(checksum, { id: 1, rpcAddr: 'n1:8400' });
    const reading = (async () => {
      for await (const run of source.read(peer, 3, 41, forever)) if (run.length > 0) await transport.close();
    })();
    await expect(reading).rejects.toThrow(UnavailableError);
    await expect(source.logEnd(peer, 1, forever)).rejects.toThrow(UnavailableError);
    await server.close(0);
  });
});
