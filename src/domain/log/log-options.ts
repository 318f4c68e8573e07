import type { Crc32c } from './checksum.js';
import { invariant } from './invariant.js';
import type { Index } from './offsets.js';
import { batchPayloadBytesMax, logIdBytes, type BatchChecksum } from './record-batch.js';
import type { LogNotice } from './recovery.js';

export interface LogOptions {
  /** 16 bytes. Opening a directory that holds another log fails. */
  readonly logId: Uint8Array;
  readonly crc32c: Crc32c;
  /** Maximum size of a segment that holds a record (default 128 MiB). Below 2 GiB. */
  readonly segmentBytesMax?: number;
  /** Bytes of store per index entry (default 4 KiB). */
  readonly indexIntervalBytes?: number;
  /** Memory for indexes of sealed segments (default 16 MiB); the most recently used index stays, whatever its size. */
  readonly indexCacheBytesMax?: number;
  /** Maximum number of idle store files that stay open (default 64). */
  readonly openStoresMax?: number;
  /** Entries up to this index are known to be synced; if they are missing, the log is damaged, not torn (default 0). */
  readonly durableIndex?: Index;
  readonly onNotice?: (notice: LogNotice) => void;
}

export interface LogSettings extends Required<Omit<LogOptions, 'logId' | 'crc32c' | 'durableIndex'>> {
  readonly checksum: BatchChecksum;
  readonly durableIndex: number;
  /** See `Log.rollAfter`. */
  segmentAgeMsMax: number;
}

/** The limit keeps positions within a segment, including its last batch, below 2^31. */
const segmentBytesLimit = 2 ** 31 - 2 * batchPayloadBytesMax;

export function logSettings(options: LogOptions): LogSettings {
  const { logId, crc32c, segmentBytesMax = 128 << 20 } = options;
  invariant(logId.length === logIdBytes, `logId must have ${logIdBytes} bytes`);
  invariant(
    segmentBytesMax > 0 && segmentBytesMax <= segmentBytesLimit,
    `segmentBytesMax must be from 1 to ${segmentBytesLimit}`,
  );
  return {
    checksum: { crc32c, logId: logId.slice() },
    segmentBytesMax,
    segmentAgeMsMax: Infinity,
    indexIntervalBytes: options.indexIntervalBytes ?? 4096,
    indexCacheBytesMax: options.indexCacheBytesMax ?? 16 << 20,
    openStoresMax: options.openStoresMax ?? 64,
    durableIndex: options.durableIndex ?? 0,
    onNotice: options.onNotice ?? (() => undefined),
  };
}
