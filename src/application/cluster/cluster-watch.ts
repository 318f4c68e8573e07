import type { Cluster, ClusterStatus } from '../ports/cluster.js';
import { UnavailableError } from '../errors.js';
import { pause } from '../waiting/pause.js';
import type { Clock } from '../ports/clock.js';

const lookMs = 250;

/**
 * Yields the cluster's status at once, then again after every change, checked every 250 ms. The time since a member was
 * last heard from counts in whole seconds, and how far a scrub is does not count; otherwise every check would differ. While the leader cannot be reached,
 * yields this node's own view. Ends by throwing the signal's reason. Costs one timer.
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
  if (name === 'checkedBytes') return undefined;
  return name === 'heardMsAgo' && typeof value === 'number' ? Math.floor(value / 1000) : value;
}
