import { logOrigin } from '../domain/log/place.js';
import { UnavailableError } from './errors.js';
import { pause } from './pause.js';
import type { Clock } from './ports/clock.js';
import type { Logger } from './ports/logger.js';
import type { Contact, ReplicaUplink, SourceStatus } from './ports/replica-uplink.js';
import { unlessAborted } from './unless-aborted.js';

const answerMs = 3_000;
const askEveryMs = 250;
/** What goes on without an answer is said this often. */
const sayEveryMs = 60_000;

export interface IntroductionOptions {
  /** Of a node that knows no log yet. */
  readonly uplink: Pick<ReplicaUplink, 'follow'>;
  readonly sources: () => readonly Contact[];
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/**
 * What the first member that answers says of its cluster: for a new replica, whose log is to be of that cluster. Asks for
 * ever. Rejects with the signal's reason.
 */
export async function askForCluster(options: IntroductionOptions): Promise<SourceStatus> {
  const { sources, clock, logger, signal } = options;
  let saidAt = -Infinity;
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
    if (clock.now() - saidAt >= sayEveryMs) {
      saidAt = clock.now();
      logger.info({ reasons }, 'waiting for a member to follow');
    }
    await pause(clock, askEveryMs, signal);
  }
}

async function ask(source: Contact, { uplink, clock, signal }: IntroductionOptions): Promise<SourceStatus> {
  const attempt = new AbortController();
  const either = AbortSignal.any([signal, attempt.signal]);
  const late = new UnavailableError(`no answer within ${answerMs} ms`);
  const cancel = clock.after(answerMs, () => attempt.abort(late));
  const news = uplink.follow(source, logOrigin, either)[Symbol.asyncIterator]();
  try {
    const first = await unlessAborted(either, news.next());
    if (first.done !== true && first.value.status !== undefined) return first.value.status;
    throw new UnavailableError('it does not say who it is');
  } finally {
    cancel();
    attempt.abort(late);
    await news.return?.().catch(() => undefined);
  }
}
