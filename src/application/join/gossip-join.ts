import { UnavailableError } from '../errors.js';
import { pause } from '../waiting/pause.js';
import type { Clock } from '../ports/clock.js';
import type { Gossip } from '../ports/gossip.js';
import type { Logger } from '../ports/logger.js';
import { Backoff } from '../waiting/backoff.js';
import { LogThrottle } from '../waiting/log-throttle.js';

const firstPauseMs = 250;
const longestPauseMs = 5_000;
/** Of those that were there before, so many are asked at once. */
const formerMax = 3;

export interface GossipJoiningOptions {
  readonly gossip: Pick<Gossip, 'former' | 'members' | 'join'>;
  /** HOST:PORT of the gossip of nodes to begin with; this node's own may be among them. */
  readonly addrs: readonly string[];
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** Told when each of the addresses has been asked once more, and has answered or not. */
  readonly onRound: () => void;
}

/**
 * Sees to it that this node is in the gossip of the others, until the signal aborts: asks each of the given addresses
 * until it has answered once, with pauses that double up to some seconds, and all of them again whenever nobody else is
 * left, as after a partition that lasted longer than the failed are remembered; then those that were there before as
 * well, in turn. Resolves on abort.
 */
export async function keepInGossip(options: GossipJoiningOptions): Promise<void> {
  const { gossip, addrs, clock, logger, signal, onRound } = options;
  let waiting = new Set(addrs);
  const former = [...gossip.former];
  const backoff = new Backoff(firstPauseMs, longestPauseMs);
  const throttle = new LogThrottle(clock);
  while (!signal.aborted) {
    if (isAlone(gossip) && waiting.size < addrs.length) {
      waiting = new Set(addrs);
      backoff.reset();
    }
    const inTurn = isAlone(gossip) ? former.splice(0, formerMax) : [];
    former.push(...inTurn);
    const failures = await Promise.all([...new Set([...waiting, ...inTurn])].map(join));
    onRound();
    if (isAlone(gossip) && !signal.aborted && throttle.isDue()) {
      const reasons = failures.flatMap((failure) => failure?.message ?? []);
      logger.warn(
        'gossip_isolated',
        { addresses: addrs, formerAddresses: former, reasons },
        'no gossip peer has answered yet',
      );
    }
    await pause(clock, backoff.next(), signal).catch(() => undefined);
  }

  async function join(addr: string): Promise<UnavailableError | undefined> {
    try {
      await gossip.join([addr], signal);
    } catch (error) {
      if (error instanceof UnavailableError) return error;
      if (signal.aborted) return undefined;
      throw error;
    }
    waiting.delete(addr);
    logger.debug('gossip_joined', { address: addr }, 'joined the gossip');
    return undefined;
  }
}

function isAlone(gossip: Pick<Gossip, 'members'>): boolean {
  return gossip.members().filter(({ status }) => status === 'alive').length <= 1;
}
