import type { Clock } from '../ports/clock.js';
import type { Logger } from '../ports/logger.js';
import type { Leadership } from './leadership.js';

/** A leader that has transferred leadership and leads again keeps it for this long. */
const retryMs = 30_000;

/**
 * Returns a function that transfers leadership, if this node leads: a leader with a damaged log can neither serve all of
 * it nor bring a follower up to date that lacks it.
 */
export function passOnLeadership(
  leadership: Pick<Leadership, 'isLeader' | 'transferee' | 'transferTo'>,
  clock: Clock,
  logger: Logger,
): () => void {
  let nextMs = -Infinity;
  return () => {
    if (clock.now() < nextMs || !leadership.isLeader) return;
    const transferee = leadership.transferee();
    if (transferee === undefined) return;
    nextMs = clock.now() + retryMs;
    logger.warn(
      'log_damaged_leader',
      { memberId: transferee },
      'the log of this leader is damaged; transferring leadership',
    );
    // It may lead already, or be gone; there is another try later.
    leadership.transferTo(transferee).catch(() => undefined);
  };
}
