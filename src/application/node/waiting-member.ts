import type { Unready } from '../ports/readiness.js';
import { StandIn } from '../repair/stand-in.js';

/**
 * Takes the place of Raft while a member may not run Raft yet: its peers have not vouched for it, or it is to join
 * again. Serves what it knows to be committed, and says why it waits.
 */
export class WaitingMember extends StandIn {
  readiness: Unready = { state: 'starting', problem: 'this node is starting' };
}
