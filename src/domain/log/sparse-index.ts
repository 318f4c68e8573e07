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
  /** Highest append time of the segment's records up to and including this batch. */
  readonly maxTimeMs: EpochMs;
}

/**
 * From offset, index and time to the position of a batch at or before it: an entry per `intervalBytes` of store, the
 * first batch always among them. It holds places where a batch begins and nothing else, so that the bytes between two
 * entries are always whole batches. A hint: what stands at the position is checked against the entry.
 */
export class SparseIndex {
  #count = 0;
  /** Relative to the base, so that 32 bits do: a segment is below 2 GiB, and a batch of 52 bytes takes one index. */
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

  /** Memory held. */
  get bytes(): number {
    return this.#times.length * indexEntryBytes;
  }

  /** Highest append time of the records noted so far, 0 without records. */
  get maxTimeMs(): EpochMs {
    return this.#maxTimeMs as EpochMs;
  }

  /** Notes the batch that was written at `position`; `force` makes an entry of it however near the last one is. */
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
    const room = this.#times.length * 2;
    const grown = (from: Uint32Array): Uint32Array<ArrayBuffer> => {
      const to = new Uint32Array(room);
      to.set(from);
      return to;
    };
    this.#offsets = grown(this.#offsets);
    this.#indexes = grown(this.#indexes);
    this.#positions = grown(this.#positions);
    const times = new Float64Array(room);
    times.set(this.#times);
    this.#times = times;
  }

  entry(number: number): IndexEntry {
    return {
      offset: (this.baseOffset + this.#offsets[number]) as Offset,
      index: (this.baseIndex + this.#indexes[number]) as Index,
      position: this.#positions[number] as Position,
      maxTimeMs: this.#times[number] as EpochMs,
    };
  }

  /** Number of the last entry at or below the offset; -1 when there is none. */
  floorOffset(offset: Offset): number {
    return floor(this.#offsets, this.#count, offset - this.baseOffset);
  }

  floorIndex(index: Index): number {
    return floor(this.#indexes, this.#count, index - this.baseIndex);
  }

  /** Number of the last entry before which, and in which, every record is older than `time`; -1 when there is none. */
  floorTime(time: EpochMs): number {
    return floor(this.#times, this.#count, time - 1);
  }

  /**
   * Where to stop a read that begins at an entry: the last place within `bytesMax` where a batch begins, but at least
   * the one after the entry. `end` is the end of the store.
   */
  readEnd(number: number, bytesMax: number, end: Position): Position {
    const start = this.#positions[number];
    if (end - start <= bytesMax) return end;
    const within = floor(this.#positions, this.#count, start + bytesMax);
    const stop = Math.max(within, number + 1);
    return stop < this.#count ? (Math.min(this.#positions[stop], end) as Position) : end;
  }

  /** Forgets the batches at and after `position`; `maxTimeMs` is that of the records before it. */
  truncate(position: Position, maxTimeMs: EpochMs): void {
    while (this.#count > 0 && this.#positions[this.#count - 1] >= position) this.#count--;
    this.#maxTimeMs = maxTimeMs;
  }

  /** Takes over the entries of `other` from `position` on. */
  adopt(other: SparseIndex, position: Position): void {
    for (let number = 0; number < other.#count; number++)
      if (other.#positions[number] >= position)
        this.#push(
          other.#offsets[number],
          other.#indexes[number],
          other.#positions[number],
          Math.max(other.#times[number], this.#maxTimeMs),
        );
    this.#maxTimeMs = Math.max(this.#maxTimeMs, other.#maxTimeMs);
  }

  encode(): Uint8Array {
    const bytes = new Uint8Array(this.#count * indexEntryBytes);
    for (let number = 0, at = 0; number < this.#count; number++, at += indexEntryBytes) {
      writeUint32(bytes, at, this.#offsets[number]);
      writeUint32(bytes, at + 4, this.#indexes[number]);
      writeUint32(bytes, at + 8, this.#positions[number]);
      writeUint64(bytes, at + 12, this.#times[number]);
    }
    return bytes;
  }

  /** Reads what `encode` made; its checksum is the caller's affair. */
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

/** Number of the last of the first `count` values, which never decrease, that is at most `target`; else -1. */
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
