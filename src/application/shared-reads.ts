import type { Offset } from '../domain/log/offsets.js';
import type { ReadResult } from './ports/commit-log.js';

/** A result, and the bytes of the batches that it is cut from. */
export interface Reading {
  readonly result: ReadResult;
  readonly storedBytes: number;
}

/** What a read is of: reads of the same have the same result. */
export interface ReadRange {
  readonly offset: Offset;
  /** The high watermark. */
  readonly until: Offset;
  readonly bytesMax: number;
}

/** Followers that one read serves. They all begin to send when it ends, before anything else has its turn. */
const readersMax = 64;

/** What is left in memory for followers that come a little later. */
const keptBytesMax = 64 * 1024;

interface SharedRead extends ReadRange {
  readonly reading: Promise<Reading>;
  readers: number;
}

/**
 * The last read of a follower, for others that ask for the same: those that wait at the end of the log all do when a
 * record is appended. A thousand reads of it took a thousand reads of the file.
 */
export class SharedReads {
  #last: SharedRead | undefined;

  /** Has others join a read that has begun. */
  share(range: ReadRange, reading: Promise<Reading>): void {
    const last = { ...range, reading, readers: 1 };
    this.#last = last;
    const forget = (): void => {
      if (this.#last === last) this.#last = undefined;
    };
    reading.then(({ storedBytes }) => {
      if (storedBytes > keptBytesMax) forget();
    }, forget);
  }

  /** The result of a read of that range by another follower; undefined if nobody has read it, or if it is large. */
  join({ offset, until, bytesMax }: ReadRange): Promise<Reading | undefined> | undefined {
    const last = this.#last;
    if (last?.offset !== offset || last.until !== until || last.bytesMax !== bytesMax || last.readers >= readersMax)
      return undefined;
    last.readers += 1;
    return last.reading.then(
      (reading) => (reading.storedBytes > keptBytesMax ? undefined : reading),
      () => undefined,
    );
  }
}
