import { UnavailableError } from '../errors.js';
import { pause } from '../waiting/pause.js';
import type { Clock } from '../ports/clock.js';
import { type Gossip, OwnAddressError } from '../ports/gossip.js';
import type { Logger } from '../ports/logger.js';
import { Backoff } from '../waiting/backoff.js';
import { LogThrottle } from '../waiting/log-throttle.js';

const firstPauseMs = 250;
const longestPauseMs = 5_000;
/** How many former members are asked at once. */
const formerMax = 3;

export interface GossipJoiningOptions {
  readonly gossip: Pick<Gossip, 'former' | 'members' | 'join'>;
  /** HOST:PORT of the gossip of nodes to contact first; this node's own address may be among them. */
  readonly addrs: readonly string[];
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** Called when the node at a given address has answered, or when the address is this node's own. */
  readonly onAnswer: (addr: string) => void;
  /** Called when each address has been asked once more, whether it answered or not. */
  readonly onRound: () => void;
}

/**
 * Keeps this node in the gossip until the signal aborts. Asks each of the given addresses until it has answered once,
 * with pauses that double up to a few seconds. Asks all of them again, and former members in turn, whenever no other
 * node is left, for example after a partition that outlasted the memory of failed members. Resolves on abort.
 */
export async function keepInGossip(options: GossipJoiningOptions): Promise<void> {
  const { gossip, clock, logger, signal, onAnswer, onRound } = options;
  let { addrs } = options;
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
      if (error instanceof OwnAddressError) {
        addrs = addrs.filter((each) => each !== addr);
        waiting.delete(addr);
        onAnswer(addr);
        return undefined;
      }
      if (error instanceof UnavailableError) return error;
      if (signal.aborted) return undefined;
      throw error;
    }
    waiting.delete(addr);
    onAnswer(addr);
    logger.debug('gossip_joined', { address: addr }, 'joined the gossip');
    return undefined;
  }
}

/** Whether gossip sees no other live node. */
export function isAlone(gossip: Pick<Gossip, 'members'>): boolean {
  return gossip.members().filter(({ status }) => status === 'alive').length <= 1;
}
