import type { Index, Offset, Term } from './offsets.js';
import { toIndex, toOffset, toTerm } from './offsets.js';
import type { BatchHeader, RecordBatch } from './record-batch.js';

/** A cut between two batches: what the next one gets, and the term of the one before. */
export interface LogBoundary {
  readonly offset: Offset;
  readonly index: Index;
  /** Of the batch before the cut, 0 where there is none; the next batch's is not lower. */
  readonly term: Term;
}

/** Where a log that never held anything begins. */
export const logOrigin: LogBoundary = { offset: toOffset(0), index: toIndex(1), term: toTerm(0) };

type PlacedBatch = Pick<RecordBatch | BatchHeader, 'baseOffset' | 'recordCount' | 'index' | 'term'>;

export function boundaryAfter({ baseOffset, recordCount, index, term }: PlacedBatch): LogBoundary {
  return { offset: (baseOffset + recordCount) as Offset, index: (index + 1) as Index, term };
}

/** Whether the batch is the one that comes next at `place`. */
export function follows(batch: PlacedBatch, place: LogBoundary): boolean {
  return batch.baseOffset === place.offset && batch.index === place.index && batch.term >= place.term;
}

export function sameBoundary(a: LogBoundary, b: LogBoundary): boolean {
  return a.offset === b.offset && a.index === b.index && a.term === b.term;
}

export function describeBoundary({ offset, index, term }: LogBoundary): string {
  return `offset ${offset}, index ${index}, after term ${term}`;
}
