import type { Offset } from '../../domain/log/offsets.js';
import type { SeatLoss } from '../join/ask-if-removed.js';
import type { Unready } from '../ports/readiness.js';
import { StandIn, type StandInOptions } from '../repair/stand-in.js';

const reasons: Readonly<Record<SeatLoss | 'before its start', Unready>> = {
  'on request': {
    state: 'removed',
    problem: 'this node was removed from the cluster on request: restart it to have it join again',
  },
  'as dead': {
    state: 'rejoining',
    problem: 'this node was removed from the cluster because it was silent for too long: it is joining again',
  },
  'before its start': {
    state: 'rejoining',
    problem: 'this node was removed from the cluster before it was started: it is joining again',
  },
  readmitted: {
    state: 'rejoining',
    problem: 'the cluster has admitted this node again under another Raft id: it is joining again',
  },
  unknown: {
    state: 'removed',
    problem: 'this node was removed from the cluster: restart it to have it join again',
  },
};

/**
 * Takes the place of Raft in a node that was removed while it ran: refuses everything but its status, because what it
 * has is out of date and stays so.
 */
export class RemovedNode extends StandIn {
  #readiness: Unready;

  constructor(options: StandInOptions, highWatermark: Offset, removal: keyof typeof reasons) {
    super(options, highWatermark);
    this.#readiness = reasons[removal];
  }

  get readiness(): Unready {
    return this.#readiness;
  }

  /** The cluster does not admit the node again. */
  stayOut(reason: string): void {
    const problem = `this node was removed from the cluster and does not join again: ${reason}. Restart it to have it ask once more`;
    this.#readiness = { state: 'removed', problem };
  }

  override waitForWatermark(): Promise<void> {
    return this.refuse();
  }
}
