import type { ReadChunk, ReceivedBatch, ReceivedRecord } from '../../client/index.js';
import type { Format } from './input-format.js';
import { formatJsonRecord } from './json-record.js';

/** The bytes to print for the first `recordsMax` records of a chunk. */
export interface Printed {
  readonly bytes: Buffer;
  readonly recordCount: number;
  readonly endOffset: number | undefined;
}

export function printChunk({ batches }: ReadChunk, format: Format, recordsMax: number): Printed {
  const parts: Uint8Array[] = [];
  let length = 0;
  let recordCount = 0;
  let endOffset: number | undefined;
  for (const [batch, record] of recordsOf(batches)) {
    if (recordCount >= recordsMax) break;
    const part =
      format === 'ndjson' ? Buffer.from(formatJsonRecord(record, batch.term, batch.appendTimeMs)) : record.value;
    parts.push(part);
    length += part.length;
    recordCount += 1;
    endOffset = record.offset + 1;
  }
  const terminated = format !== 'raw';
  const bytes = Buffer.allocUnsafe(length + (terminated ? parts.length : 0));
  let position = 0;
  for (const part of parts) {
    bytes.set(part, position);
    position += part.length;
    if (terminated) {
      bytes[position] = 0x0a;
      position += 1;
    }
  }
  return { bytes, recordCount, endOffset };
}

function* recordsOf(batches: readonly ReceivedBatch[]): Generator<[ReceivedBatch, ReceivedRecord], void, void> {
  for (const batch of batches) for (const record of batch.records()) yield [batch, record];
}
