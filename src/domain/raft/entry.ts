import type { BatchKind, RecordBatch } from '../log/record-batch.js';

/** The content of an entry: a client's bytes, or a membership change in either encoding (`conf-change.ts`). */
export type EntryType = 'normal' | 'conf-change' | 'conf-change-v2';

/**
 * One entry of the replicated log (Raft §5.3). `index` counts from 1 without gaps; `term` never decreases along the
 * log. `data` belongs to the entry once it is proposed and must not be modified.
 */
export interface Entry {
  readonly term: number;
  readonly index: number;
  readonly type: EntryType;
  readonly data: Uint8Array;
  /**
   * The kind of batch that a normal entry becomes, set with the proposal; the core's own entries have none. Copied to the
   * entry, as `prefix` is, and unread.
   */
  readonly kind?: BatchKind | undefined;
  /** The prefix of that batch. */
  readonly prefix?: Uint8Array | undefined;
  /**
   * The entry in the form that is stored and sent to peers, built by the driver once the entry has its index. The core
   * passes it along unread.
   */
  batch?: RecordBatch;
  /**
   * An object that identifies the proposal for the proposer. The core copies it from the proposal to the entry, unread;
   * it is neither stored nor sent.
   */
  proposal?: object | undefined;
}

/** What a proposal gives to its entry. */
export type ProposedEntry = Pick<Entry, 'data' | 'kind' | 'prefix' | 'proposal'>;

const noData = new Uint8Array(0);

/** Builds an entry; the defaults are zero, `normal` and no data. */
export function entry(fields: Partial<Entry>): Entry {
  return { term: 0, index: 0, type: 'normal', data: noData, ...fields };
}

/**
 * Returns the size of the entry as a protobuf message, which every limit on a list of entries uses (message size,
 * committed size per ready). Term and index always count; the type counts unless it is `normal`, the data unless it is
 * empty.
 */
export function entrySize({ term, index, type, data }: Entry): number {
  const length = data.length;
  const typeBytes = type === 'normal' ? 0 : 2;
  const dataBytes = length === 0 ? 0 : 1 + varintBytes(length) + length;
  return typeBytes + 1 + varintBytes(term) + 1 + varintBytes(index) + dataBytes;
}

/** Returns the sum of `entrySize`. */
export function entriesSize(entries: readonly Entry[]): number {
  let bytes = 0;
  for (const each of entries) bytes += entrySize(each);
  return bytes;
}

/** Returns the size of the data alone, which counts toward a leader's uncommitted and in-flight limits. */
export function payloadsSize(entries: readonly Entry[]): number {
  let bytes = 0;
  for (const each of entries) bytes += each.data.length;
  return bytes;
}

/** Returns the longest prefix of `entries` whose `entrySize` sums to at most `bytesMax`, but at least one entry. */
export function limitEntriesSize(entries: readonly Entry[], bytesMax: number): readonly Entry[] {
  let bytes = 0;
  for (const [i, each] of entries.entries()) {
    bytes += entrySize(each);
    if (bytes > bytesMax && i > 0) return entries.slice(0, i);
  }
  return entries;
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes += 1;
  return bytes;
}
