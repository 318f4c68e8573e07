import { describeClusterId } from '../configuration/member-names.js';
import type { Configuration } from '../configuration/configuration.js';
import { UnavailableError } from '../errors.js';
import type { Cluster, ClusterStatus } from '../ports/cluster.js';
import type { AppendReceipt, Consensus, Server } from '../ports/consensus.js';
import type { Removal } from '../configuration/configuration.js';
import { toIndex, toTerm, type Offset } from '../../domain/log/offsets.js';
import type { HardStateFile } from '../../domain/log/hard-state-file.js';
import type { Log } from '../../domain/log/log.js';

export interface RemovedNodeOptions {
  readonly log: Pick<Log, 'lastIndex'>;
  readonly hardState: Pick<HardStateFile, 'current'>;
  readonly configuration: Configuration;
  readonly self: { readonly name: string };
  readonly clusterId: Uint8Array;
  readonly highWatermark: Offset;
  readonly removal: Removal;
}

const problems: Readonly<Record<Removal, string>> = {
  'on request': 'this node was removed from the cluster on request: restart it to have it join again',
  'as dead': 'this node was removed from the cluster because it was silent for too long: it is joining again',
  unknown: 'this node was removed from the cluster: restart it to have it join again',
};

/**
 * Takes the place of Raft in a node that was removed while it ran: refuses everything but its status, because what it
 * has is out of date and stays so.
 */
export class RemovedNode implements Consensus, Cluster {
  readonly problem: string;

  constructor(private readonly options: RemovedNodeOptions) {
    this.problem = problems[options.removal];
  }

  get highWatermark(): Offset {
    return this.options.highWatermark;
  }

  propose(): Promise<AppendReceipt> {
    return this.#refuse();
  }

  waitForWatermark(): Promise<void> {
    return this.#refuse();
  }

  readBarrier(): Promise<Offset> {
    return this.#refuse();
  }

  recovered(): Promise<void> {
    return this.#refuse();
  }

  servers(): readonly Server[] {
    return this.options.configuration.members.map(({ name, rpcAddr }) => ({ id: name, rpcAddr, isLeader: false }));
  }

  async giveUpLeadership(): Promise<void> {}

  async close(): Promise<void> {}

  async status(): Promise<ClusterStatus> {
    const { log, hardState, configuration, self, clusterId, highWatermark } = this.options;
    const { voters } = configuration.confState;
    return {
      clusterId: describeClusterId(clusterId),
      answeredBy: self.name,
      term: toTerm(hardState.current.term),
      commitIndex: toIndex(hardState.current.commit),
      lastIndex: log.lastIndex,
      highWatermark,
      settings: configuration.settings,
      members: configuration.members.map(({ id, name, uuid, rpcAddr }) => {
        return { id, name, uuid, rpcAddr, role: voters.includes(id) ? 'voter' : 'learner', state: 'unknown' };
      }),
      problem: this.problem,
    };
  }

  addMember(): Promise<void> {
    return this.#refuse();
  }

  promoteMember(): Promise<void> {
    return this.#refuse();
  }

  removeMember(): Promise<void> {
    return this.#refuse();
  }

  transferLeadership(): Promise<string> {
    return this.#refuse();
  }

  changeSettings(): Promise<never> {
    return this.#refuse();
  }

  async #refuse(): Promise<never> {
    throw new UnavailableError(this.problem);
  }
}
