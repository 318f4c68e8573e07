import type { Index, Offset, Term } from './offsets.js';
import { toIndex, toOffset, toTerm } from './offsets.js';
import type { BatchHeader, RecordBatch } from './record-batch.js';

/** A boundary between two batches: the offset and index of the next batch, and the term of the previous one. */
export interface LogBoundary {
  readonly offset: Offset;
  readonly index: Index;
  /** The term of the batch before the boundary, 0 at the origin; the next batch's term is not lower. */
  readonly term: Term;
}

/** The start of a log that has never held an entry. */
export const logOrigin: LogBoundary = { offset: toOffset(0), index: toIndex(1), term: toTerm(0) };

type BatchBounds = Pick<RecordBatch | BatchHeader, 'baseOffset' | 'recordCount' | 'index' | 'term'>;

export function boundaryAfter({ baseOffset, recordCount, index, term }: BatchBounds): LogBoundary {
  return { offset: (baseOffset + recordCount) as Offset, index: (index + 1) as Index, term };
}

/** Returns true if the batch is the next one at `boundary`. */
export function follows(batch: BatchBounds, boundary: LogBoundary): boolean {
  return batch.baseOffset === boundary.offset && batch.index === boundary.index && batch.term >= boundary.term;
}

export function sameBoundary(a: LogBoundary, b: LogBoundary): boolean {
  return a.offset === b.offset && a.index === b.index && a.term === b.term;
}

export function describeBoundary({ offset, index, term }: LogBoundary): string {
  return `offset ${offset}, index ${index}, after term ${term}`;
}

/** Returns true if a segment with this base begins at or after a boundary, or holds offsets after it. */
export const startsAfter = (base: LogBoundary, boundary: LogBoundary): boolean =>
  base.index >= boundary.index || base.offset > boundary.offset;
