import type { EpochMs, Index, Offset } from './offsets.js';
import type { LogBoundary } from './log-boundary.js';
import type { QuarantineList } from './quarantine.js';
import type { Segment } from './segment.js';

/** The segments of an open log, oldest first, as readers see them. The writer changes it, never across an `await`. */
export class SegmentList {
  /** Counts suffix truncations: what a read found while it changed may be gone. */
  cuts = 0;
  /** Counts prefix truncations: a read that failed while it changed may have lost its file. */
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

  /** The segment that holds the offset, which is in the log. */
  ofOffset(offset: Offset): Segment {
    return this.#last(({ base }) => base.offset <= offset);
  }

  ofIndex(index: Index): Segment {
    return this.#last(({ base }) => base.index <= index);
  }

  /** How many segments begin below the index; the first one always counts. */
  countBelow(index: Index): number {
    return this.segments.indexOf(this.#last(({ base }) => base.index < index)) + 1;
  }

  /** `index`, or where the quarantined range right before it begins. */
  firstUnreadableBefore(index: Index): Index {
    let first = index;
    for (;;) {
      const range = this.quarantine.atIndex((first - 1) as Index);
      if (!range || range.fromIndex < this.start.index) return first;
      first = range.fromIndex;
    }
  }

  /** How many leading segments a retention policy gives up. */
  countToDrop(policy: { bytesMax?: number; ageMsMax?: number; now: EpochMs; upTo: Index }): number {
    const { bytesMax = Infinity, ageMsMax = Infinity, now, upTo } = policy;
    let bytes = this.bytes;
    let count = 0;
    while (count < this.segments.length - 1) {
      const { end, maxTimeMs, length, unreadable } = this.segments[count];
      const tooOld = !unreadable && maxTimeMs < now - ageMsMax;
      if (end.index > upTo || !(bytes > bytesMax || tooOld)) break;
      bytes -= length;
      count++;
    }
    return count;
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

  /** Keeps the first `count` and returns the others. */
  dropLast(count: number): Segment[] {
    return this.segments.splice(count);
  }

  /** Begins anew with one empty segment; returns those of before. */
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

  /** The last segment for which the condition, true for some and then false for the rest, holds; else the first. */
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
