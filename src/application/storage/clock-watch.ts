import type { Log } from '../../domain/log/log.js';
import { type EpochMs, toEpochMs } from '../../domain/log/offsets.js';
import type { Retention } from '../../domain/log/retention.js';
import type { Clock } from '../ports/clock.js';
import type { Logger } from '../ports/logger.js';
import { LogThrottle } from '../waiting/log-throttle.js';
import type { ClusterTime } from '../time/cluster-time.js';

/** Clocks that differ by less are right. */
const toleranceMs = 60_000;

export interface ClockWatchOptions {
  readonly log: Pick<Log, 'firstAheadOf'>;
  readonly time: Pick<ClusterTime, 'wallClockAheadMs'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Logs wrong clocks and append times that keep retention by age from doing what it says. */
export class ClockWatch {
  readonly #ahead: LogThrottle;
  readonly #unknown: LogThrottle;
  readonly #wrong: LogThrottle;
  readonly #startedAt: number;

  constructor(private readonly options: ClockWatchOptions) {
    const { clock } = options;
    [this.#ahead, this.#unknown, this.#wrong] = [clock, clock, clock].map((each) => new LogThrottle(each));
    this.#startedAt = clock.now();
  }

  /** @param now the retention clock */
  look({ ageMsMax }: Retention, now: EpochMs | undefined): void {
    if (ageMsMax === undefined) return;
    const { log, time, clock, logger } = this.options;
    const aheadMs = time.wallClockAheadMs();
    if (Math.abs(aheadMs) > toleranceMs && this.#wrong.isDue())
      logger.warn(
        'wall_clock_differs',
        { aheadMs, retentionClockMs: now },
        'the wall clock of this node has jumped or differs from those of the members; retention goes by the earliest',
      );
    if (now === undefined) {
      if (clock.now() - this.#startedAt > toleranceMs && this.#unknown.isDue())
        logger.warn(
          'retention_clock_unknown',
          {},
          'a majority of the clocks of the voters is not known; nothing is removed by age',
        );
      return;
    }
    const ahead = log.firstAheadOf(toEpochMs(now + toleranceMs));
    if (ahead !== undefined && this.#ahead.isDue())
      logger.warn(
        'append_time_ahead',
        { ...ahead, clockMs: now },
        'an append time is ahead of the clock; its segment counts as no newer than the next one',
      );
  }
}
