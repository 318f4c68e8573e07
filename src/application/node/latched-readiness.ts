import type { NodeState, Readiness, ReadinessProbe } from '../ports/readiness.js';

/**
 * States of the cluster, of this node's way to it, or of a disk that all nodes may share: not ready, but no reason to
 * take a node out of its service.
 */
const passing: ReadonlySet<NodeState> = new Set(['no-leader', 'no-source', 'catching-up', 'disk-stalled', 'disk-full']);

/** The readiness of a process, from its start to its stop. Its latch closes when `strict` is read while it is ready. */
export class LatchedReadiness implements ReadinessProbe {
  #ask: () => Readiness = () => ({ state: 'starting', problem: 'this node is starting: it opens its files' });
  #wasReady = false;

  /** Asks this from now on. */
  follow(ask: () => Readiness): void {
    this.#ask = ask;
  }

  get strict(): Readiness {
    const now = this.#ask();
    if (now.state === 'ready') this.#wasReady = true;
    return now;
  }

  get latched(): Readiness {
    const now = this.strict;
    return this.#wasReady && passing.has(now.state) ? { ...now, state: 'ready' } : now;
  }
}
