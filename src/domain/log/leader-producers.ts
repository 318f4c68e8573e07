import type { Producer } from './batch-prefix.js';
import { InvalidInputError } from './errors.js';
import { invariant } from './invariant.js';
import type { EpochMs } from './offsets.js';
import { decodeProducerChange } from './producer-change.js';
import { ProducerConflictError, ProducerFencedError, type ProducerRefusal } from './producer-errors.js';
import type { LastBatch } from './producer-state.js';
import {
  type ProducerDecision,
  type ProducerLimits,
  type ProducerTable,
  type RecordsMark,
  refusalOf,
} from './producer-table.js';
import { BatchKind, producerOf, type RecordBatch } from './record-batch.js';
import { malformed } from './wire-reader.js';

/** What a proposal of the leader changes for one producer, from when it is accepted until it is applied. */
interface Pending<T> {
  readonly id: string;
  readonly epoch: number;
  /** -1: the entry opens the epoch. */
  readonly lastSequence: number;
  readonly isEphemeral: boolean;
  /** The entry forgets the id. */
  readonly isForgotten: boolean;
  readonly mark: RecordsMark | undefined;
  readonly original: T;
}

/** `pending`: a repeat of a batch that is not applied yet, whose proposal is `original`. */
export type LeaderDecision<T> = ProducerDecision | { readonly kind: 'pending'; readonly original: T };

/** The last batch of a producer before an epoch: applied, or in a proposal that is not applied yet. */
export type LastBefore<T> = LastBatch | { readonly sequence: number; readonly original: T };

export type OpenDecision<T> =
  | { readonly kind: 'open'; readonly epoch: number; readonly last?: LastBefore<T> }
  | { readonly kind: 'refuse'; readonly error: ProducerRefusal | InvalidInputError };

/** `unknown`: there is nothing to close. */
export type CloseDecision =
  { readonly kind: 'close' | 'unknown' } | { readonly kind: 'refuse'; readonly error: ProducerRefusal };

/** The epoch of an id that is opened for the first time, so that it fences a writer that never opened it. */
const firstEpoch = 1;

/**
 * The producers as the leader decides about them: the table of what is applied, and over it what this leader has
 * accepted since. A proposal is added when its entry gets its place; it leaves when the entry is applied, when it is
 * dropped, or when a term begins that this node may lead. `T` stands for the proposal.
 */
export class LeaderProducers<T> {
  #term = 0;
  /** By id, in the order of the proposals; no list is empty. */
  readonly #pending = new Map<string, Pending<T>[]>();
  /** Ids that the proposals add to those of the table, less those that they forget. */
  readonly #added = { named: 0, ephemeral: 0 };

  constructor(readonly table: ProducerTable) {}

  /** Returns the number of producers with a proposal that is not applied yet. */
  get pendingCount(): number {
    return this.#pending.size;
  }

  /** Returns the last proposal of a producer that is not applied yet. */
  lastPending(id: string): T | undefined {
    return this.#pending.get(id)?.at(-1)?.original;
  }

  /** Forgets the proposals of other terms. Called before each decision. */
  lead(term: number): void {
    if (term === this.#term) return;
    this.#term = term;
    this.#pending.clear();
    this.#added.named = 0;
    this.#added.ephemeral = 0;
  }

  /** Decides about an append that would get the next place in the log. See `ProducerTable`. */
  decide(producer: Producer, mark: RecordsMark, limits: ProducerLimits): LeaderDecision<T> {
    const pending = this.#pending.get(producer.id);
    if (pending === undefined && this.table.get(producer.id) !== undefined)
      return this.table.decide(producer, mark, limits);
    const known = this.#known(producer.id);
    const refusal = refusalOf(producer, known);
    if (refusal !== undefined) return { kind: 'refuse', error: refusal };
    if (known === undefined) return this.table.admit(false, limits, this.#added.named);
    if (producer.epoch > known.epoch || producer.sequence > known.lastSequence) return { kind: 'append' };
    const original = pending && pendingBatch(pending, producer);
    if (original?.mark === undefined) return this.table.decide(producer, mark, limits);
    const { recordCount, crc } = original.mark;
    if (recordCount === mark.recordCount && crc === mark.crc) return { kind: 'pending', original: original.original };
    return { kind: 'refuse', error: new ProducerConflictError(producer) };
  }

  /** Decides about an id to open; without `epoch`, under the next one. `last` holds once the opening is committed. */
  decideOpen(id: string, epoch: number | undefined, isEphemeral: boolean, limits: ProducerLimits): OpenDecision<T> {
    const known = this.#known(id);
    if (known === undefined) {
      const { named, ephemeral } = this.#added;
      const admitted = this.table.admit(isEphemeral, limits, isEphemeral ? ephemeral : named);
      return admitted.kind === 'refuse' ? admitted : { kind: 'open', epoch: epoch ?? firstEpoch };
    }
    if (epoch !== undefined && epoch <= known.epoch)
      return { kind: 'refuse', error: new ProducerFencedError(id, epoch, known.epoch) };
    if (known.epoch === Number.MAX_SAFE_INTEGER) return { kind: 'refuse', error: noHigherEpoch(id) };
    const last = this.#lastBatch(id);
    return { kind: 'open', epoch: epoch ?? known.epoch + 1, ...(last && { last }) };
  }

  /** Decides about an id to close, which must be at this epoch. */
  decideClose(id: string, epoch: number): CloseDecision {
    const known = this.#known(id);
    if (known === undefined) return { kind: 'unknown' };
    if (known.epoch !== epoch) return { kind: 'refuse', error: new ProducerFencedError(id, epoch, known.epoch) };
    return { kind: 'close' };
  }

  /** Returns ids to forget, as `ProducerTable.expired`; none of a producer that has just appended something. */
  expired(before: { readonly named: EpochMs; readonly ephemeral: EpochMs }, idsMax: number): string[] {
    return this.table.expired(before, idsMax).filter((id) => !this.#pending.has(id));
  }

  /** Adds an append that `decide` has accepted. */
  addBatch({ id, epoch, sequence }: Producer, mark: RecordsMark, original: T): void {
    const isEphemeral = this.#known(id)?.isEphemeral ?? false;
    this.#add({ id, epoch, lastSequence: sequence, isEphemeral, isForgotten: false, mark, original });
  }

  /** Adds an id that `decideOpen` has accepted. */
  addOpened(id: string, epoch: number, isEphemeral: boolean, original: T): void {
    const kind = this.#known(id)?.isEphemeral ?? isEphemeral;
    this.#add({ id, epoch, lastSequence: -1, isEphemeral: kind, isForgotten: false, mark: undefined, original });
  }

  addForgotten(id: string, original: T): void {
    const fields = { epoch: 0, lastSequence: -1, isEphemeral: false, isForgotten: true, mark: undefined };
    this.#add({ id, ...fields, original });
  }

  /**
   * Takes out a proposal that gets no entry, with all later ones of the same producer: the core drops proposals from the
   * first that it refuses on.
   */
  drop(id: string, original: T): void {
    const pending = this.#pending.get(id);
    const from = pending?.findLastIndex((each) => each.original === original) ?? -1;
    if (pending !== undefined && from >= 0) this.#change([id], () => this.#remove(id, from, pending.length));
  }

  /** Applies the next committed batch to the table; its proposal, if this leader made it, leaves. */
  apply(batch: RecordBatch): void {
    if (this.#pending.size === 0) this.table.apply(batch);
    else {
      const ids = idsOf(batch);
      this.#change(ids, () => {
        this.table.apply(batch);
        if (batch.term === this.#term) for (const id of ids) this.#remove(id, 0, 1);
      });
    }
  }

  #add(added: Pending<T>): void {
    this.#change([added.id], () => {
      const pending = this.#pending.get(added.id);
      if (pending === undefined) this.#pending.set(added.id, [added]);
      else pending.push(added);
    });
  }

  #remove(id: string, from: number, to: number): void {
    const pending = this.#pending.get(id);
    pending?.splice(from, to - from);
    if (pending?.length === 0) this.#pending.delete(id);
  }

  /** Returns the producer as it will be when everything accepted is applied. */
  #known(id: string): { epoch: number; lastSequence: number; isEphemeral: boolean } | undefined {
    const last = this.#pending.get(id)?.at(-1);
    if (last !== undefined) return last.isForgotten ? undefined : last;
    const known = this.table.get(id);
    return known && { epoch: known.epoch, lastSequence: known.lastSequence, isEphemeral: this.table.isEphemeral(id) };
  }

  /** Returns the last batch of a producer that is known, in any epoch. */
  #lastBatch(id: string): LastBefore<T> | undefined {
    const last = this.#pending.get(id)?.findLast(({ mark, isForgotten }) => mark !== undefined || isForgotten);
    if (last === undefined) return this.table.get(id)?.last;
    return last.isForgotten ? undefined : { sequence: last.lastSequence, original: last.original };
  }

  /** Keeps count of the ids while `change` runs. */
  #change(ids: readonly string[], change: () => void): void {
    for (const id of ids) this.#count(id, -1);
    change();
    for (const id of ids) this.#count(id, 1);
  }

  #count(id: string, sign: 1 | -1): void {
    if (!this.#pending.has(id)) return;
    const after = this.#known(id);
    if (after !== undefined) this.#added[after.isEphemeral ? 'ephemeral' : 'named'] += sign;
    if (this.table.get(id) !== undefined) this.#added[this.table.isEphemeral(id) ? 'ephemeral' : 'named'] -= sign;
  }
}

const noHigherEpoch = (id: string): InvalidInputError =>
  new InvalidInputError(
    `producer ${JSON.stringify(id)} is at the highest epoch, ${Number.MAX_SAFE_INTEGER}: close it, or open another id`,
  );

/** Returns the pending batch of this epoch and sequence: the batches of an epoch follow each other. */
function pendingBatch<T>(pending: readonly Pending<T>[], { epoch, sequence }: Producer): Pending<T> | undefined {
  const last = pending.at(-1);
  const found = last && pending[pending.length - 1 - (last.lastSequence - sequence)];
  return found?.epoch === epoch && found.lastSequence === sequence ? found : undefined;
}

/** Returns the ids that a batch concerns, each once. */
function idsOf(batch: RecordBatch): readonly string[] {
  if (batch.kind === BatchKind.producers) {
    const change = decodeProducerChange(batch.payload);
    invariant(change !== malformed, () => `the change of producers in batch ${batch.index} was checked`);
    return [...new Set([...change.opened.map(({ id }) => id), ...change.forgotten])];
  }
  const producer = producerOf(batch);
  return producer === undefined ? [] : [producer.id];
}
