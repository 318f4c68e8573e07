import type { OutgoingRecord } from '../../client/index.js';
import { LineSplitter } from './line-splitter.js';
import { parseJsonRecord } from './json-record.js';

export const formats = ['text', 'ndjson', 'raw'] as const;
export type Format = (typeof formats)[number];

/**
 * Receives one record.
 *
 * @param record its bytes are valid only during the call
 * @param inputBytes how many bytes of the input the record used
 */
export type TakeRecord = (record: OutgoingRecord, inputBytes: number) => void;

/** Splits a stream of bytes into records. */
export interface RecordReader {
  /** The name of a unit of the input, for messages. */
  readonly unit: 'line' | 'chunk';
  /** The number of units so far, up to the one whose record is taken; a blank line of NDJSON is a unit and no record. */
  readonly units: number;
  push(chunk: Buffer, take: TakeRecord): void;
  /** Ends the input, which may complete a last record. */
  end(take: TakeRecord): void;
  /** Whether the last line of text had no newline; `golog consume` will end it with one. */
  readonly lastLineUnterminated: boolean;
}

export interface RecordReaderOptions {
  readonly format: Format;
  readonly recordBytesMax: number;
  /** The size of a record of the `raw` format. */
  readonly chunkBytes: number;
}

export function recordReader({ format, recordBytesMax, chunkBytes }: RecordReaderOptions): RecordReader {
  switch (format) {
    case 'text':
      return new LineReader(recordBytesMax, (line) => ({ value: line }), true);
    case 'ndjson':
      // Escapes and base64 make a line longer than its record.
      return new LineReader(recordBytesMax * 6 + 4_096, jsonRecordOf);
    case 'raw':
      return new ChunkReader(chunkBytes);
  }
}

const byteOrderMark = Buffer.from('\ufeff');

/** The record of a line of NDJSON, without a byte order mark at the start of the input; undefined for a blank line. */
function jsonRecordOf(line: Buffer, lineNumber: number): OutgoingRecord | undefined {
  const isMarked = lineNumber === 1 && line.subarray(0, byteOrderMark.length).equals(byteOrderMark);
  const text = isMarked ? line.subarray(byteOrderMark.length) : line;
  return text.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d)
    ? undefined
    : parseJsonRecord(text, lineNumber);
}

class LineReader implements RecordReader {
  readonly unit = 'line';
  readonly #splitter: LineSplitter;
  lastLineUnterminated = false;
  /** Bytes of the input that were passed over since the last record. */
  #skippedBytes = 0;

  /** @param isText whether the bytes of a line are those of its record */
  constructor(
    lineBytesMax: number,
    private readonly toRecord: (line: Buffer, lineNumber: number) => OutgoingRecord | undefined,
    private readonly isText = false,
  ) {
    this.#splitter = new LineSplitter(lineBytesMax);
  }

  get units(): number {
    return this.#splitter.lines;
  }

  push(chunk: Buffer, take: TakeRecord): void {
    this.#splitter.push(chunk, this.#takeLine(take));
  }

  end(take: TakeRecord): void {
    this.lastLineUnterminated = this.isText && this.#splitter.unterminated;
    this.#splitter.end(this.#takeLine(take));
  }

  #takeLine(take: TakeRecord) {
    return (line: Buffer, inputBytes: number): void => {
      const record = this.toRecord(line, this.#splitter.lines);
      const bytes = this.#skippedBytes + inputBytes;
      this.#skippedBytes = record === undefined ? bytes : 0;
      if (record !== undefined) take(record, bytes);
    };
  }
}

class ChunkReader implements RecordReader {
  readonly unit = 'chunk';
  readonly lastLineUnterminated = false;
  units = 0;
  #held: Buffer[] = [];
  #heldBytes = 0;

  constructor(private readonly chunkBytes: number) {}

  push(chunk: Buffer, take: TakeRecord): void {
    let start = 0;
    while (this.#heldBytes + chunk.length - start >= this.chunkBytes) {
      const end = start + this.chunkBytes - this.#heldBytes;
      this.#hold(chunk.subarray(start, end));
      this.end(take);
      start = end;
    }
    if (start < chunk.length) this.#hold(chunk.subarray(start));
  }

  end(take: TakeRecord): void {
    if (this.#heldBytes === 0) return;
    const value = this.#held.length === 1 ? this.#held[0] : Buffer.concat(this.#held);
    this.#held = [];
    this.#heldBytes = 0;
    this.units += 1;
    take({ value }, value.length);
  }

  #hold(part: Buffer): void {
    this.#held.push(part);
    this.#heldBytes += part.length;
  }
}
