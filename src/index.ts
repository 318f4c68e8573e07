/** The library for embedding: a node, its ports, and the in-memory adapters for tests. */
export { FaultyDirectory } from './adapters/memory/faulty-directory.js';
export { ManualClock } from './adapters/memory/manual-clock.js';
export { memoryDataDirectory } from './adapters/memory/memory-data-directory.js';
export { MemoryDirectory } from './adapters/memory/memory-directory.js';
export { CommitLog } from './application/ports/commit-log.js';
export type { LogInfo, ReadFrom, ReadOptions, ReadResult } from './application/ports/commit-log.js';
export { CommitLogService } from './application/commit-log-service.js';
export { OutcomeUnknownError, OverloadedError, QuorumDiskFullError, UnavailableError } from './application/errors.js';
export { Clock } from './application/ports/clock.js';
export { Consensus } from './application/ports/consensus.js';
export type { AppendReceipt, ProposeOptions, Server } from './application/ports/consensus.js';
export { DataDirectory } from './application/ports/data-directory.js';
export { Logger } from './application/ports/logger.js';
export type { Directory, File } from './domain/log/directory.js';
export {
  CorruptRangeError,
  DiskReserveError,
  ExpectedOffsetMismatchError,
  InvalidInputError,
  OffsetOutOfRangeError,
  TooLargeError,
} from './domain/log/errors.js';
export { Log } from './domain/log/log.js';
export { toEpochMs, toOffset } from './domain/log/offsets.js';
export type { EpochMs, Index, Offset, Term } from './domain/log/offsets.js';
export type { RecordBatch, Records } from './domain/log/record-batch.js';
export { decodeRecord, encodeRecord } from './domain/log/record.js';
export type { Record } from './domain/log/record.js';
export { defaultRecordLimits, forEachRecord, frameRecords } from './domain/log/records.js';
export type { RecordLimits } from './domain/log/records.js';
export { Config, ConfigError, resolveConfig } from './infrastructure/config.js';
export { createContainer } from './infrastructure/container.js';
export { Node, OnFatal } from './infrastructure/node.js';
