import { logOrigin } from '../../domain/log/log-boundary.js';
import { UnavailableError } from '../errors.js';
import { pause } from '../waiting/pause.js';
import type { Clock } from '../ports/clock.js';
import type { Logger } from '../ports/logger.js';
import type { Contact, ReplicaUplink, SourceNews, SourceStatus } from '../ports/replica-uplink.js';
import { LogThrottle } from '../waiting/log-throttle.js';
import { withDeadline } from '../waiting/with-deadline.js';
import { unlessAborted } from '../waiting/unless-aborted.js';

const answerMs = 3_000;
const askEveryMs = 250;

export interface IntroductionOptions {
  /** The uplink of a node that has no log yet. */
  readonly uplink: Pick<ReplicaUplink, 'follow'>;
  readonly sources: () => readonly Contact[];
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/**
 * Returns what the first member that answers says about its cluster, which a new replica then follows. Asks without a
 * time limit. Rejects with the signal's reason.
 */
export async function askForCluster(options: IntroductionOptions): Promise<SourceStatus> {
  const { sources, clock, logger, signal } = options;
  const throttle = new LogThrottle(clock);
  for (;;) {
    const reasons: string[] = [];
    for (const source of sources()) {
      try {
        return await ask(source, options);
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof UnavailableError)) throw error;
        reasons.push(`${source.rpcAddr}: ${error.message}`);
      }
    }
    if (throttle.isDue()) logger.info('waiting_for_replica_source', { reasons }, 'waiting for a member to follow');
    await pause(clock, askEveryMs, signal);
  }
}

async function ask(source: Contact, { uplink, clock, signal }: IntroductionOptions): Promise<SourceStatus> {
  let news: AsyncIterator<SourceNews> | undefined;
  try {
    return await withDeadline(clock, answerMs, signal, async (inTime) => {
      news = uplink.follow(source, logOrigin, inTime)[Symbol.asyncIterator]();
      const first = await unlessAborted(inTime, news.next());
      if (first.done !== true && first.value.status !== undefined) return first.value.status;
      throw new UnavailableError('it did not say which cluster it is in');
    });
  } finally {
    await news?.return?.().catch(() => undefined);
  }
}
