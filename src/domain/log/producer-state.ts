import type { EpochMs, Index, Offset, Term } from './offsets.js';

/** A batch that a producer has appended: what tells a repeat of it from another batch, and where it is. */
export interface RememberedBatch {
  readonly recordCount: number;
  /** CRC-32C of the records. */
  readonly crc: number;
  readonly baseOffset: Offset;
  readonly index: Index;
  readonly term: Term;
}

/** The last batch of a producer, whatever its epoch. */
export interface LastBatch {
  readonly sequence: number;
  readonly baseOffset: Offset;
}

/** Numbers a batch takes up in the array of a producer. */
const numbersPerBatch = 3;
/** `recordCount` and `crc` share a number: a batch has less than 2^21 records. */
const crcRange = 2 ** 32;

/**
 * What the log remembers of one producer. Its last batches are plain numbers in one array, used as a ring and grown by
 * doubling, because there may be 60,000 producers.
 */
export class ProducerState {
  /** The sequence of the last batch of this epoch; -1 before the first. */
  lastSequence = -1;
  /** The append time of the last entry that concerned the producer. */
  lastTimeMs: EpochMs;
  #batches: number[] = [];
  /** The lowest sequence that is remembered. */
  #first = 0;
  /** The term of the last batch. */
  #term = 0;
  /** The last batch of earlier epochs, while this epoch has none. */
  #lastOfEarlier: LastBatch | undefined;
  /** The terms of earlier batches, each up to but not including a sequence; hardly ever any. */
  #earlierTerms: { readonly until: number; readonly term: number }[] | undefined;

  constructor(
    public epoch: number,
    appendTimeMs: EpochMs,
  ) {
    this.lastTimeMs = appendTimeMs;
  }

  /** The last batch of this epoch, or of an earlier one while this epoch has none; undefined: none is known. */
  get last(): LastBatch | undefined {
    const { lastSequence: sequence } = this;
    const batch = this.batch(sequence, 1);
    return batch === undefined ? this.#lastOfEarlier : { sequence, baseOffset: batch.baseOffset };
  }

  /** Begins an epoch, in which nothing is appended yet. */
  beginEpoch(epoch: number): void {
    this.#lastOfEarlier = this.last;
    this.epoch = epoch;
    this.#beginAt(0);
  }

  /** Adds the batch of the next sequence, and remembers no more than the last `batchesMax`. */
  add(sequence: number, batch: RememberedBatch, batchesMax: number): void {
    if (sequence !== this.lastSequence + 1) this.#beginAt(sequence);
    this.#makeSpace(sequence, batchesMax);
    this.#noteTerm(sequence, batch.term);
    this.lastSequence = sequence;
    this.#lastOfEarlier = undefined;
    const at = this.#positionOf(sequence);
    this.#batches[at] = batch.recordCount * crcRange + batch.crc;
    this.#batches[at + 1] = batch.baseOffset;
    this.#batches[at + 2] = batch.index;
  }

  /** Returns the batch of a sequence, if it is one of the last `batchesMax`. */
  batch(sequence: number, batchesMax: number): RememberedBatch | undefined {
    const first = Math.max(this.#first, this.lastSequence + 1 - batchesMax);
    if (sequence < first || sequence > this.lastSequence) return undefined;
    const at = this.#positionOf(sequence);
    const countAndCrc = this.#batches[at];
    const term = this.#earlierTerms?.find(({ until }) => sequence < until)?.term ?? this.#term;
    return {
      recordCount: Math.floor(countAndCrc / crcRange),
      crc: countAndCrc % crcRange,
      baseOffset: this.#batches[at + 1] as Offset,
      index: this.#batches[at + 2] as Index,
      term: term as Term,
    };
  }

  /** The batches that the array has space for. */
  get #space(): number {
    return this.#batches.length / numbersPerBatch;
  }

  #positionOf(sequence: number): number {
    return (sequence % this.#space) * numbersPerBatch;
  }

  #beginAt(sequence: number): void {
    this.lastSequence = sequence - 1;
    this.#first = sequence;
    this.#batches = [];
    this.#earlierTerms = undefined;
  }

  /** Makes space for a sequence: a larger or smaller array, or the place of the oldest batch. */
  #makeSpace(sequence: number, batchesMax: number): void {
    const kept = Math.min(sequence - this.#first, batchesMax - 1);
    const isFull = kept === this.#space;
    if (isFull || this.#space > batchesMax) {
      const space = Math.min(batchesMax, Math.max(1, 2 * kept));
      // `concat` allocates no more than it holds, which `push` and an assignment past the end do.
      const grown = noNumbers.concat(new Array<number>(space * numbersPerBatch).fill(0));
      for (let each = sequence - kept; each < sequence; each++) {
        const from = this.#positionOf(each);
        const to = (each % space) * numbersPerBatch;
        for (let i = 0; i < numbersPerBatch; i++) grown[to + i] = this.#batches[from + i];
      }
      this.#batches = grown;
    }
    this.#first = Math.max(this.#first, sequence + 1 - this.#space);
  }

  #noteTerm(sequence: number, term: number): void {
    if (term === this.#term) return;
    const earlier = this.#earlierTerms?.filter(({ until }) => until > this.#first) ?? [];
    if (sequence > this.#first) earlier.push({ until: sequence, term: this.#term });
    this.#earlierTerms = earlier.length > 0 ? earlier : undefined;
    this.#term = term;
  }
}

const noNumbers: readonly number[] = [];
