import type { Offset } from '../../domain/log/offsets.js';
import type { Removal } from '../configuration/configuration.js';
import type { Unready } from '../ports/readiness.js';
import { StandIn, type StandInOptions } from '../repair/stand-in.js';

const reasons: Readonly<Record<Removal, Unready>> = {
  'on request': {
    state: 'removed',
    problem: 'this node was removed from the cluster on request: restart it to have it join again',
  },
  'as dead': {
    state: 'rejoining',
    problem: 'this node was removed from the cluster because it was silent for too long: it is joining again',
  },
  unknown: {
    state: 'rejoining',
    problem: 'this node was removed from the cluster: it is joining again',
  },
};

/**
 * Takes the place of Raft in a node that was removed while it ran: refuses everything but its status, because what it
 * has is out of date and stays so.
 */
export class RemovedNode extends StandIn {
  readonly readiness: Unready;

  constructor(options: StandInOptions, highWatermark: Offset, removal: Removal) {
    super(options, highWatermark);
    this.readiness = reasons[removal];
  }

  override waitForWatermark(): Promise<void> {
    return this.refuse();
  }
}
