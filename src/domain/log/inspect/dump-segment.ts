import type { Producer } from '../batch-prefix.js';
import type { Crc32c } from '../checksum.js';
import type { Directory, File } from '../directory.js';
import type { Position } from '../offsets.js';
import { logOrigin, type LogBoundary } from '../log-boundary.js';
import {
  batchHeaderBytes,
  parseBatch,
  parseBatchHeader,
  producerOf,
  type BatchHeader,
  type BatchChecksum,
} from '../record-batch.js';
import { firstBatchPosition, readStoreHeader, storeHeaderBytes } from '../store-header.js';
import { describeFault, scanStore, type StoreFault } from '../store-scan.js';

/** One batch of a store, or a range of bad bytes up to the next good batch. */
export type DumpedBatch =
  | {
      readonly position: Position;
      readonly valid: true;
      readonly header: BatchHeader;
      readonly producer: Producer | undefined;
      readonly payload: Uint8Array;
    }
  | { readonly position: Position; readonly valid: false; readonly end: Position; readonly reason: string };

export interface SegmentDump {
  readonly fileName: string;
  /** `undefined` when the header is damaged. */
  readonly base: LogBoundary | undefined;
  readonly logId: Uint8Array | undefined;
  readonly bytes: number;
}

/**
 * Yields the contents of one store file: first its header, then its batches in order, good or bad. Meant for
 * inspection: reads each good batch twice, so that only one is in memory. With a damaged header, the log ID must be
 * given.
 */
export async function* dumpSegment(
  directory: Directory,
  fileName: string,
  options: { crc32c: Crc32c; logId?: Uint8Array },
): AsyncGenerator<SegmentDump | DumpedBatch, void> {
  const file = await directory.open(fileName);
  try {
    const bytes = await file.size();
    const header = readStoreHeader(await file.read(0, storeHeaderBytes), fileName, options.crc32c);
    yield { fileName, base: header?.boundary, logId: header?.logId, bytes };
    const logId = options.logId ?? header?.logId;
    if (!logId) return;
    yield* dumpBatches(file, bytes, header?.boundary, { crc32c: options.crc32c, logId });
  } finally {
    await file.close();
  }
}

async function* dumpBatches(
  file: File,
  length: number,
  base: LogBoundary | undefined,
  checksum: BatchChecksum,
): AsyncGenerator<DumpedBatch, void> {
  const good: Position[] = [];
  const boundary = base ?? logOrigin;
  const { faults } = await scanStore(
    file,
    { from: firstBatchPosition, length, boundary },
    checksum,
    (_header, position) => {
      good.push(position);
    },
  );
  const bad = [...faults];
  for (const position of good) {
    while (bad.length > 0 && bad[0].position <= position) yield dumpFault(bad.splice(0, 1)[0]);
    const bytes = await file.read(position, batchHeaderBytes);
    const header = parseBatchHeader(bytes, 0);
    if (typeof header === 'string') continue;
    const whole = await file.read(position, batchHeaderBytes + header.payloadLength);
    const batch = parseBatch(whole, 0, whole.length, checksum);
    if (typeof batch !== 'string')
      yield { position, valid: true, header, producer: producerOf(batch), payload: batch.payload };
  }
  yield* bad.map(dumpFault);
}

function dumpFault(fault: StoreFault): DumpedBatch {
  return { position: fault.position, valid: false, end: fault.end, reason: describeFault(fault) };
}
