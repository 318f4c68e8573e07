import { closeSync, openSync, readSync, writeSync } from 'node:fs';

/** One append of one record, and what the client was told of it. Times are of one monotonic clock, in milliseconds. */
export interface AppendEvent {
  readonly kind: 'append';
  readonly node: string;
  readonly value: string;
  readonly invokedMs: number;
  readonly endedMs: number;
  /** `refused`: the node said that nothing was appended, or was never reached. `unknown`: anything else. */
  readonly outcome: 'acknowledged' | 'refused' | 'unknown';
  /** Where the record is; only of an acknowledged append. */
  readonly offset?: number;
  /** The only offset at which the record may be appended. */
  readonly expectedOffset?: number;
  /** Why the append was not acknowledged. */
  readonly detail?: string;
}

/** What one answer of a read told. */
export interface ReadEvent {
  readonly kind: 'read';
  readonly node: string;
  /** `final` reads come after all faults, and together return the whole log of each node. */
  readonly how: 'local' | 'linearizable' | 'tail' | 'final';
  /** Answers of one tail have the same name. */
  readonly stream?: string;
  readonly invokedMs: number;
  readonly endedMs: number;
  /** The offset of the first value. */
  readonly offset: number;
  readonly values: readonly string[];
  /** One past the last committed record. */
  readonly highWatermark: number;
}

/** A node began to lead. */
export interface LeaderEvent {
  readonly kind: 'leader';
  readonly node: string;
  readonly term: number;
}

/** A fault began or ended, for those who read the history. */
export interface FaultEvent {
  readonly kind: 'fault';
  readonly atMs: number;
  readonly text: string;
}

export type HistoryEvent = AppendEvent | ReadEvent | LeaderEvent | FaultEvent;

/** Writes events to a file, one JSON object a line. */
export class HistoryFile {
  readonly #file: number;
  #isOpen = true;

  constructor(readonly path: string) {
    this.#file = openSync(path, 'w');
  }

  write(event: HistoryEvent): void {
    if (this.#isOpen) writeSync(this.#file, `${JSON.stringify(event)}\n`);
  }

  close(): void {
    this.#isOpen = false;
    closeSync(this.#file);
  }
}

const chunkBytes = 1024 * 1024;

/** Reads a file of events piece by piece: a long run has more of them than fit in memory. */
export function* readHistory(path: string): Generator<HistoryEvent> {
  const file = openSync(path, 'r');
  try {
    const chunk = Buffer.alloc(chunkBytes);
    let rest = Buffer.alloc(0);
    for (;;) {
      const length = readSync(file, chunk);
      if (length === 0) break;
      const bytes = Buffer.concat([rest, chunk.subarray(0, length)]);
      const end = bytes.lastIndexOf('\n') + 1;
      for (const line of bytes.toString('utf8', 0, end).split('\n'))
        if (line !== '') yield JSON.parse(line) as HistoryEvent;
      rest = Buffer.from(bytes.subarray(end));
    }
  } finally {
    closeSync(file);
  }
}
