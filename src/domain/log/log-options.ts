import type { Crc32c } from './checksum.js';
import { invariant } from './invariant.js';
import type { Index } from './offsets.js';
import { batchPayloadBytesMax, logIdBytes, type BatchChecksum } from './record-batch.js';
import type { LogNotice } from './recovery.js';

export interface LogOptions {
  /** 16 bytes; a directory that holds another log does not open. */
  readonly logId: Uint8Array;
  readonly crc32c: Crc32c;
  /** A segment with a record in it grows no further than this (default 128 MiB). Below 2 GiB. */
  readonly segmentBytesMax?: number;
  /** A segment takes no batch this much newer than its first one, by append times (default: no limit). */
  readonly segmentAgeMsMax?: number;
  /** Bytes of store per index entry (default 4 KiB). */
  readonly indexIntervalBytes?: number;
  /** Memory for indexes of sealed segments (default 16 MiB); the one used last stays whatever its size. */
  readonly indexCacheBytesMax?: number;
  /** Store files kept open while nobody reads them (default 64). */
  readonly openStoresMax?: number;
  /** Entries up to this one are known to have been synced; without them the log is damaged, not torn (default 0). */
  readonly durableIndex?: Index;
  readonly onNotice?: (notice: LogNotice) => void;
}

export interface LogSettings extends Required<Omit<LogOptions, 'logId' | 'crc32c' | 'durableIndex'>> {
  readonly checksum: BatchChecksum;
  readonly durableIndex: number;
}

/** Positions within a segment, its last batch included, stay below 2^31. */
const segmentBytesLimit = 2 ** 31 - 2 * batchPayloadBytesMax;

export function logSettings(options: LogOptions): LogSettings {
  const { logId, crc32c, segmentBytesMax = 128 << 20 } = options;
  invariant(logId.length === logIdBytes, `a log id has ${logIdBytes} bytes`);
  invariant(
    segmentBytesMax > 0 && segmentBytesMax <= segmentBytesLimit,
    `segmentBytesMax is up to ${segmentBytesLimit}`,
  );
  return {
    checksum: { crc32c, logId: logId.slice() },
    segmentBytesMax,
    segmentAgeMsMax: options.segmentAgeMsMax ?? Infinity,
    indexIntervalBytes: options.indexIntervalBytes ?? 4096,
    indexCacheBytesMax: options.indexCacheBytesMax ?? 16 << 20,
    openStoresMax: options.openStoresMax ?? 64,
    durableIndex: options.durableIndex ?? 0,
    onNotice: options.onNotice ?? (() => undefined),
  };
}
