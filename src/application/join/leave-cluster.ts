import type { Cluster } from '../ports/cluster.js';
import { OutcomeUnknownError, UnavailableError } from '../errors.js';
import { pause } from '../waiting/pause.js';
import type { Clock } from '../ports/clock.js';
import { withDeadline } from '../waiting/with-deadline.js';

/** Without a quorum a node cannot leave, and stopping must not wait for one. */
const leaveMsMax = 3_000;
const askEveryMs = 100;

export interface LeavingOptions {
  readonly cluster: Pick<Cluster, 'removeMember'>;
  /** The name of the node that leaves. */
  readonly name: string;
  readonly clock: Clock;
}

/**
 * Has the cluster remove a node that is about to stop. A leader transfers leadership first, and for a moment there may
 * be no leader, so this asks again for up to three seconds. Rejects with the reason why the node is still a member.
 */
export async function leaveCluster({ cluster, name, clock }: LeavingOptions): Promise<void> {
  let reason: Error | undefined;
  try {
    await withDeadline(clock, leaveMsMax, undefined, async (signal) => {
      for (;;) {
        try {
          return await cluster.removeMember(name, signal);
        } catch (error) {
          if (!(error instanceof UnavailableError || error instanceof OutcomeUnknownError)) throw error;
          reason = error;
        }
        await pause(clock, askEveryMs, signal);
      }
    });
  } catch (error) {
    // The last refusal says more than the deadline.
    throw error instanceof UnavailableError && reason !== undefined ? reason : error;
  }
}
