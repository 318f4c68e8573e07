import type { OutgoingRecord } from '../../client/index.js';
import { LineSplitter } from './line-splitter.js';
import { parseJsonRecord } from './json-record.js';

export const formats = ['text', 'ndjson', 'raw'] as const;
export type Format = (typeof formats)[number];

/**
 * Takes one record.
 *
 * @param record its bytes are valid only during the call
 * @param inputBytes what the record took of the input
 */
export type TakeRecord = (record: OutgoingRecord, inputBytes: number) => void;

/** Makes records of a stream of bytes. */
export interface RecordReader {
  /** What the input's unit is called, for messages: the n-th unit is the n-th record. */
  readonly unit: 'line' | 'chunk';
  push(chunk: Buffer, take: TakeRecord): void;
  /** Takes what the end of the input completes. */
  end(take: TakeRecord): void;
  /** The last line had no newline; `golog consume` will give it one. */
  readonly lastLineUnterminated: boolean;
}

export interface RecordReaderOptions {
  readonly format: Format;
  readonly recordBytesMax: number;
  /** Of `raw`. */
  readonly chunkBytes: number;
}

export function recordReader({ format, recordBytesMax, chunkBytes }: RecordReaderOptions): RecordReader {
  switch (format) {
    case 'text':
      return new LineReader(recordBytesMax, (line) => ({ value: line }));
    case 'ndjson':
      // Escapes and base64 make a line longer than the record it stands for.
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
