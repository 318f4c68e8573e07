import type { CommitLog } from '../../application/ports/commit-log.js';
import { OffsetOutOfRangeError } from '../../domain/log/errors.js';
import { type Offset, toOffset } from '../../domain/log/offsets.js';

export const safeIntegerMax = BigInt(Number.MAX_SAFE_INTEGER);

/** Returns an offset of a request. No log has one above 2^53 - 1, and the error names it exactly. */
export function offsetOrThrow(offset: bigint, commitLog: CommitLog): Offset {
  if (offset > safeIntegerMax) {
    const { logStartOffset, highWatermark } = commitLog.infoNow();
    throw new OffsetOutOfRangeError(offset, logStartOffset, highWatermark);
  }
  return toOffset(Number(offset));
}
