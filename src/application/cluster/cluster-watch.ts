import type { Cluster, ClusterStatus } from '../ports/cluster.js';
import { UnavailableError } from '../errors.js';
import { pause } from '../waiting/pause.js';
import type { Clock } from '../ports/clock.js';

const lookMs = 250;

/**
 * The cluster's status at once, then again on every change, looked for each 250 ms. How long a member has not been
 * heard from counts by the second: every look would be news otherwise. While the leader cannot be asked, this node's own
 * view. Ends by throwing the signal's reason; costs one timer.
 */
export async function* watchCluster(
  cluster: Cluster,
  clock: Clock,
  { signal, local }: { readonly signal: AbortSignal; readonly local: boolean },
): AsyncGenerator<ClusterStatus, never, void> {
  let seen: string | undefined;
  for (;;) {
    signal.throwIfAborted();
    const status = await look(cluster, signal, local);
    const now = JSON.stringify(status, byTheSecond);
    if (now !== seen) yield status;
    seen = now;
    await pause(clock, lookMs, signal);
  }
}

async function look(cluster: Cluster, signal: AbortSignal, local: boolean): Promise<ClusterStatus> {
  try {
    return await cluster.status({ signal, local });
  } catch (error) {
    if (local || !(error instanceof UnavailableError) || signal.aborted) throw error;
    return cluster.status({ signal, local: true });
  }
}

function byTheSecond(name: string, value: unknown): unknown {
  return name === 'heardMsAgo' && typeof value === 'number' ? Math.floor(value / 1000) : value;
}
