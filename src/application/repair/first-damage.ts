import { CorruptRangeError } from '../../domain/log/errors.js';
import type { Log } from '../../domain/log/log.js';
import type { Quarantine } from '../../domain/log/recovery.js';
import { type Index, type Offset, toIndex, toOffset } from '../../domain/log/offsets.js';

/** The start of a log's damage. */
export interface FirstDamage {
  readonly from: Index;
  /** The offset after the last record before it. */
  readonly readableEnd: Offset;
}

/**
 * Returns the first entry that is damaged, or was `noted` as damaged and is still stored; undefined if the log is
 * intact. Leaves out the damage that ends before entry `limit`.
 */
export async function firstDamaged(
  log: Log,
  noted: number | undefined,
  limit: number = log.startIndex,
): Promise<FirstDamage | undefined> {
  for (;;) {
    const known = damageReaching(log.quarantined, limit);
    if (noted !== undefined && noted >= Math.max(log.startIndex, limit)) known.push(noted);
    if (known.length === 0) return undefined;
    const from = toIndex(Math.max(log.startIndex, Math.min(...known, log.lastIndex + 1)));
    const readableEnd = await offsetOf(log, from);
    // Otherwise the entry before it is damaged too, and is now known to be.
    if (readableEnd !== undefined) return { from, readableEnd };
  }
}

/**
 * Returns the first entries of the ranges that reach entry `limit` or lie after it, and of those right before such a
 * range.
 */
export function damageReaching(ranges: readonly Quarantine[], limit: number): number[] {
  const found: number[] = [];
  let lowest = Infinity;
  for (const { fromIndex, toIndex: to } of [...ranges].sort((a, b) => b.fromIndex - a.fromIndex)) {
    if (to <= limit && fromIndex < limit && to < lowest) continue;
    found.push(fromIndex);
    lowest = Math.min(lowest, fromIndex);
  }
  return found;
}

/** Returns the offset after the entry before `index`; undefined if that entry turns out to be damaged. */
export async function offsetOf(log: Log, index: Index): Promise<Offset | undefined> {
  if (index === log.startIndex) return log.startOffset;
  try {
    const [{ baseOffset, recordCount }] = await log.readEntries(toIndex(index - 1), { until: index, bytesMax: 1 });
    return toOffset(baseOffset + recordCount);
  } catch (error) {
    if (error instanceof CorruptRangeError) return undefined;
    throw error;
  }
}
