import { UnavailableError } from './errors.js';
import { pause } from './pause.js';
import type { Clock } from './ports/clock.js';
import type { Gossip } from './ports/gossip.js';
import type { Logger } from './ports/logger.js';

const firstPauseMs = 250;
const longestPauseMs = 30_000;
/** What goes on without an answer is said this often. */
const sayEveryMs = 60_000;

export interface GossipJoiningOptions {
  readonly gossip: Gossip;
  /** HOST:PORT of the gossip of nodes to begin with; this node's own may be among them. */
  readonly addrs: readonly string[];
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/**
 * Sees to it that this node is in the gossip of the others, until the signal aborts: asks the given addresses, with
 * pauses that double up to half a minute, and again whenever nobody else is left, as after a partition that lasted
 * longer than the failed are remembered. Resolves on abort.
 */
export async function keepInGossip({ gossip, addrs, clock, logger, signal }: GossipJoiningOptions): Promise<void> {
  let waitMs = firstPauseMs;
  let quietMs = sayEveryMs;
  try {
    for (;;) {
      if (isAlone(gossip)) {
        const reason = await join();
        if (reason === undefined) waitMs = firstPauseMs;
        else if (quietMs >= sayEveryMs) {
          quietMs = 0;
          logger.warn({ addrs, reason }, 'no node of --start-join-addrs answers yet');
        }
      } else waitMs = firstPauseMs;
      await pause(clock, waitMs, signal);
      quietMs += waitMs;
      waitMs = Math.min(waitMs * 2, longestPauseMs);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }

  /** Why it did not work; undefined when it did. */
  async function join(): Promise<string | undefined> {
    try {
      const answered = await gossip.join(addrs, signal);
      logger.debug({ answered, addrs }, 'joined the gossip');
      return undefined;
    } catch (error) {
      if (error instanceof UnavailableError) return error.message;
      throw error;
    }
  }
}

function isAlone(gossip: Gossip): boolean {
  return gossip.members().filter(({ status }) => status === 'alive').length <= 1;
}
