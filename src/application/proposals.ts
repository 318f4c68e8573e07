import { type Offset, toOffset } from '../domain/log/offsets.js';
import type { RecordBatch, Records } from '../domain/log/record-batch.js';
import type { Entry } from '../domain/raft/entry.js';
import { OutcomeUnknownError, UnavailableError } from './errors.js';
import type { AppendReceipt } from './ports/consensus.js';

/** An append that this node, as the leader, has taken and not answered. */
interface Proposal {
  readonly records: Records;
  readonly resolve: (receipt: AppendReceipt) => void;
  readonly reject: (error: unknown) => void;
}

interface Waiter extends Proposal {
  readonly term: number;
}

/**
 * The appends that wait. They are gathered for the core, which takes them in one step; they have no place yet. Once the core gives their entries out they have
 * one, and wait there until that index is committed: with their entry, or with another leader's.
 */
export class Proposals {
  #gathered: Uint8Array[] = [];
  #unplaced: Proposal[] = [];
  #unplacedRecords = 0;
  readonly #waiters = new Map<number, Waiter>();
  #pendingBytes = 0;

  /** Bytes of all that wait. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  get count(): number {
    return this.#unplaced.length + this.#waiters.size;
  }

  /** The offset that the next append gets, on a leader whose log so far ends at `endOffset`. */
  nextOffset(endOffset: Offset): Offset {
    return toOffset(endOffset + this.#unplacedRecords);
  }

  /** Gathers it for the core, and waits for the answer. */
  add(records: Records): Promise<AppendReceipt> {
    return new Promise((resolve, reject) => {
      this.#gathered.push(records.payload);
      this.#unplaced.push({ records, resolve, reject });
      this.#unplacedRecords += records.count;
      this.#pendingBytes += records.payload.length;
    });
  }

  /** The payloads that came since the last time, for the core. */
  takeGathered(): readonly Uint8Array[] {
    const gathered = this.#gathered;
    this.#gathered = [];
    return gathered;
  }

  /** The records of an entry that the core gives out and nobody sealed: one of these, in their order. */
  recordsOf(entry: Entry): Records | undefined {
    while (this.#unplaced.length > 0) {
      const { records } = this.#unplaced[0];
      if (records.payload === entry.data) return records;
      this.#dropFirst();
    }
    return undefined;
  }

  /** The entry of the first one has its place. */
  place({ index, term }: RecordBatch): void {
    const proposal = this.#unplaced.shift();
    if (proposal === undefined) return;
    const { records, resolve, reject } = proposal;
    this.#unplacedRecords -= records.count;
    this.#waiters.set(index, { records, resolve, reject, term });
  }

  /** The core has given out all that it took: what has no place by now was never in the log. */
  dropUnplaced(): void {
    while (this.#unplaced.length > 0) this.#dropFirst();
  }

  /** The entry at this index is committed. */
  settle({ index, term, baseOffset, recordCount }: RecordBatch, syncedOn: (index: number) => readonly string[]): void {
    const waiter = this.#waiters.get(index);
    if (waiter === undefined) return;
    this.#forget(index, waiter);
    if (waiter.term === term) waiter.resolve({ baseOffset, recordCount, index, term, syncedOn: syncedOn(index) });
    else waiter.reject(new UnavailableError('another leader took over before the append: nothing was appended'));
  }

  /** This node no longer leads, and has not learnt what became of them. */
  giveUp(reason: string): void {
    for (const [index, waiter] of this.#waiters) {
      this.#forget(index, waiter);
      waiter.reject(new OutcomeUnknownError(reason));
    }
  }

  #forget(index: number, { records }: Proposal): void {
    this.#waiters.delete(index);
    this.#pendingBytes -= records.payload.length;
  }

  #dropFirst(): void {
    const dropped = this.#unplaced.shift();
    if (dropped === undefined) return;
    this.#unplacedRecords -= dropped.records.count;
    this.#pendingBytes -= dropped.records.payload.length;
    dropped.reject(new UnavailableError('this node stopped leading: nothing was appended'));
  }
}
