import { CorruptRangeError } from './errors.js';
import type { Index, Offset } from './offsets.js';
import type { Quarantine } from './recovery.js';

/** The quarantined ranges of an open log. While there is one the log takes no appends. */
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

  assertNone(): void {
    if (this.#ranges.length > 0) throw corrupt(this.#ranges[0]);
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

  /** Forgets what a prefix truncation removed. */
  cutBelow(startIndex: Index): void {
    this.#ranges = this.#ranges.filter(({ toIndex }) => toIndex > startIndex);
  }
}

export function corrupt({ from, to, reason }: Quarantine): CorruptRangeError {
  return new CorruptRangeError(from, to, reason);
}
