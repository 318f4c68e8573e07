import { type EpochMs, type Index, type Offset, toEpochMs } from './offsets.js';
import { sameBoundary, type LogBoundary } from './log-boundary.js';
import type { QuarantineList } from './quarantine.js';
import { newestTimes, type RetentionPolicy } from './retention.js';
import type { Segment } from './segment.js';
import type { DamagedStretch } from './stretch-copy.js';

/**
 * The segments of an open log, oldest first, as readers see them. Only the writer changes the list, never across an
 * `await`.
 */
export class SegmentList {
  /** Counts suffix truncations: if it changed during a read, the batches read may have been dropped. */
  cuts = 0;
  /** Counts prefix truncations: if it changed during a failed read, the file may have been removed. */
  drops = 0;

  constructor(
    public start: LogBoundary,
    readonly segments: Segment[],
    readonly quarantine: QuarantineList,
  ) {}

  get active(): Segment {
    return this.segments[this.segments.length - 1];
  }

  get end(): LogBoundary {
    return this.active.end;
  }

  get lastIndex(): Index {
    return (this.end.index - 1) as Index;
  }

  get bytes(): number {
    return this.segments.reduce((sum, { length }) => sum + length, 0);
  }

  /** Returns the size of the stores that end at or before the index. */
  bytesBelow(index: Index): number {
    return this.segments.reduce((sum, { end, length }) => sum + (end.index <= index ? length : 0), 0);
  }

  /** Returns the segment that contains the offset, which must be in the log. */
  ofOffset(offset: Offset): Segment {
    return this.#last(({ base }) => base.offset <= offset);
  }

  ofIndex(index: Index): Segment {
    return this.#last(({ base }) => base.index <= index);
  }

  /** Returns the number of segments that begin below the index; always counts the first one. */
  countBelow(index: Index): number {
    return this.segments.indexOf(this.#last(({ base }) => base.index < index)) + 1;
  }

  /** Returns `index`, or the start of the quarantined ranges right before it. */
  firstUnreadableBefore(index: Index): Index {
    let first = index;
    for (;;) {
      const range = this.quarantine.atIndex((first - 1) as Index);
      if (!range || range.fromIndex < this.start.index) return first;
      first = range.fromIndex;
    }
  }

  get lastTimeMs(): EpochMs {
    const { lastTimeMs } = this.active;
    return lastTimeMs ?? this.segments.at(-2)?.maxTimeMs ?? toEpochMs(0);
  }

  /** Returns the number of leading segments that a retention policy drops. */
  countToDrop(policy: RetentionPolicy): number {
    const { bytesMax = Infinity, startOffset = 0, upTo } = policy;
    const isTooOld = this.#tooOld(policy);
    let bytes = this.bytes;
    let count = 0;
    while (count < this.segments.length - 1) {
      const { end, length } = this.segments[count];
      const tooOld = isTooOld(count);
      if (end.index > upTo || !(bytes > bytesMax || tooOld || end.offset <= startOffset)) break;
      bytes -= length;
      count++;
    }
    return count;
  }

  /** Returns whether a policy removes a segment because of its age. */
  #tooOld({ ageMsMax, now, upTo, maybeOldUpTo = upTo, surelyOldUpTo }: RetentionPolicy): (i: number) => boolean {
    if (ageMsMax === undefined || now === undefined) return () => false;
    const newest = newestTimes(this.segments, now);
    return (i) => {
      const [{ end }, time] = [this.segments[i], newest[i]];
      if (time === undefined) return surelyOldUpTo !== undefined && end.index <= surelyOldUpTo;
      return end.index <= maybeOldUpTo && time < now - ageMsMax;
    };
  }

  /** Returns the first damaged part of the log in sealed segments that ends at or before the index. */
  damagedStretch(upTo: Index): DamagedStretch | undefined {
    let from = this.start;
    let first = 0;
    for (const [i, segment] of this.segments.entries()) {
      if (segment.unreadable) continue;
      const to = segment.base;
      if (to.index > upTo) return undefined;
      const stretch = { from, to, segments: this.segments.slice(first, i) };
      if (this.#isDamaged(stretch)) return stretch;
      [from, first] = [to, i];
    }
    return undefined;
  }

  /** A stretch without a file of its own needs a name that is not in use. */
  #isDamaged(stretch: DamagedStretch): boolean {
    const { from, to, segments } = stretch;
    if (from.index >= to.index || (from.offset === to.offset && segments.length === 0)) return false;
    return segments.some(({ hasBadHeader }) => hasBadHeader) || this.quarantine.touches(from.index, to.index);
  }

  /** Returns true if the stretch is as it was when it was found. */
  has({ from, to, segments }: DamagedStretch): boolean {
    const next = this.segments.find(({ base }) => sameBoundary(base, to));
    const isStart = sameBoundary(this.start, from) || segments.some(({ base }) => sameBoundary(base, from));
    return next !== undefined && isStart && segments.every((each) => this.segments.includes(each));
  }

  /** Puts whole segments in the place of a stretch. */
  replaceStretch(stretch: DamagedStretch, segments: readonly Segment[]): void {
    const at = this.segments.findIndex(({ base }) => sameBoundary(base, stretch.to));
    this.segments.splice(at - stretch.segments.length, stretch.segments.length, ...segments);
    this.quarantine.mend(stretch.from, stretch.to);
    this.drops++;
  }

  add(segment: Segment): void {
    this.segments.push(segment);
  }

  dropFirst(count: number): Segment[] {
    const dropped = this.segments.splice(0, count);
    this.start = this.segments[0].base;
    this.quarantine.cutBelow(this.start.index);
    this.drops++;
    return dropped;
  }

  /** Keeps the first `count` segments and returns the others. */
  dropLast(count: number): Segment[] {
    return this.segments.splice(count);
  }

  /** Replaces all segments by one empty segment; returns the old ones. */
  restart(segment: Segment): Segment[] {
    this.start = segment.base;
    this.quarantine.clear();
    this.cuts++;
    this.drops++;
    return this.segments.splice(0, this.segments.length, segment);
  }

  replaceLast(segment: Segment): void {
    this.segments[this.segments.length - 1] = segment;
  }

  /**
   * Binary search: returns the last segment that meets the condition, or the first segment if none does. The condition
   * must be true for a prefix of the list and false after it.
   */
  #last(condition: (segment: Segment) => boolean): Segment {
    let low = 0;
    let high = this.segments.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (condition(this.segments[middle])) low = middle + 1;
      else high = middle;
    }
    return this.segments[Math.max(0, low - 1)];
  }
}
