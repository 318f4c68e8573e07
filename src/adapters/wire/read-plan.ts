import type { Timestamp } from '@bufbuild/protobuf/wkt';
import type { CommitLog, ReadFrom, ReadOptions } from '../../application/ports/commit-log.js';
import { InvalidInputError } from '../../domain/log/errors.js';
import { type EpochMs, toEpochMs } from '../../domain/log/offsets.js';
import { Consistency, Position, type ReadRequest } from '../../gen/golog/v1/log_service_pb.js';
import { readBytesDefault } from './limits.js';
import { offsetOrThrow, safeIntegerMax } from './offset.js';

/** Timestamps lie in 0001-01-01 to 9999-12-31 (google/protobuf/timestamp.proto). */
const timestampSecondsMin = -62_135_596_800n;
const timestampSecondsMax = 253_402_300_799n;

export interface ReadPlan {
  readonly from: ReadFrom;
  /** All options but the signal. */
  readonly options: Omit<ReadOptions, 'signal'>;
}

export interface ReadLimits {
  readonly bytesMax: number;
  /** Without it only the bytes are limited. */
  readonly recordsMax?: number;
}

/** Returns the first millisecond at or after the timestamp; for times before 1970, when there were no records, 1970. */
function epochMsOrThrow({ seconds, nanos }: Timestamp): EpochMs {
  if (seconds < timestampSecondsMin || seconds > timestampSecondsMax || nanos < 0 || nanos > 999_999_999)
    throw new InvalidInputError(`since is not a valid timestamp: ${seconds} seconds, ${nanos} nanoseconds`);
  return toEpochMs(Math.max(0, Number(seconds) * 1000 + Math.ceil(nanos / 1_000_000)));
}

function positionOrThrow(position: Position): ReadFrom {
  switch (position) {
    case Position.UNSPECIFIED:
    case Position.EARLIEST:
      return 'earliest';
    case Position.LATEST:
      return 'latest';
    default:
      throw new InvalidInputError(`unknown position ${position as number}: 1 is EARLIEST, 2 is LATEST`);
  }
}

function linearizableOrThrow(consistency: Consistency): boolean {
  switch (consistency) {
    case Consistency.UNSPECIFIED:
    case Consistency.LOCAL:
      return false;
    case Consistency.LINEARIZABLE:
      return true;
    default:
      throw new InvalidInputError(`unknown consistency ${consistency as number}: 1 is LOCAL, 2 is LINEARIZABLE`);
  }
}

function fromOrThrow({ from }: ReadRequest, commitLog: CommitLog): ReadFrom {
  switch (from.case) {
    case 'offset':
      return { offset: offsetOrThrow(from.value, commitLog) };
    case 'since':
      return { since: epochMsOrThrow(from.value) };
    case 'last':
      // More records than there can be are all that there are.
      return { last: from.value > safeIntegerMax ? Number.MAX_SAFE_INTEGER : Number(from.value) };
    case 'position':
      return positionOrThrow(from.value);
    case undefined:
      return 'earliest';
  }
}

/** Returns what a read or a follow asks for. Without `from` it reads from the earliest offset; the limits cap the rest. */
export function planRead(
  request: ReadRequest,
  commitLog: CommitLog,
  { bytesMax, recordsMax = Infinity }: ReadLimits,
): ReadPlan {
  const { maxRecords, maxBytes, consistency, notBeforeOffset } = request;
  const records = Math.min(maxRecords === 0 ? Infinity : maxRecords, recordsMax);
  return {
    from: fromOrThrow(request, commitLog),
    options: {
      ...(records === Infinity ? {} : { maxRecords: records }),
      maxBytes: Math.min(maxBytes === 0 ? readBytesDefault : maxBytes, bytesMax),
      ...(linearizableOrThrow(consistency) ? { linearizable: true } : {}),
      ...(notBeforeOffset === undefined ? {} : { notBeforeOffset: offsetOrThrow(notBeforeOffset, commitLog) }),
    },
  };
}
