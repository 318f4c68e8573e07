import { create } from '@bufbuild/protobuf';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { type Timestamp, TimestampSchema } from '@bufbuild/protobuf/wkt';
import type { CommitLog, LogInfo, ReadFrom, ReadOptions, ReadResult } from '../../application/ports/commit-log.js';
import type { AppendReceipt } from '../../application/ports/consensus.js';
import { ExpectedOffsetMismatchError, InvalidInputError, OffsetOutOfRangeError } from '../../domain/log/errors.js';
import { type EpochMs, type Offset, toEpochMs, toOffset } from '../../domain/log/offsets.js';
import type { RecordBatch, Records } from '../../domain/log/record-batch.js';
import { type RecordLimits, RecordCursor, takeRecords } from '../../domain/log/records.js';
import {
  type AppendResponse,
  AppendResponseSchema,
  Consistency,
  type GetLogInfoResponse,
  GetLogInfoResponseSchema,
  Position,
  type ReadRequest,
  type ReadResponse,
  ReadResponseSchema,
  type RecordBatch as RecordBatchMessage,
  RecordBatchSchema,
} from '../../gen/golog/v1/log_service_pb.js';
import {
  type ConsumeResponse,
  ConsumeResponseSchema,
  type Record as RecordMessage,
  RecordSchema,
} from '../../gen/log/v1/log_pb.js';

const safeIntegerMax = BigInt(Number.MAX_SAFE_INTEGER);
/** Timestamps lie in 0001-01-01 to 9999-12-31 (google/protobuf/timestamp.proto). */
const timestampSecondsMin = -62_135_596_800n;
const timestampSecondsMax = 253_402_300_799n;

/** An offset from outside; beyond 2^53 - 1 no log has it, and the error names it exactly. */
export function offsetOrThrow(offset: bigint, commitLog: CommitLog): Offset {
  if (offset > safeIntegerMax) {
    const { logStartOffset, highWatermark } = commitLog.infoNow();
    throw new OffsetOutOfRangeError(offset, logStartOffset, highWatermark);
  }
  return toOffset(Number(offset));
}

export interface AppendPlan {
  readonly records: Records;
  readonly expectedOffset?: Offset;
}

/**
 * The records of a binary `golog.v1.AppendRequest`, validated and framed as they are stored; the request is handed over.
 * Throws as `takeRecords`.
 */
export function planAppend(request: Uint8Array, commitLog: CommitLog, limits: RecordLimits): AppendPlan {
  const { records, expectedOffset } = takeRecords(request, limits);
  if (expectedOffset === undefined) return { records };
  if (expectedOffset > safeIntegerMax)
    throw new ExpectedOffsetMismatchError(expectedOffset, commitLog.infoNow().logEndOffset);
  return { records, expectedOffset: toOffset(Number(expectedOffset)) };
}

export function appendResponse(receipt: AppendReceipt): AppendResponse {
  return create(AppendResponseSchema, {
    baseOffset: BigInt(receipt.baseOffset),
    recordCount: receipt.recordCount,
    receipt: { term: BigInt(receipt.term), index: BigInt(receipt.index), syncedOn: [...receipt.syncedOn] },
  });
}

/** The first millisecond at or after the timestamp; times before 1970 are 1970, when there were no records either. */
function epochMsOrThrow({ seconds, nanos }: Timestamp): EpochMs {
  if (seconds < timestampSecondsMin || seconds > timestampSecondsMax || nanos < 0 || nanos > 999_999_999)
    throw new InvalidInputError(`since is not a valid timestamp: ${seconds} seconds, ${nanos} nanoseconds`);
  return toEpochMs(Math.max(0, Number(seconds) * 1000 + Math.ceil(nanos / 1_000_000)));
}

function readFrom({ from }: ReadRequest, commitLog: CommitLog): ReadFrom {
  switch (from.case) {
    case 'offset':
      return { offset: offsetOrThrow(from.value, commitLog) };
    case 'since':
      return { since: epochMsOrThrow(from.value) };
    case 'last':
      // More than there can be is all there is.
      return { last: from.value > safeIntegerMax ? Number.MAX_SAFE_INTEGER : Number(from.value) };
    case 'position':
      if (from.value === Position.LATEST) return 'latest';
      if (from.value === Position.EARLIEST || from.value === Position.UNSPECIFIED) return 'earliest';
      throw new InvalidInputError(`unknown position ${Number(from.value)}: 1 is EARLIEST, 2 is LATEST`);
    case undefined:
      return 'earliest';
  }
}

function isLinearizable(consistency: Consistency): boolean {
  if (consistency === Consistency.LINEARIZABLE) return true;
  if (consistency === Consistency.LOCAL || consistency === Consistency.UNSPECIFIED) return false;
  throw new InvalidInputError(`unknown consistency ${Number(consistency)}: 1 is LOCAL, 2 is LINEARIZABLE`);
}

export interface ReadPlan {
  readonly from: ReadFrom;
  /** All but the signal. */
  readonly options: Omit<ReadOptions, 'signal'>;
}

export interface ReadLimits {
  readonly bytesMax: number;
  /** Without it there is no limit but that of bytes. */
  readonly recordsMax?: number;
}

/** Without `from` it reads from the earliest offset; `max_bytes` and `max_records` are capped by the limits. */
export function planRead(
  request: ReadRequest,
  commitLog: CommitLog,
  { bytesMax, recordsMax = Infinity }: ReadLimits,
): ReadPlan {
  const { maxRecords, maxBytes, consistency, notBeforeOffset } = request;
  const recordsWanted = Math.min(maxRecords === 0 ? Infinity : maxRecords, recordsMax);
  return {
    from: readFrom(request, commitLog),
    options: {
      ...(recordsWanted === Infinity ? {} : { maxRecords: recordsWanted }),
      maxBytes: maxBytes === 0 ? bytesMax : Math.min(maxBytes, bytesMax),
      ...(isLinearizable(consistency) ? { linearizable: true } : {}),
      ...(notBeforeOffset === undefined ? {} : { notBeforeOffset: offsetOrThrow(notBeforeOffset, commitLog) }),
    },
  };
}

export function timestamp(ms: EpochMs): Timestamp {
  return create(TimestampSchema, { seconds: BigInt(Math.floor(ms / 1000)), nanos: (ms % 1000) * 1_000_000 });
}

/** The stored record as unknown fields, which the encoder writes out as they are. */
function opaqueRecord(bytes: Uint8Array): RecordMessage {
  const message = create(RecordSchema);
  if (bytes.length > 0) {
    const reader = new BinaryReader(bytes);
    const [no, wireType] = reader.tag();
    message.$unknown = [{ no, wireType, data: bytes.subarray(reader.pos) }];
  }
  return message;
}

/** One response a record, made when it is asked for; for the binary encoding: stored bytes pass into it as they are. */
export function* consumeResponses(batch: RecordBatch): Generator<ConsumeResponse, void, void> {
  const appendTime = timestamp(batch.appendTimeMs);
  const cursor = new RecordCursor(batch.payload);
  for (let offset: number = batch.baseOffset; cursor.next(); offset += 1) {
    const record = opaqueRecord(batch.payload.subarray(cursor.start, cursor.end));
    record.offset = BigInt(offset);
    record.term = BigInt(batch.term);
    record.appendTime = appendTime;
    yield create(ConsumeResponseSchema, { record });
  }
}

function batchMessage(batch: RecordBatch): RecordBatchMessage {
  const message = create(RecordBatchSchema, {
    baseOffset: BigInt(batch.baseOffset),
    term: BigInt(batch.term),
    appendTime: timestamp(batch.appendTimeMs),
  });
  // The payload is a run of fields 4 already; the encoder writes the first one's tag.
  if (batch.payload.length > 0)
    message.$unknown = [{ no: 4, wireType: WireType.LengthDelimited, data: batch.payload.subarray(1) }];
  return message;
}

/** For the binary encoding: stored bytes pass into it as they are. */
export function readResponse(result: ReadResult): ReadResponse {
  return create(ReadResponseSchema, {
    batches: result.batches.map((batch) => batchMessage(batch)),
    logStartOffset: BigInt(result.logStartOffset),
    highWatermark: BigInt(result.highWatermark),
  });
}

export function logInfoResponse(info: LogInfo): GetLogInfoResponse {
  return create(GetLogInfoResponseSchema, {
    logStartOffset: BigInt(info.logStartOffset),
    highWatermark: BigInt(info.highWatermark),
    logEndOffset: BigInt(info.logEndOffset),
    bytes: BigInt(info.bytes),
    segments: info.segments,
  });
}
