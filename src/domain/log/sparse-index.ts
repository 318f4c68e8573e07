import { readUint32, readUint64, writeUint32, writeUint64 } from './big-endian.js';
import type { EpochMs, Index, Offset, Position } from './offsets.js';
import type { BatchHeader, RecordBatch } from './record-batch.js';
import { BatchKind } from './record-batch.js';
import { invariant } from './invariant.js';

export const indexEntryBytes = 20;
const entriesAtFirst = 64;

/** One indexed batch. */
export interface IndexEntry {
  readonly offset: Offset;
  readonly index: Index;
  readonly position: Position;
  /** The highest append time of the segment's records up to and including this batch. */
  readonly maxTimeMs: EpochMs;
}

/**
 * Maps an offset, index or time to the position of a batch at or before it. Has one entry per `intervalBytes` of store,
 * and always one for the first batch. Every entry points to the start of a batch, so the bytes between two entries are
 * always whole batches. Entries are hints: readers check the batch at the position.
 */
export class SparseIndex {
  #count = 0;
  /**
   * Relative to the base, so that 32 bits suffice: a segment is below 2 GiB, and each index takes at least 52 bytes.
   */
  #offsets = new Uint32Array(entriesAtFirst);
  #indexes = new Uint32Array(entriesAtFirst);
  #positions = new Uint32Array(entriesAtFirst);
  #times = new Float64Array(entriesAtFirst);
  #maxTimeMs = 0;

  constructor(
    readonly baseOffset: Offset,
    readonly baseIndex: Index,
    private readonly intervalBytes: number,
  ) {}

  get count(): number {
    return this.#count;
  }

  /** Memory used by the entries. */
  get bytes(): number {
    return this.#times.length * indexEntryBytes;
  }

  /** The highest append time of the records noted so far, 0 without records. */
  get maxTimeMs(): EpochMs {
    return this.#maxTimeMs as EpochMs;
  }

  /** Notes the batch written at `position`; `force` adds an entry for it however near the previous entry is. */
  note(batch: RecordBatch | BatchHeader, position: Position, force = false): void {
    if (batch.kind === BatchKind.records && batch.appendTimeMs > this.#maxTimeMs) this.#maxTimeMs = batch.appendTimeMs;
    const last = this.#count - 1;
    if (last >= 0 && !force && position - this.#positions[last] < this.intervalBytes) return;
    this.#push(batch.baseOffset - this.baseOffset, batch.index - this.baseIndex, position, this.#maxTimeMs);
  }

  #push(offset: number, index: number, position: number, time: number): void {
    invariant(offset < 2 ** 32 && index < 2 ** 32 && position < 2 ** 32, 'a segment fits its index');
    if (this.#count === this.#times.length) this.#grow();
    this.#offsets[this.#count] = offset;
    this.#indexes[this.#count] = index;
    this.#positions[this.#count] = position;
    this.#times[this.#count] = time;
    this.#count++;
  }

  #grow(): void {
    const capacity = this.#times.length * 2;
    const grown = (from: Uint32Array): Uint32Array<ArrayBuffer> => {
      const to = new Uint32Array(capacity);
      to.set(from);
      return to;
    };
    this.#offsets = grown(this.#offsets);
    this.#indexes = grown(this.#indexes);
    this.#positions = grown(this.#positions);
    const times = new Float64Array(capacity);
    times.set(this.#times);
    this.#times = times;
  }

  entry(i: number): IndexEntry {
    return {
      offset: (this.baseOffset + this.#offsets[i]) as Offset,
      index: (this.baseIndex + this.#indexes[i]) as Index,
      position: this.#positions[i] as Position,
      maxTimeMs: this.#times[i] as EpochMs,
    };
  }

  /** Returns the number of the last entry at or below the offset, or -1. */
  floorOffset(offset: Offset): number {
    return floor(this.#offsets, this.#count, offset - this.baseOffset);
  }

  floorIndex(index: Index): number {
    return floor(this.#indexes, this.#count, index - this.baseIndex);
  }

  /** Returns the number of the last entry such that every record up to its batch is older than `time`, or -1. */
  floorTime(time: EpochMs): number {
    return floor(this.#times, this.#count, time - 1);
  }

  /**
   * Returns where a read that begins at an entry stops: the position of the last entry within `bytesMax`, but at least
   * that of the next entry. `end` is the end of the store.
   */
  readEnd(i: number, bytesMax: number, end: Position): Position {
    const start = this.#positions[i];
    if (end - start <= bytesMax) return end;
    const within = floor(this.#positions, this.#count, start + bytesMax);
    const stop = Math.max(within, i + 1);
    return stop < this.#count ? (Math.min(this.#positions[stop], end) as Position) : end;
  }

  /** Drops the batches at and after `position`; `maxTimeMs` is that of the remaining records. */
  truncate(position: Position, maxTimeMs: EpochMs): void {
    while (this.#count > 0 && this.#positions[this.#count - 1] >= position) this.#count--;
    this.#maxTimeMs = maxTimeMs;
  }

  /** Appends the entries of `other` from `position` on. */
  adopt(other: SparseIndex, position: Position): void {
    for (let i = 0; i < other.#count; i++)
      if (other.#positions[i] >= position)
        this.#push(
          other.#offsets[i],
          other.#indexes[i],
          other.#positions[i],
          Math.max(other.#times[i], this.#maxTimeMs),
        );
    this.#maxTimeMs = Math.max(this.#maxTimeMs, other.#maxTimeMs);
  }

  encode(): Uint8Array {
    const bytes = new Uint8Array(this.#count * indexEntryBytes);
    for (let i = 0, at = 0; i < this.#count; i++, at += indexEntryBytes) {
      writeUint32(bytes, at, this.#offsets[i]);
      writeUint32(bytes, at + 4, this.#indexes[i]);
      writeUint32(bytes, at + 8, this.#positions[i]);
      writeUint64(bytes, at + 12, this.#times[i]);
    }
    return bytes;
  }

  /** Decodes the output of `encode`; the caller verifies the checksum. */
  static decode(bytes: Uint8Array, baseOffset: Offset, baseIndex: Index, intervalBytes: number): SparseIndex {
    const index = new SparseIndex(baseOffset, baseIndex, intervalBytes);
    for (let at = 0; at + indexEntryBytes <= bytes.length; at += indexEntryBytes)
      index.#push(
        readUint32(bytes, at),
        readUint32(bytes, at + 4),
        readUint32(bytes, at + 8),
        readUint64(bytes, at + 12),
      );
    if (index.#count > 0) index.#maxTimeMs = index.#times[index.#count - 1];
    return index;
  }
}

/**
 * Binary search in the first `count` values, which never decrease: returns the number of the last one that is at most
 * `target`, or -1.
 */
function floor(values: Uint32Array | Float64Array, count: number, target: number): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (values[middle] <= target) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
