import { crc32c } from '../../src/adapters/checksum/crc32c.js';
import { entryOfBatch } from '../../src/application/raft/batch-entry.js';
import type {
  AppendReceipt,
  OpenedProducer,
  ProducerOpening,
  Producers,
  ProposeOptions,
} from '../../src/application/ports/consensus.js';
import type { JoinHandler, JoinTransport } from '../../src/application/ports/join-transport.js';
import type { PeerReceiver, PeerTransport } from '../../src/application/ports/peer-transport.js';
import { toEpochMs, toIndex, toOffset, toTerm } from '../../src/domain/log/offsets.js';
import { BatchKind, type Records, type BatchChecksum, sealBatch } from '../../src/domain/log/record-batch.js';
import { frameRecords } from '../../src/domain/log/records.js';
import type { Entry } from '../../src/domain/raft/entry.js';
import { message, type Message } from '../../src/domain/raft/message.js';

export interface NodeUnderTest {
  readonly rpcAddr: string;
  readonly transport: PeerTransport;
  setJoinHandler(desk: JoinHandler): void;
  /** Bytes queued for that member anywhere in this process. */
  waitingBytes(to: number): number;
  /** Ends the node as a crash does; `node` may be called again for its name, which gives the same address. */
  stop(): Promise<void>;
}

export interface NetworkUnderTest {
  node(name: string, checksum: BatchChecksum): Promise<NodeUnderTest>;
  readonly joinTransport: JoinTransport;
  /** Returns a HOST:PORT that accepts connections, or that no node is at, and never answers. */
  hole(): Promise<string>;
  /** Drops everything to and from the node until `heal`. */
  cut(name: string): void;
  heal(): void;
  /** The node reads nothing until `resume`. */
  stall(name: string): void;
  resume(name: string): void;
  close(): Promise<void>;
}

export const checksum: BatchChecksum = { crc32c, logId: new Uint8Array(16).fill(7) };
const limits = { recordBytesMax: 16 << 20, batchBytesMax: 16 << 20 };

export function entryAt(index: number, payloadBytes: number, by = checksum): Entry {
  const { payload } = recordsOf(payloadBytes);
  const position = { index: toIndex(index), term: toTerm(2), baseOffset: toOffset(index), appendTimeMs: toEpochMs(5) };
  return entryOfBatch(sealBatch({ kind: BatchKind.records, recordCount: 1, payload, ...position }, by));
}

/** One record: `log.v1.Record { value }`. */
export function recordsOf(valueBytes: number): Records {
  const head = [0x0a];
  for (let rest = valueBytes; ; rest >>>= 7) {
    head.push(rest > 0x7f ? (rest & 0x7f) | 0x80 : rest);
    if (rest <= 0x7f) break;
  }
  return frameRecords([Buffer.concat([Uint8Array.from(head), Buffer.alloc(valueBytes, 0x61)])], limits);
}

export const receipt: AppendReceipt = {
  baseOffset: toOffset(41),
  recordCount: 1,
  term: toTerm(3),
  index: toIndex(9),
  syncedOn: ['n1', 'n2'],
};

export class Receiver implements PeerReceiver {
  readonly messages: Message[] = [];
  readonly lost: number[] = [];
  readonly appends: { records: Records; options: ProposeOptions }[] = [];
  answer: () => Promise<AppendReceipt> = () => Promise.resolve(receipt);
  readonly openings: ProducerOpening[] = [];
  readonly closings: unknown[] = [];
  opened: () => Promise<OpenedProducer> = () => Promise.resolve({ id: 'p', epoch: 1 });
  readonly producersForwarded: Producers = {
    openProducer: (opening) => {
      this.openings.push(opening);
      return this.opened();
    },
    closeProducer: async (id, epoch) => {
      this.closings.push({ id, epoch });
      await this.opened();
    },
  };

  receive(received: Message): void {
    this.messages.push(received);
  }
  unreachable(id: number): void {
    this.lost.push(id);
  }
  appendForwarded(records: Records, options: ProposeOptions): Promise<AppendReceipt> {
    this.appends.push({ records, options });
    return this.answer();
  }
  ofType(type: Message['type']): Message[] {
    return this.messages.filter((each) => each.type === type);
  }
}

export async function until(condition: () => boolean, what = condition.toString()): Promise<void> {
  const giveUpAt = Date.now() + 10_000;
  while (!condition()) {
    if (Date.now() > giveUpAt) throw new Error(`not within 10 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

export const beat = (commit: number): Message => message({ type: 'MsgHeartbeat', from: 1, to: 2, term: 2, commit });
export const append = (...entries: Entry[]): Message =>
  message({ type: 'MsgApp', from: 1, to: 2, term: 2, logTerm: 2, index: entries[0].index - 1, entries });
