import { CorruptRangeError, DamagedEndError } from './errors.js';
import type { LogBoundary } from './log-boundary.js';
import type { Index, Offset } from './offsets.js';
import type { Quarantine } from './recovery.js';

/**
 * The quarantined ranges of an open log. A range that reaches into the active segment, or lies after the end, blocks
 * appends. A range in a sealed segment does not: what follows it is intact, and it is found only when it is read.
 */
export class QuarantineList {
  #ranges: Quarantine[] = [];

  get ranges(): readonly Quarantine[] {
    return this.#ranges;
  }

  /** Adds a range; returns false if it was already covered. */
  add(range: Quarantine): boolean {
    const known = this.#ranges.some(
      ({ from, to, fromIndex, toIndex }) =>
        from <= range.from && range.to <= to && fromIndex <= range.fromIndex && range.toIndex <= toIndex,
    );
    if (!known) this.#ranges.push(range);
    return !known;
  }

  /** Returns the range that blocks appends to a log whose active segment begins at the index. */
  atEnd(activeIndex: Index): Quarantine | undefined {
    return this.#ranges.find(({ fromIndex, toIndex }) => fromIndex >= activeIndex || toIndex > activeIndex);
  }

  assertEndWhole(activeIndex: Index): void {
    const range = this.atEnd(activeIndex);
    if (range) throw new DamagedEndError(range.from, range.to, range.reason);
  }

  assertOffsetReadable(offset: Offset): void {
    const range = this.#ranges.find(({ from, to, endUnknown }) => from <= offset && (offset < to || endUnknown));
    if (range) throw corrupt(range);
  }

  /** Returns the offset after the last one that is stored or lost. One is counted where their number is unknown. */
  endOffset(stored: Offset): Offset {
    return Math.max(stored, ...this.#ranges.map(({ to, endUnknown }) => to + (endUnknown ? 1 : 0))) as Offset;
  }

  assertIndexReadable(index: Index): void {
    const range = this.#ranges.find(({ fromIndex, toIndex }) => fromIndex <= index && index < toIndex);
    if (range) throw corrupt(range);
  }

  /** Returns the range that contains the index, if it is quarantined. */
  atIndex(index: Index): Quarantine | undefined {
    return this.#ranges.find(({ fromIndex, toIndex }) => fromIndex <= index && index < toIndex);
  }

  /** Returns true if a range lies in these indexes, `to` exclusive, at least in part. */
  touches(from: Index, to: Index): boolean {
    return this.#ranges.some(({ fromIndex, toIndex }) => fromIndex < to && Math.max(toIndex, fromIndex + 1) > from);
  }

  /** Removes what lies between two log boundaries, which is whole again. */
  mend(from: LogBoundary, to: LogBoundary): void {
    this.#ranges = this.#ranges.flatMap((range) => {
      const { fromIndex, toIndex } = range;
      if (fromIndex > to.index || Math.max(toIndex, fromIndex + 1) <= from.index) return [range];
      const before = { ...range, to: from.offset, toIndex: from.index };
      const after = { ...range, from: to.offset, fromIndex: to.index };
      return [...(fromIndex < from.index ? [before] : []), ...(toIndex > to.index ? [after] : [])];
    });
  }

  /** Returns true if a suffix truncation at the index would remove quarantined entries. */
  reaches(index: Index): boolean {
    return this.#ranges.some(({ fromIndex, toIndex }) => fromIndex >= index || toIndex > index);
  }

  /** Removes the ranges that a suffix truncation dropped. */
  cutFrom(index: Index): void {
    this.#ranges = this.#ranges.filter(({ fromIndex }) => fromIndex < index);
  }

  clear(): void {
    this.#ranges = [];
  }

  /** Removes the ranges that a prefix truncation dropped. */
  cutBelow(startIndex: Index): void {
    this.#ranges = this.#ranges.filter(({ toIndex }) => toIndex > startIndex);
  }
}

export function corrupt({ from, to, reason }: Quarantine): CorruptRangeError {
  return new CorruptRangeError(from, to, reason);
}
