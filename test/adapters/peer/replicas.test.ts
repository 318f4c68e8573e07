import { afterEach, describe, expect, it } from '@jest/globals';
import { crc32c } from '../../../src/adapters/checksum/crc32c.js';
import { systemClock } from '../../../src/adapters/clock/system-clock.js';
import { GrpcServer } from '../../../src/adapters/grpc/index.js';
import {
  GrpcEntrySource,
  GrpcPeerTransport,
  GrpcReplicaUplink,
  PeerEndpoint,
} from '../../../src/adapters/peer/index.js';
import { ReplicaCalls } from '../../../src/adapters/peer/replicas/replica-calls.js';
import { OverloadedError, UnavailableError } from '../../../src/application/errors.js';
import type { AppendReceipt } from '../../../src/application/ports/consensus.js';
import {
  type FollowFrom,
  OtherHistoryError,
  type ReplicaHandler,
  type SourceNews,
  type SourceStatus,
} from '../../../src/application/ports/replica-uplink.js';
import { IndexOutOfRangeError, InvalidInputError } from '../../../src/domain/log/errors.js';
import { type Offset, toIndex, toOffset, toTerm } from '../../../src/domain/log/offsets.js';
import type { RecordBatch, BatchChecksum } from '../../../src/domain/log/record-batch.js';
import { PeerService } from '../../../src/gen/golog/peer/v1/peer_service_pb.js';
import { logOptions, makeBatch } from '../../crash/workload.js';
import { FakeCommitLog } from '../grpc/fake-commit-log.js';
import { records } from '../../raft/group.js';
import { RecordingLogger } from '../../logging/recording-logger.js';

const checksum: BatchChecksum = { crc32c, logId: logOptions.logId };
const forever = new AbortController().signal;
const batches = Array.from({ length: 40 }, (_, place) => makeBatch(place + 1, place * 2, 2, 20_000, 0));
const source: SourceStatus = {
  clusterId: checksum.logId,
  start: { index: toIndex(3), offset: toOffset(4), term: toTerm(1) },
  id: 2,
  leaderId: 1,
  members: [
    { id: 1, name: 'n1', uuid: 'u1', rpcAddr: 'n1:8400' },
    { id: 2, name: 'n2', uuid: 'u2', rpcAddr: 'n2:8400' },
  ],
  learners: [2],
  settings: { featureLevel: 1, retentionBytes: 9_000 },
};
const leader = { id: 2, name: '', uuid: '', rpcAddr: '' };
const receipt: AppendReceipt = {
  ...{ baseOffset: toOffset(80), recordCount: 1, term: toTerm(1), index: toIndex(41) },
  syncedOn: ['n1', 'n2'],
};

/** Keeps entries 3 to 40, gives ten at a time, and then nothing but signs of life. */
class Desk implements ReplicaHandler {
  given = 0;
  following = 0;
  /** Gives entries for ever, each of them again and again. */
  endless = false;
  change: (batch: RecordBatch) => RecordBatch = (batch) => batch;

  async *follow({ index, term }: FollowFrom, signal: AbortSignal): AsyncGenerator<SourceNews> {
    this.following += 1;
    try {
      yield { batches: [], highWatermark: toOffset(80), status: source };
      if (index < 3) throw new IndexOutOfRangeError(index, toIndex(3), toIndex(40));
      if (term !== 1) throw new OtherHistoryError('entry 2 is of term 1 at the source');
      for (let next: number = index; next <= 40 || this.endless; next += 10) {
        const at = this.endless ? 3 : next;
        this.given += 1;
        yield { batches: batches.slice(at - 1, at + 9).map(this.change), highWatermark: toOffset(80) };
      }
      yield { batches: [], highWatermark: toOffset(81) };
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    } finally {
      this.following -= 1;
    }
  }

  async readBarrier(): Promise<Offset> {
    return toOffset(77);
  }
}

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

interface Served {
  readonly rpcAddr: string;
  readonly transport: GrpcPeerTransport;
  readonly heard: number[];
}

/** Member 2, with its desk and the leader's answers to appends. */
async function serve(
  desk: ReplicaHandler,
  append: () => Promise<AppendReceipt> = () => Promise.resolve(receipt),
): Promise<Served> {
  const logger = new RecordingLogger();
  const endpoint = new PeerEndpoint(logger);
  const heard: number[] = [];
  const server = new GrpcServer({ host: '127.0.0.1', port: 0 }, new FakeCommitLog(), logger, undefined, [endpoint]);
  const { port } = await server.listen();
  const rpcAddr = `127.0.0.1:${port}`;
  const transport = new GrpcPeerTransport({ checksum, endpoint, clock: systemClock, random: () => 0.5, logger });
  transport.start(
    { id: 2, rpcAddr },
    {
      receive: ({ from }) => heard.push(from),
      unreachable: (id) => heard.push(id),
      appendForwarded: append,
      producersForwarded: new FakeCommitLog(),
    },
  );
  endpoint.setReplicas(desk);
  closing.push(async () => {
    await transport.close();
    await server.close(0);
  });
  return { rpcAddr, transport, heard };
}

function uplinkOf(logId: Uint8Array = checksum.logId, name = 'r1'): GrpcReplicaUplink {
  const uplink = new GrpcReplicaUplink({
    checksum: { crc32c, logId },
    self: { name, rpcAddr: 'r1:8400' },
    ...{ clock: systemClock, random: () => 0.5, logger: new RecordingLogger() },
  });
  closing.push(() => uplink.close());
  return uplink;
}

const from = (index: number, term = 1): FollowFrom => ({ index: toIndex(index), term: toTerm(term) });

async function follow(
  uplink: GrpcReplicaUplink,
  rpcAddr: string,
  place: FollowFrom,
  until: (news: SourceNews) => boolean,
): Promise<SourceNews[]> {
  const all: SourceNews[] = [];
  for await (const news of uplink.follow({ rpcAddr }, place, forever)) {
    all.push(news);
    if (until(news)) break;
  }
  return all;
}

const never = (): boolean => false;
const bytes = ({ header, payload }: RecordBatch): string => Buffer.concat([header, payload]).toString('base64');

async function until(holds: () => boolean): Promise<void> {
  for (let i = 0; !holds(); i++) {
    if (i > 1_000) throw new Error(`not within 5 s: ${holds.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe('entries that a replica follows', () => {
  it('come as they are stored, behind a status, and end at the source when nobody follows any more', async () => {
    const desk = new Desk();
    const { rpcAddr } = await serve(desk);
    const all = await follow(uplinkOf(), rpcAddr, from(3), ({ highWatermark }) => highWatermark === 81);
    expect(all[0]).toEqual({ batches: [], highWatermark: 80, status: source });
    expect(all.flatMap((news) => news.batches).map(bytes)).toEqual(batches.slice(2).map(bytes));
    await until(() => desk.following === 0);
  });

  it('end with the reason of an abort', async () => {
    const desk = new Desk();
    const { rpcAddr } = await serve(desk);
    const stop = new AbortController();
    const reading = (async () => {
      for await (const { batches: run } of uplinkOf().follow({ rpcAddr }, from(31), stop.signal))
        if (run.length > 0) setImmediate(() => stop.abort(new Error('stop')));
    })();
    await expect(reading).rejects.toThrow('stop');
    await until(() => desk.following === 0);
  });

  it('are refused with what is the matter, behind the status', async () => {
    const { rpcAddr } = await serve(new Desk());
    await expect(follow(uplinkOf(), rpcAddr, from(2), never)).rejects.toThrow(/index 2 is out of range/);
    await expect(follow(uplinkOf(), rpcAddr, from(3, 9), never)).rejects.toThrow(/entry 2 is of term 1/);
    const [{ status }] = await follow(uplinkOf(), rpcAddr, from(2), (news) => news.status !== undefined);
    expect(status).toEqual(source);
  });

  it('do not pass damaged', async () => {
    const desk = new Desk();
    desk.change = (batch) => ({ ...batch, payload: batch.payload.map((byte, at) => (at === 99 ? byte ^ 1 : byte)) });
    const { rpcAddr } = await serve(desk);
    await expect(follow(uplinkOf(), rpcAddr, from(3), never)).rejects.toThrow(InvalidInputError);
  });

  it('are for replicas of this cluster, and for those that do not know one yet', async () => {
    const { rpcAddr } = await serve(new Desk());
    const stranger = uplinkOf(new Uint8Array(16));
    await expect(follow(stranger, rpcAddr, from(3), never)).rejects.toThrow(/expected 0000/);
    const newcomer = uplinkOf(new Uint8Array(0));
    const [{ status }] = await follow(newcomer, rpcAddr, from(3), (news) => news.status !== undefined);
    expect(status?.clusterId).toEqual(checksum.logId);
  });

  it('end as retryable when the member closes its links, or is not there', async () => {
    const desk = new Desk();
    const { rpcAddr, transport } = await serve(desk);
    const reading = follow(uplinkOf(), rpcAddr, from(3), ({ highWatermark }) => {
      if (highWatermark === 81) void transport.close();
      return false;
    });
    await expect(reading).rejects.toThrow(UnavailableError);
    await expect(follow(uplinkOf(), rpcAddr, from(3), never)).rejects.toThrow(UnavailableError);
    await expect(follow(uplinkOf(), '127.0.0.1:1', from(3), never)).rejects.toThrow(UnavailableError);
    await until(() => desk.following === 0);
  });
});

describe('a replica that takes nothing', () => {
  it('is given a bounded amount, and dropped after a time', async () => {
    const logger = new RecordingLogger();
    const desk = new Desk();
    desk.endless = true;
    const calls = new ReplicaCalls(logger, 300);
    calls.setHandler(desk);
    const guest = {
      descriptor: PeerService,
      implementation: { followEntries: (call: Parameters<ReplicaCalls['follow']>[0]) => calls.follow(call) },
    };
    const server = new GrpcServer({ host: '127.0.0.1', port: 0 }, new FakeCommitLog(), logger, undefined, [guest]);
    const { port } = await server.listen();
    closing.push(() => server.close(0));
    const news = uplinkOf().follow({ rpcAddr: `127.0.0.1:${port}` }, from(3), forever);
    await news.next();
    await until(() => desk.following === 0);
    expect(logger.events('warn')).toContain('replica_stalled');
    // 400 kB each: what the connection and the streams at both ends hold.
    expect(desk.given).toBeLessThan(80);
    await expect(
      (async () => {
        for await (const { batches: run } of { [Symbol.asyncIterator]: () => news })
          expect(run.length).toBeLessThan(11);
      })(),
    ).rejects.toThrow(UnavailableError);
  });
});

describe('what a replica asks of members besides', () => {
  it('is a barrier for reads', async () => {
    const { rpcAddr } = await serve(new Desk());
    expect(await uplinkOf().readBarrier({ rpcAddr }, forever)).toBe(77);
    await expect(uplinkOf().readBarrier({ rpcAddr: '127.0.0.1:1' }, forever)).rejects.toThrow(UnavailableError);
  });

  it('are appends, of several replicas side by side, which make none of them known as a member', async () => {
    const { rpcAddr, heard } = await serve(new Desk());
    const [a, b] = [uplinkOf(checksum.logId, 'r1'), uplinkOf(checksum.logId, 'r2')];
    for (const uplink of [a, b, a, b])
      expect(await uplink.append({ ...leader, rpcAddr }, records('x'), {})).toEqual(receipt);
    expect(heard).toEqual([]);
  });

  it('fails in kind: refused by the leader, sent to another member, or sent to nobody', async () => {
    const { rpcAddr } = await serve(new Desk(), () => Promise.reject(new OverloadedError('the queue', 9)));
    const uplink = uplinkOf();
    const append = (to: Partial<typeof leader>) => uplink.append({ ...leader, rpcAddr, ...to }, records('x'), {});
    await expect(append({})).rejects.toThrow(OverloadedError);
    await expect(append({ id: 3 })).rejects.toThrow(UnavailableError);
    await expect(append({ rpcAddr: '127.0.0.1:1' })).rejects.toThrow(UnavailableError);
  });

  it('is no more than that: it is no member', async () => {
    const { rpcAddr } = await serve(new Desk());
    const posing = new GrpcEntrySource(checksum, { id: 0, rpcAddr: 'r1:8400' });
    await expect(posing.logEnd({ id: 2, rpcAddr }, 1, forever)).rejects.toThrow('a replica is not a member');
  });
});
