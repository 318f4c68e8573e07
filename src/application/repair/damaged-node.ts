import { CorruptRangeError } from '../../domain/log/errors.js';
import type { Log } from '../../domain/log/log.js';
import type { Offset } from '../../domain/log/offsets.js';
import { type Cluster, type ClusterStatus, MembershipError } from '../ports/cluster.js';
import { describeClusterId } from '../configuration/member-names.js';
import type { Configuration } from '../configuration/configuration.js';
import { UnavailableError } from '../errors.js';
import type { AppendReceipt, Consensus, Server } from '../ports/consensus.js';
import { Watermark } from '../storage/watermark.js';
import { toIndex, toTerm } from '../../domain/log/offsets.js';

/** Whether the log's end is quarantined: the node then must not append, vote or count for a quorum. */
export function isDamaged(log: Pick<Log, 'assertAppendable'>): boolean {
  try {
    log.assertAppendable();
    return false;
  } catch (error) {
    if (error instanceof CorruptRangeError) return true;
    throw error;
  }
}

export interface DamagedNodeOptions {
  readonly log: Log;
  readonly configuration: Configuration;
  readonly id: number;
  readonly self: { readonly name: string };
  readonly clusterId: Uint8Array;
  /** Set while the log is repaired from the peers. */
  readonly repair?: {
    /** Everything below is committed, and readable here. */
    readonly readableEnd: Offset;
    /** The progress of the repair, for an operator. */
    readonly progress: string;
  };
}

/**
 * Takes the place of Raft while the log is damaged: serves what can be read, and does nothing else. A group of one
 * stays like this. A member of a larger group does so until its log is repaired, and serves only what is committed.
 */
export class DamagedNode implements Consensus, Cluster {
  readonly #watermark: Watermark;
  readonly #ended = new AbortController();

  constructor(private readonly options: DamagedNodeOptions) {
    const { log, repair } = options;
    // A group of one had committed all that it had stored, and shows no lower watermark than before (I7).
    this.#watermark = new Watermark(repair?.readableEnd ?? log.durableEndOffset);
  }

  get highWatermark(): Offset {
    return this.#watermark.value;
  }

  propose(): Promise<AppendReceipt> {
    return this.#refuse();
  }

  async waitForWatermark(offset: Offset, signal: AbortSignal): Promise<void> {
    if (offset >= this.highWatermark && !this.options.repair) this.options.log.assertAppendable();
    return this.#watermark.waitPast(offset, AbortSignal.any([signal, this.#ended.signal]));
  }

  async readBarrier(): Promise<Offset> {
    if (this.options.repair) throw this.#repairing();
    return this.highWatermark;
  }

  /** What this node showed before may lie in the range under repair. */
  async recovered(): Promise<void> {
    if (this.options.repair) throw this.#repairing();
  }

  servers(): readonly Server[] {
    return this.options.configuration.members.map(({ name, rpcAddr }) => ({ id: name, rpcAddr, isLeader: false }));
  }

  async giveUpLeadership(): Promise<void> {}

  /** Rejects waiting callers as retryable: no more records become readable here. */
  async close(): Promise<void> {
    this.#ended.abort(new UnavailableError('this node no longer serves its damaged log; retry'));
  }

  async status(): Promise<ClusterStatus> {
    const { log, configuration, self, clusterId, id: ownId, repair } = this.options;
    return {
      clusterId: describeClusterId(clusterId),
      answeredBy: self.name,
      term: toTerm(log.lastTerm),
      commitIndex: toIndex(0),
      lastIndex: log.lastIndex,
      highWatermark: this.highWatermark,
      members: configuration.members.map(({ id, name, uuid, rpcAddr }) => {
        const role = configuration.confState.voters.includes(id) ? 'voter' : 'learner';
        return { id, name, uuid, rpcAddr, role, state: id === ownId ? 'self' : 'unknown' };
      }),
      settings: configuration.settings,
      problem: repair
        ? `the log of ${self.name} is damaged; it does not take part until the log is repaired: ${repair.progress}`
        : `the log of ${self.name} is damaged at its end: it accepts no appends and has no vote; run golog verify`,
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
    if (this.options.repair) throw this.#repairing();
    this.options.log.assertAppendable();
    throw new MembershipError('the log of this node is damaged at its end; run golog verify');
  }

  #repairing(): UnavailableError {
    return new UnavailableError('the log of this node is damaged and is being repaired from its peers; retry later');
  }
}
