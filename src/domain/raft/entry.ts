import type { RecordBatch } from '../log/record-batch.js';

/** What an entry holds: a client's bytes, or a membership change of either encoding (`conf-change.ts`). */
export type EntryType = 'normal' | 'conf-change' | 'conf-change-v2';

/**
 * One slot of the replicated log (Raft §5.3). `index` counts from 1 without gaps; `term` never falls along the log.
 * `data` belongs to the entry from the moment it is proposed: nobody writes to it again.
 */
export interface Entry {
  readonly term: number;
  readonly index: number;
  readonly type: EntryType;
  readonly data: Uint8Array;
  /**
   * The entry as the log stores and the peers pass it, made by the driver once the entry has its place. The core hands
   * it along and never looks at it.
   */
  batch?: RecordBatch;
  /**
   * What was proposed, in the proposer's own terms: the core hands it from the proposal to the entry that it gives out
   * for it, and never looks at it. It is neither stored nor sent.
   */
  proposal?: object | undefined;
}

const noData = new Uint8Array(0);

/** Builds an entry; what is left out is zero, `normal` and no data. */
export function entry(fields: Partial<Entry>): Entry {
  return { term: 0, index: 0, type: 'normal', data: noData, ...fields };
}

/**
 * Bytes the entry takes as a protobuf message: the measure of every limit on a list of entries (message size,
 * committed size per ready). Term and index always count; the type counts unless it is `normal`, the data unless
 * there is none.
 */
export function entrySize(of: Entry): number {
  const length = of.data.length;
  const typeBytes = of.type === 'normal' ? 0 : 2;
  const dataBytes = length === 0 ? 0 : 1 + varintBytes(length) + length;
  return typeBytes + 1 + varintBytes(of.term) + 1 + varintBytes(of.index) + dataBytes;
}

/** Sum of `entrySize`. */
export function entriesSize(entries: readonly Entry[]): number {
  let bytes = 0;
  for (const each of entries) bytes += entrySize(each);
  return bytes;
}

/** Bytes of the data alone: what a leader counts against its uncommitted and in-flight limits. */
export function payloadsSize(entries: readonly Entry[]): number {
  let bytes = 0;
  for (const each of entries) bytes += each.data.length;
  return bytes;
}

/** The longest prefix of `entries` whose `entrySize` sums to at most `bytesMax`, but never less than one entry. */
export function limitEntriesSize(entries: readonly Entry[], bytesMax: number): readonly Entry[] {
  let bytes = 0;
  for (const [place, each] of entries.entries()) {
    bytes += entrySize(each);
    if (bytes > bytesMax && place > 0) return entries.slice(0, place);
  }
  return entries;
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes += 1;
  return bytes;
}
