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
  /** The name of a unit of the input, for messages: the n-th unit is the n-th record. */
  readonly unit: 'line' | 'chunk';
  push(chunk: Buffer, take: TakeRecord): void;
  /** Ends the input, which may complete a last record. */
  end(take: TakeRecord): void;
  /** Whether the last line had no newline; `golog consume` will end it with one. */
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
      return new LineReader(recordBytesMax, (line) => ({ value: line }));
    case 'ndjson':
      // Escapes and base64 make a line longer than its record.
      return new LineReader(recordBytesMax * 6 + 4_096, parseJsonRecord);
    case 'raw':
      return new ChunkReader(chunkBytes);
  }
}

class LineReader implements RecordReader {
  readonly unit = 'line';
  readonly #splitter: LineSplitter;
  lastLineUnterminated = false;

  constructor(
    lineBytesMax: number,
    private readonly toRecord: (line: Buffer, lineNumber: number) => OutgoingRecord,
  ) {
    this.#splitter = new LineSplitter(lineBytesMax);
  }

  push(chunk: Buffer, take: TakeRecord): void {
    this.#splitter.push(chunk, (line, inputBytes) => {
      take(this.toRecord(line, this.#splitter.lines), inputBytes);
    });
  }

  end(take: TakeRecord): void {
    this.lastLineUnterminated = this.#splitter.unterminated;
    this.#splitter.end((line, inputBytes) => {
      take(this.toRecord(line, this.#splitter.lines), inputBytes);
    });
  }
}

class ChunkReader implements RecordReader {
  readonly unit = 'chunk';
  readonly lastLineUnterminated = false;
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
    take({ value }, value.length);
  }

  #hold(part: Buffer): void {
    this.#held.push(part);
    this.#heldBytes += part.length;
  }
}
