import { CorruptRangeError, DamagedEndError } from './errors.js';
import type { Index, Offset } from './offsets.js';
import type { Quarantine } from './recovery.js';

/**
 * The quarantined ranges of an open log. One that reaches into the active segment, or lies beyond the end, refuses
 * appends. One in a sealed segment does not: what follows it is in place, and whether it is known depends on whether
 * somebody read it since the log was opened.
 */
export class QuarantineList {
  #ranges: Quarantine[] = [];

  get ranges(): readonly Quarantine[] {
    return this.#ranges;
  }

  /** False when it is known already. */
  add(range: Quarantine): boolean {
    const known = this.#ranges.some(
      ({ from, to, fromIndex, toIndex }) =>
        from <= range.from && range.to <= to && fromIndex <= range.fromIndex && range.toIndex <= toIndex,
    );
    if (!known) this.#ranges.push(range);
    return !known;
  }

  /** The range that refuses appends to a log whose active segment begins at the index. */
  atEnd(activeIndex: Index): Quarantine | undefined {
    return this.#ranges.find(({ fromIndex, toIndex }) => fromIndex >= activeIndex || toIndex > activeIndex);
  }

  assertEndWhole(activeIndex: Index): void {
    const range = this.atEnd(activeIndex);
    if (range) throw new DamagedEndError(range.from, range.to, range.reason);
  }

  assertOffsetReadable(offset: Offset): void {
    const range = this.#ranges.find(({ from, to }) => from <= offset && offset < to);
    if (range) throw corrupt(range);
  }

  assertIndexReadable(index: Index): void {
    const range = this.#ranges.find(({ fromIndex, toIndex }) => fromIndex <= index && index < toIndex);
    if (range) throw corrupt(range);
  }

  /** The range that holds the index, if it is quarantined. */
  atIndex(index: Index): Quarantine | undefined {
    return this.#ranges.find(({ fromIndex, toIndex }) => fromIndex <= index && index < toIndex);
  }

  /** Whether a suffix truncation at the index would remove any of it. */
  reaches(index: Index): boolean {
    return this.#ranges.some(({ fromIndex, toIndex }) => fromIndex >= index || toIndex > index);
  }

  /** Forgets what a suffix truncation removed. */
  cutFrom(index: Index): void {
    this.#ranges = this.#ranges.filter(({ fromIndex }) => fromIndex < index);
  }

  clear(): void {
    this.#ranges = [];
  }

  /** Forgets what a prefix truncation removed. */
  cutBelow(startIndex: Index): void {
    this.#ranges = this.#ranges.filter(({ toIndex }) => toIndex > startIndex);
  }
}

export function corrupt({ from, to, reason }: Quarantine): CorruptRangeError {
  return new CorruptRangeError(from, to, reason);
}
