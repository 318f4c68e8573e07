import type { ReadChunk, ReceivedBatch, ReceivedRecord } from '../../client/index.js';
import { printableJson, printableLines } from '../options/printable.js';
import type { Format } from './input-format.js';
import { formatJsonRecord } from './json-record.js';

/** How records are printed. */
export interface OutputFormat {
  readonly format: Format;
  /** Whether a terminal shows the output: control characters are then escaped, in whatever a producer has sent. */
  readonly onTerminal: boolean;
}

/** The bytes to print for the first `recordsMax` records of a chunk. */
export interface Printed {
  readonly bytes: Buffer;
  readonly recordCount: number;
  readonly endOffset: number | undefined;
}

export function printChunk({ batches }: ReadChunk, { format, onTerminal }: OutputFormat, recordsMax: number): Printed {
  const parts: Uint8Array[] = [];
  let length = 0;
  let recordCount = 0;
  let endOffset: number | undefined;
  for (const [batch, record] of recordsOf(batches)) {
    if (recordCount >= recordsMax) break;
    const part = format === 'ndjson' ? jsonBytes(record, batch, onTerminal) : valueBytes(record, onTerminal);
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

function jsonBytes(record: ReceivedRecord, { term, appendTimeMs }: ReceivedBatch, onTerminal: boolean): Uint8Array {
  const json = formatJsonRecord(record, term, appendTimeMs);
  return Buffer.from(onTerminal ? printableJson(json) : json);
}

function valueBytes({ value }: ReceivedRecord, onTerminal: boolean): Uint8Array {
  if (!onTerminal) return value;
  return Buffer.from(printableLines(Buffer.from(value.buffer, value.byteOffset, value.length).toString('utf8')));
}

function* recordsOf(batches: readonly ReceivedBatch[]): Generator<[ReceivedBatch, ReceivedRecord], void, void> {
  for (const batch of batches) for (const record of batch.records()) yield [batch, record];
}
