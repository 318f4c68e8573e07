import type { Producer } from './batch-prefix.js';
import type { Crc32c } from './checksum.js';
import { invariant } from './invariant.js';
import type { EpochMs } from './offsets.js';
import { decodeProducerChange, type OpenedProducer } from './producer-change.js';
import {
  ProducerBatchTooOldError,
  ProducerConflictError,
  ProducerFencedError,
  type ProducerRefusal,
  ProducerSequenceGapError,
  ProducersMaxError,
} from './producer-errors.js';
import { ProducerState, type RememberedBatch } from './producer-state.js';
import { BatchKind, producerOf, type RecordBatch, type Records } from './record-batch.js';
import { malformed } from './wire-reader.js';

/** How many producers the log remembers. */
export interface ProducerLimits {
  readonly producersMax: number;
  readonly ephemeralProducersMax: number;
}

/** Batches remembered of each producer: more while there are few producers. */
export const rememberedBatches = { usual: 16, ofFew: 64, fewProducers: 1_000 } as const;

/** What distinguishes the records of an append from others. */
export interface RecordsMark {
  readonly recordCount: number;
  /** CRC-32C of the payload. */
  readonly crc: number;
}

export type ProducerDecision =
  | { readonly kind: 'append' }
  | { readonly kind: 'duplicate'; readonly of: RememberedBatch }
  | { readonly kind: 'refuse'; readonly error: ProducerRefusal };

const appendDecision: ProducerDecision = { kind: 'append' };

/**
 * What the committed log says of its producers: a function of the batches applied, so every node that has applied the
 * same batches has the same table. After Kafka's KIP-98.
 *
 * `decide` answers by the first row that holds:
 *
 * | epoch and sequence, against what is known of the id      | decision                                             |
 * | -------------------------------------------------------- | ---------------------------------------------------- |
 * | epoch lower                                              | refuse: fenced                                       |
 * | epoch higher, or id unknown; sequence above 0            | refuse: gap, expected 0                              |
 * | id unknown, and the table is full                        | refuse: producers max                                |
 * | epoch higher, or id unknown; sequence 0                  | append                                               |
 * | same epoch, the next sequence                            | append                                               |
 * | same epoch, a later sequence                             | refuse: gap, expected the next                       |
 * | same epoch, a remembered sequence with the same records  | duplicate                                            |
 * | the same, other records                                  | refuse: conflict                                     |
 * | same epoch, an older sequence                            | refuse: too old                                      |
 */
export class ProducerTable {
  /** Both in the order of the last index, so that the first ones are the first to be forgotten. */
  readonly #named = new Map<string, ProducerState>();
  readonly #ephemeral = new Map<string, ProducerState>();
  /** The append time of the last batch; no producer has a later one. */
  #lastTimeMs = Infinity;

  constructor(private readonly crc32c: Crc32c) {}

  get namedCount(): number {
    return this.#named.size;
  }

  get ephemeralCount(): number {
    return this.#ephemeral.size;
  }

  /** How many batches are remembered of each producer. */
  get batchesMax(): number {
    const { usual, ofFew, fewProducers } = rememberedBatches;
    return this.#named.size + this.#ephemeral.size <= fewProducers ? ofFew : usual;
  }

  /** Returns what is known of a producer; it changes as batches are applied. */
  get(id: string): Readonly<Pick<ProducerState, 'epoch' | 'lastSequence' | 'last' | 'batch'>> | undefined {
    return this.#named.get(id) ?? this.#ephemeral.get(id);
  }

  isEphemeral(id: string): boolean {
    return this.#ephemeral.has(id);
  }

  /** Returns the mark of records, by which a repeat is told from other records. */
  markOf({ payload, count }: Pick<Records, 'payload' | 'count'>): RecordsMark {
    return { recordCount: count, crc: this.crc32c(payload) >>> 0 };
  }

  /** Decides about an append, on a log that ends with the last batch applied. */
  decide(producer: Producer, mark: RecordsMark, limits: ProducerLimits): ProducerDecision {
    const known = this.get(producer.id);
    const refusal = refusalOf(producer, known);
    if (refusal !== undefined) return { kind: 'refuse', error: refusal };
    // An id gets to be ephemeral only by being opened.
    if (known === undefined) return this.admit(false, limits);
    if (producer.epoch > known.epoch || producer.sequence > known.lastSequence) return appendDecision;
    return decideRepeat(producer, mark, known.batch(producer.sequence, this.batchesMax));
  }

  /** Decides whether there is space for one more producer, beside `added` that are about to be added. */
  admit(isEphemeral: boolean, limits: ProducerLimits, added = 0): ProducerDecision {
    const [count, limit] = isEphemeral
      ? [this.#ephemeral.size, limits.ephemeralProducersMax]
      : [this.#named.size, limits.producersMax];
    return count + added < limit
      ? appendDecision
      : { kind: 'refuse', error: new ProducersMaxError(isEphemeral, limit) };
  }

  /** Applies the next committed batch, whatever its kind. */
  apply(batch: RecordBatch): void {
    this.#noteTime(batch.appendTimeMs);
    if (batch.kind === BatchKind.producers) this.#applyChange(batch);
    else if (batch.prefix !== undefined) this.#applyRecords(batch);
  }

  /**
   * Returns ids to forget, oldest first, at most `idsMax`: the ephemeral and the named ones whose last batch is older
   * than these times.
   */
  expired(before: { readonly named: EpochMs; readonly ephemeral: EpochMs }, idsMax: number): string[] {
    const ids: string[] = [];
    for (const [producers, time] of [
      [this.#ephemeral, before.ephemeral],
      [this.#named, before.named],
    ] as const)
      for (const [id, { lastTimeMs }] of producers) {
        if (lastTimeMs >= time || ids.length >= idsMax) break;
        ids.push(id);
      }
    return ids;
  }

  /**
   * Append times go back only after a clock was far ahead. What was appended before a time counts as no later than it,
   * so that no producer stays because of a wrong clock.
   */
  #noteTime(time: EpochMs): void {
    if (time < this.#lastTimeMs)
      for (const producers of [this.#named, this.#ephemeral])
        for (const state of producers.values()) if (state.lastTimeMs > time) state.lastTimeMs = time;
    this.#lastTimeMs = time;
  }

  #applyRecords(batch: RecordBatch): void {
    const producer = producerOf(batch);
    if (producer === undefined) return;
    const { id, epoch, sequence } = producer;
    const state = this.#touch(id, epoch, false, batch);
    // The leader has decided; this only keeps a batch that should not be in the log from changing more than it must.
    if (epoch < state.epoch || (epoch === state.epoch && sequence <= state.lastSequence)) return;
    if (epoch > state.epoch) state.beginEpoch(epoch);
    const { payload, recordCount, baseOffset, index, term } = batch;
    const { crc } = this.markOf({ payload, count: recordCount });
    state.add(sequence, { recordCount, crc, baseOffset, index, term }, this.batchesMax);
  }

  #applyChange(batch: RecordBatch): void {
    const change = decodeProducerChange(batch.payload);
    invariant(change !== malformed, () => `the change of producers in batch ${batch.index} was checked`);
    for (const each of change.opened) this.#open(each, batch);
    for (const id of change.forgotten) {
      this.#named.delete(id);
      this.#ephemeral.delete(id);
    }
  }

  #open({ id, epoch, isEphemeral }: OpenedProducer, batch: RecordBatch): void {
    const state = this.#touch(id, epoch, isEphemeral, batch);
    if (epoch > state.epoch) state.beginEpoch(epoch);
  }

  /** Makes the producer the last one to be forgotten. */
  #touch(id: string, epoch: number, isEphemeral: boolean, batch: RecordBatch): ProducerState {
    let producers = this.#ephemeral.has(id) ? this.#ephemeral : this.#named;
    let state = producers.get(id);
    if (state === undefined) {
      producers = isEphemeral ? this.#ephemeral : this.#named;
      state = new ProducerState(epoch, batch.appendTimeMs);
    } else producers.delete(id);
    producers.set(id, state);
    state.lastTimeMs = batch.appendTimeMs;
    return state;
  }
}

/** Returns the refusal by epoch and sequence alone: fenced, or a gap. */
export function refusalOf(
  producer: Producer,
  known: Pick<ProducerState, 'epoch' | 'lastSequence'> | undefined,
): ProducerFencedError | ProducerSequenceGapError | undefined {
  const { id, epoch, sequence } = producer;
  if (known !== undefined && epoch < known.epoch) return new ProducerFencedError(id, epoch, known.epoch);
  const next = known !== undefined && epoch === known.epoch ? known.lastSequence + 1 : 0;
  return sequence > next ? new ProducerSequenceGapError(producer, next) : undefined;
}

/** Decides about a sequence that was appended before, as `batch` if that is remembered. */
function decideRepeat(producer: Producer, mark: RecordsMark, batch: RememberedBatch | undefined): ProducerDecision {
  if (batch === undefined) return { kind: 'refuse', error: new ProducerBatchTooOldError(producer) };
  if (batch.recordCount !== mark.recordCount || batch.crc !== mark.crc)
    return { kind: 'refuse', error: new ProducerConflictError(producer) };
  return { kind: 'duplicate', of: batch };
}
