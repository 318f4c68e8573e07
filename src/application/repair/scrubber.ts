import { LogClosedError } from '../../domain/log/errors.js';
import type { Log } from '../../domain/log/log.js';
import { toIndex } from '../../domain/log/offsets.js';
import { UnavailableError } from '../errors.js';
import type { Clock } from '../ports/clock.js';
import type { ScrubStatus } from '../ports/cluster.js';
import type { Logger } from '../ports/logger.js';
import { pause } from '../waiting/pause.js';
import type { ScrubPositionFile } from './scrub-position.js';

const secondMs = 1_000;
const dayMs = 24 * 60 * 60 * secondMs;
/** A pass takes at most this long, so that with a rest before it everything is read within a week. */
const passMsMax = 5 * dayMs;
/** From the beginning of a pass to that of the next one, at least. */
const passMsMin = dayMs;
const bytesPerSecondMin = 256 << 10;
const bytesPerSecondMax = 4 << 20;
const restMs = secondMs;
/** Damaged ranges in a status, at most. */
const damagedMax = 16;

export interface ScrubberOptions {
  readonly log: Pick<Log, 'scrub' | 'bytesBelow' | 'sealedEnd' | 'startIndex' | 'quarantined'>;
  readonly position: Pick<ScrubPositionFile, 'current' | 'write'>;
  /** Reads at this rate, one pass after the other; by default all of the log once a week. */
  readonly bytesPerSecond?: number | undefined;
  /** The progress of a repair; undefined: nothing is being repaired. */
  readonly repair: () => string | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onFatal: (error: unknown) => void;
}

/**
 * Reads the sealed segments through, again and again, since rot that nobody reads would wait for the day when the other
 * copies are lost too. What it finds damaged is quarantined, as if a reader had found it. The active segment is read at
 * each opening, and from memory until then.
 *
 * A pass ends where the sealed segments ended when it began, so that it ends on a log that grows faster than it is read.
 * It goes on after a restart where it was, give or take a segment.
 */
export class Scrubber {
  readonly #stopping = new AbortController();
  readonly #running: Promise<void>;
  /** Bytes read of the segment that is being read. */
  #segmentBytes = 0;
  /** The entry at which the pass ends. */
  #passEnd = 0;

  constructor(private readonly options: ScrubberOptions) {
    this.#running = this.#run().catch((error: unknown) => {
      if (!this.#stopping.signal.aborted && !(error instanceof LogClosedError)) options.onFatal(error);
    });
  }

  get status(): ScrubStatus {
    const { log, position, repair } = this.options;
    const { nextIndex, completedAtMs } = position.current;
    const totalBytes = log.bytesBelow(log.sealedEnd);
    const progress = repair();
    return {
      checkedBytes: Math.min(totalBytes, log.bytesBelow(toIndex(nextIndex)) + this.#segmentBytes),
      totalBytes,
      bytesPerSecond: this.#bytesPerSecond,
      ...(completedAtMs !== undefined && { completedAtMs }),
      damaged: log.quarantined.slice(0, damagedMax),
      ...(progress !== undefined && { repair: progress }),
    };
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new UnavailableError('this node is shutting down'));
    await this.#running;
  }

  get #bytesPerSecond(): number {
    const { log, bytesPerSecond } = this.options;
    const needed = (log.bytesBelow(log.sealedEnd) * secondMs) / passMsMax;
    return bytesPerSecond ?? Math.round(Math.min(bytesPerSecondMax, Math.max(bytesPerSecondMin, needed)));
  }

  async #run(): Promise<void> {
    const { clock, position, bytesPerSecond } = this.options;
    const { signal } = this.#stopping;
    for (;;) {
      let passMs = 0;
      this.#passEnd = this.options.log.sealedEnd;
      const pace = async (bytes: number): Promise<void> => {
        const ms = (bytes * secondMs) / this.#bytesPerSecond;
        passMs += ms;
        await pause(clock, ms, signal);
        this.#segmentBytes += bytes;
      };
      while (await this.#readNext(pace));
      if (position.current.nextIndex > 0) await position.write({ ...position.current, nextIndex: 0 });
      await pause(clock, bytesPerSecond === undefined ? Math.max(restMs, passMsMin - passMs) : restMs, signal);
    }
  }

  /** Reads the next segment through. Returns false at the end of a pass. */
  async #readNext(pace: (bytes: number) => Promise<void>): Promise<boolean> {
    const { log, position, clock, logger } = this.options;
    const { current } = position;
    this.#segmentBytes = 0;
    const isLeft = current.nextIndex < this.#passEnd;
    const nextIndex = isLeft ? await log.scrub(toIndex(current.nextIndex), pace) : undefined;
    this.#stopping.signal.throwIfAborted();
    this.#segmentBytes = 0;
    if (nextIndex !== undefined) {
      await position.write({ ...current, nextIndex });
      return true;
    }
    if (current.nextIndex > log.startIndex) {
      const damaged = log.quarantined.length;
      logger.info(
        'log_scrub_finished',
        { bytes: log.bytesBelow(toIndex(current.nextIndex)), damaged },
        'read all sealed segments',
      );
      await position.write({ ...current, completedAtMs: clock.wallClockMs() });
    }
    return false;
  }
}
