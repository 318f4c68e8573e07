import type { Producer } from '../../domain/log/batch-prefix.js';
import type { LeaderProducers } from '../../domain/log/leader-producers.js';
import type { ProducerLimits, RecordsMark } from '../../domain/log/producer-table.js';
import {
  type ClusterSettings,
  defaultProducersMax,
  ephemeralProducersMax,
  exactlyOnceLevel,
} from '../configuration/cluster-settings.js';
import { assertFeatureLevel } from '../ports/cluster.js';
import type { AppendReceipt } from '../ports/consensus.js';
import type { Applier } from './applier.js';
import type { RaftLoop } from './raft-loop.js';

/** An append of a producer, or a change of what is known of one, that this leader has accepted. */
export interface ProducerProposal {
  readonly receipt: Promise<AppendReceipt>;
}

export interface ProducerAppendsOptions {
  readonly loop: Pick<RaftLoop, 'term' | 'assertLeading' | 'notLeading' | 'waitUntilOrTimeout'>;
  readonly applier: Pick<Applier, 'appliedTerm'>;
  readonly producers: LeaderProducers<ProducerProposal>;
  readonly configuration: { readonly current: { readonly settings: ClusterSettings } };
  /** The feature level at which producers are accepted (default: `exactlyOnceLevel`). */
  readonly exactlyOnceLevel?: number;
}

/** How a leader decides about the appends of producers that number their batches. */
export class ProducerAppends {
  /** Appends that wait for the first entry of this leadership; later ones wait with them, to keep their order. */
  #waiting = 0;
  #ready: Promise<void> | undefined;

  constructor(private readonly options: ProducerAppendsOptions) {}

  /** Throws `FeatureNotEnabledError` while a member may not know producers. */
  assertEnabled(): void {
    assertFeatureLevel(this.options.configuration.current.settings, this.#neededLevel);
  }

  get isEnabled(): boolean {
    const { featureLevel = 0 } = this.options.configuration.current.settings;
    return featureLevel >= this.#neededLevel;
  }

  get #neededLevel(): number {
    return this.options.exactlyOnceLevel ?? exactlyOnceLevel;
  }

  /** Whether nothing waits. */
  get isEmpty(): boolean {
    return this.#waiting === 0;
  }

  /**
   * Resolves when this leader knows what earlier leaders have appended: when the first entry of its term is applied.
   * Returns nothing if that is so already. Rejects with `UnavailableError` after an election timeout.
   */
  knowsEarlierTerms(): Promise<void> | undefined {
    if (this.isCurrent && this.#waiting === 0) return undefined;
    return this.#wait();
  }

  async #wait(): Promise<void> {
    const { loop } = this.options;
    this.#waiting += 1;
    try {
      this.#ready ??= loop.waitUntilOrTimeout(() => this.isCurrent).finally(() => (this.#ready = undefined));
      await this.#ready;
    } finally {
      this.#waiting -= 1;
    }
    loop.assertLeading();
    if (!this.isCurrent) throw loop.notLeading();
  }

  /** Whether this node, as the leader, knows what earlier leaders have appended. */
  get isCurrent(): boolean {
    return this.options.applier.appliedTerm === this.options.loop.term;
  }

  markOf(records: Parameters<LeaderProducers<ProducerProposal>['table']['markOf']>[0]): RecordsMark {
    return this.options.producers.table.markOf(records);
  }

  /**
   * Returns the receipt of the first time, if the batch was appended before; it waits until that is committed. Returns
   * nothing for a batch to append. Throws a `ProducerRefusal`: when what refuses it is committed, since another leader
   * may still drop what is not.
   */
  decide(producer: Producer, mark: RecordsMark): Promise<AppendReceipt> | undefined {
    const { loop, producers } = this.options;
    producers.lead(loop.term);
    const decision = producers.decide(producer, mark, this.limits);
    switch (decision.kind) {
      case 'append':
        return undefined;
      case 'duplicate': {
        const { baseOffset, recordCount, term, index } = decision.of;
        return Promise.resolve({ baseOffset, recordCount, term, index, syncedOn: [], isDuplicate: true });
      }
      case 'pending':
        return decision.original.receipt.then((receipt) => ({ ...receipt, syncedOn: [], isDuplicate: true as const }));
      case 'refuse':
        return this.refuse(producer.id, decision.error);
    }
  }

  /** Rejects with the error: when what this leader knows of the producer is committed. */
  async refuse(id: string, error: Error): Promise<never> {
    await this.committed(id);
    throw error;
  }

  /**
   * Resolves when what this leader has accepted of a producer is committed. Rejects with `UnavailableError` when that
   * comes to nothing, and an answer that builds on it with it.
   */
  async committed(id: string): Promise<void> {
    const { loop, producers } = this.options;
    await producers.lastPending(id)?.receipt.catch(() => Promise.reject(loop.notLeading()));
  }

  /** Adds an append for which `decide` returned nothing, in the same turn. */
  add(producer: Producer, mark: RecordsMark, proposal: ProducerProposal): void {
    this.options.producers.addBatch(producer, mark, proposal);
  }

  /** Takes out an append that the core has refused. */
  drop({ id }: Producer, proposal: ProducerProposal): void {
    this.options.producers.drop(id, proposal);
  }

  get limits(): ProducerLimits {
    const { producersMax = defaultProducersMax } = this.options.configuration.current.settings;
    return { producersMax, ephemeralProducersMax };
  }
}
