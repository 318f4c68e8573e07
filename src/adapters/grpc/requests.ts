import type { DescMessage, MessageShape } from '@bufbuild/protobuf';
import { fromBinary } from '@bufbuild/protobuf';
import type { Timestamp } from '@bufbuild/protobuf/wkt';
import type { CommitLog, ReadFrom, ReadOptions } from '../../application/ports/commit-log.js';
import { ExpectedOffsetMismatchError, InvalidInputError, OffsetOutOfRangeError } from '../../domain/log/errors.js';
import type { EpochMs, Offset } from '../../domain/log/offsets.js';
import { toEpochMs, toOffset } from '../../domain/log/offsets.js';
import { Consistency, Position, ReadRequestSchema } from '../../gen/golog/v1/log_service_pb.js';
import { ConsumeRequestSchema } from '../../gen/log/v1/log_pb.js';

const safeIntegerMax = BigInt(Number.MAX_SAFE_INTEGER);
/** Timestamps lie in 0001-01-01 to 9999-12-31 (google/protobuf/timestamp.proto). */
const timestampSecondsMin = -62_135_596_800n;
const timestampSecondsMax = 253_402_300_799n;

export interface ReadPlan {
  readonly from: ReadFrom;
  /** All but the signal. */
  readonly options: Omit<ReadOptions, 'signal'>;
}

/** Parses a request; bytes that are not such a message are an `InvalidInputError`. */
export function parseRequest<Desc extends DescMessage>(schema: Desc, request: Uint8Array): MessageShape<Desc> {
  try {
    return fromBinary(schema, request, { readUnknownFields: false });
  } catch (cause) {
    throw new InvalidInputError(`the request is not a valid ${schema.typeName}`, { cause });
  }
}

/** An offset from outside; beyond 2^53 - 1 no log has it, and the error names it exactly. */
function offsetOrThrow(offset: bigint, commitLog: CommitLog): Offset {
  if (offset > safeIntegerMax) {
    const { logStartOffset, highWatermark } = commitLog.infoNow();
    throw new OffsetOutOfRangeError(offset, logStartOffset, highWatermark);
  }
  return toOffset(Number(offset));
}

export function expectedOffsetOrThrow(offset: bigint, commitLog: CommitLog): Offset {
  if (offset > safeIntegerMax) throw new ExpectedOffsetMismatchError(offset, commitLog.infoNow().logEndOffset);
  return toOffset(Number(offset));
}

export function parseConsumeRequest(request: Uint8Array, commitLog: CommitLog): Offset {
  return offsetOrThrow(parseRequest(ConsumeRequestSchema, request).offset, commitLog);
}

/** The first millisecond at or after the timestamp; times before 1970 are 1970, when there were no records either. */
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

/** A `golog.v1.ReadRequest`. Without `from` it reads from the earliest offset; `max_bytes` is capped at `bytesMax`. */
export function parseReadRequest(request: Uint8Array, commitLog: CommitLog, bytesMax: number): ReadPlan {
  const message = parseRequest(ReadRequestSchema, request);
  const from = ((): ReadFrom => {
    switch (message.from.case) {
      case 'offset':
        return { offset: offsetOrThrow(message.from.value, commitLog) };
      case 'since':
        return { since: epochMsOrThrow(message.from.value) };
      case 'last':
        // More than there can be is all there is.
        return { last: message.from.value > safeIntegerMax ? Number.MAX_SAFE_INTEGER : Number(message.from.value) };
      case 'position':
        return positionOrThrow(message.from.value);
      case undefined:
        return 'earliest';
    }
  })();
  const { maxRecords, maxBytes, consistency, notBeforeOffset } = message;
  return {
    from,
    options: {
      ...(maxRecords === 0 ? {} : { maxRecords }),
      ...(maxBytes === 0 ? {} : { maxBytes: Math.min(maxBytes, bytesMax) }),
      ...(linearizableOrThrow(consistency) ? { linearizable: true } : {}),
      ...(notBeforeOffset === undefined ? {} : { notBeforeOffset: offsetOrThrow(notBeforeOffset, commitLog) }),
    },
  };
}
