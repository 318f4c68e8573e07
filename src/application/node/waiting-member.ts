import type { Log } from '../../domain/log/log.js';
import { type Offset, toIndex, toTerm } from '../../domain/log/offsets.js';
import type { HardStateFile } from '../../domain/log/hard-state-file.js';
import type { ConfigurationFile } from '../configuration/configuration-file.js';
import { describeClusterId } from '../configuration/member-names.js';
import { UnavailableError } from '../errors.js';
import type { Cluster, ClusterStatus } from '../ports/cluster.js';
import type { AppendReceipt, Consensus, Server } from '../ports/consensus.js';
import { Watermark } from '../storage/watermark.js';

export interface WaitingMemberOptions {
  readonly log: Log;
  readonly hardState: Pick<HardStateFile, 'current'>;
  readonly configuration: Pick<ConfigurationFile, 'current' | 'stored'>;
  readonly self: { readonly name: string };
  readonly clusterId: Uint8Array;
  /** Everything below is committed, and readable here. */
  readonly readableEnd: Offset;
}

/**
 * Takes the place of Raft while a member may not take part yet: its peers have not vouched for it, or it is to join
 * again. Serves what it knows to be committed, and says why it waits.
 */
export class WaitingMember implements Consensus, Cluster {
  /** Why it waits, for an operator. */
  problem = 'this node is starting';
  readonly #watermark: Watermark;
  readonly #ended = new AbortController();

  constructor(private readonly options: WaitingMemberOptions) {
    this.#watermark = new Watermark(options.readableEnd);
  }

  get highWatermark(): Offset {
    return this.#watermark.value;
  }

  propose(): Promise<AppendReceipt> {
    return this.#refuse();
  }

  waitForWatermark(offset: Offset, signal: AbortSignal): Promise<void> {
    return this.#watermark.waitPast(offset, AbortSignal.any([signal, this.#ended.signal]));
  }

  readBarrier(): Promise<Offset> {
    return this.#refuse();
  }

  /** It may have shown more before. */
  recovered(): Promise<void> {
    return this.#refuse();
  }

  servers(): readonly Server[] {
    return this.options.configuration.current.members.map(({ name, rpcAddr }) => ({
      id: name,
      rpcAddr,
      isLeader: false,
    }));
  }

  async giveUpLeadership(): Promise<void> {}

  /** Rejects waiting callers as retryable: they are answered by what takes its place. */
  async close(): Promise<void> {
    this.#ended.abort(new UnavailableError('this node takes part in its cluster from now on; retry'));
  }

  async status(): Promise<ClusterStatus> {
    const { log, hardState, configuration, self, clusterId } = this.options;
    const { current, stored } = configuration;
    return {
      clusterId: describeClusterId(clusterId),
      answeredBy: self.name,
      term: toTerm(hardState.current.term),
      commitIndex: toIndex(hardState.current.commit),
      lastIndex: log.lastIndex,
      highWatermark: this.highWatermark,
      settings: current.settings,
      members: current.members.map(({ id, name, uuid, rpcAddr }) => {
        const role = current.confState.voters.includes(id) ? 'voter' : 'learner';
        return { id, name, uuid, rpcAddr, role, state: id === stored?.id ? 'self' : 'unknown' };
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

  #refuse(): Promise<never> {
    return Promise.reject(new UnavailableError(this.problem));
  }
}
