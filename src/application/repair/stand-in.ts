import type { HardStateFile } from '../../domain/log/hard-state-file.js';
import type { Log } from '../../domain/log/log.js';
import { type Offset, toIndex, toTerm } from '../../domain/log/offsets.js';
import type { ConfigurationFile } from '../configuration/configuration-file.js';
import { describeClusterId } from '../configuration/member-names.js';
import { UnavailableError } from '../errors.js';
import type { Cluster, ClusterStatus } from '../ports/cluster.js';
import type { AppendReceipt, Consensus, OpenedProducer, Server } from '../ports/consensus.js';
import type { Unready } from '../ports/readiness.js';
import { Watermark } from '../storage/watermark.js';

export interface StandInOptions {
  readonly log: Pick<Log, 'lastIndex'>;
  readonly hardState: Pick<HardStateFile, 'current'>;
  readonly configuration: Pick<ConfigurationFile, 'current' | 'stored'>;
  readonly self: { readonly name: string };
  readonly clusterId: Uint8Array;
}

/**
 * Takes the place of Raft in a node that may not run it. It says why in its status, serves reads below its watermark,
 * which never moves, and refuses the rest. A subclass says what else it answers.
 */
export abstract class StandIn implements Consensus, Cluster {
  /** Why the node does not run Raft. */
  abstract readonly readiness: Unready;
  readonly #watermark: Watermark;
  readonly #ended = new AbortController();

  /** @param readableEnd everything below is committed, and readable here */
  constructor(
    private readonly node: StandInOptions,
    readableEnd: Offset,
  ) {
    this.#watermark = new Watermark(readableEnd);
  }

  get highWatermark(): Offset {
    return this.#watermark.value;
  }

  async waitForWatermark(offset: Offset, signal: AbortSignal): Promise<void> {
    return this.#watermark.waitPast(offset, AbortSignal.any([signal, this.#ended.signal]));
  }

  async acknowledgedEnd(): Promise<Offset> {
    return this.highWatermark;
  }

  async readBarrier(): Promise<Offset> {
    return this.refuse();
  }

  /** It may have shown more before. */
  async recovered(): Promise<void> {
    return this.refuse();
  }

  servers(): readonly Server[] {
    return this.node.configuration.current.members.map(({ name, rpcAddr }) => ({ id: name, rpcAddr, isLeader: false }));
  }

  async giveUpLeadership(): Promise<void> {}

  /** Rejects waiting callers as retryable: they are answered by what takes its place. */
  async close(): Promise<void> {
    this.#ended.abort(new UnavailableError('what this node serves changes now; retry'));
  }

  async status(): Promise<ClusterStatus> {
    const { log, hardState, configuration, self, clusterId } = this.node;
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
      problem: this.readiness.problem,
    };
  }

  propose(): Promise<AppendReceipt> {
    return this.refuse();
  }

  openProducer(): Promise<OpenedProducer> {
    return this.refuse();
  }

  closeProducer(): Promise<void> {
    return this.refuse();
  }

  addMember(): Promise<void> {
    return this.refuse();
  }

  promoteMember(): Promise<void> {
    return this.refuse();
  }

  removeMember(): Promise<void> {
    return this.refuse();
  }

  transferLeadership(): Promise<string> {
    return this.refuse();
  }

  changeSettings(): Promise<never> {
    return this.refuse();
  }

  /** Rejects with the reason why this node does not run Raft. */
  protected async refuse(): Promise<never> {
    throw new UnavailableError(this.readiness.problem);
  }
}
