import { type Index, type Offset, type Term, toOffset } from '../../domain/log/offsets.js';
import { BatchKind, type RecordBatch, type Records } from '../../domain/log/record-batch.js';
import type { Entry, ProposedEntry } from '../../domain/raft/entry.js';
import { OutcomeUnknownError, UnavailableError } from '../errors.js';
import type { AppendReceipt } from '../ports/consensus.js';

/** An entry that this node, as the leader, has asked its core to append, and the caller that waits for the outcome. */
interface Proposal {
  readonly kind: 'append' | 'change';
  readonly recordCount: number;
  readonly bytes: number;
  /** The core has refused it. Called before anything else is proposed. */
  readonly dropped?: (() => void) | undefined;
  readonly resolve: (receipt: AppendReceipt) => void;
  readonly reject: (error: unknown) => void;
}

interface Assigned {
  readonly proposal: Proposal;
  /** The term of its entry; an entry of another term at that index comes from another leader. */
  readonly term: Term;
  readonly index: Index;
  readonly baseOffset: Offset;
}

/** What is known about the entries that are committed now. */
export interface Committed {
  readonly index: number;
  /** Returns the term of an entry; undefined if it is not in memory. */
  readonly termAt: (index: number) => number | undefined;
  /** Returns the names of the nodes known to have the entry on disk. */
  readonly syncedOn: (index: number) => readonly string[];
}

/**
 * The appends and configuration changes that wait for their outcome.
 *
 * A proposal is recognized by its identity: the core carries it from the proposal to the entry that it gives out for
 * it. From then on it is assigned to that index, and settled when an entry of that index is committed: its own entry or
 * another leader's. If the core has given everything out and a proposal has no entry, the core has refused it, and it
 * is not in the log.
 *
 * An append is settled by the commit index alone, since a quorum may have it while the own disk hangs; a change once it
 * is applied.
 */
export class Proposals {
  #gathered: ProposedEntry[] = [];
  readonly #unassigned = new Map<object, Proposal>();
  #unassignedRecords = 0;
  /** By index, ascending. */
  readonly #assigned = new Map<number, Assigned>();
  #pendingBytes = 0;
  #lastAssigned = 0;
  #acknowledgedEnd = toOffset(0);
  /** Ticks until the appends of a lost leadership are given up; 0: none are pending. */
  #ticksToGiveUp = 0;

  /** Payload bytes of all appends that wait. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** One past the last record of the appends that were acknowledged here. */
  get acknowledgedEnd(): Offset {
    return this.#acknowledgedEnd;
  }

  get count(): number {
    return this.#unassigned.size + this.#assigned.size;
  }

  /** Returns the offset of the next append, on a leader whose log so far ends at `endOffset`. */
  nextOffset(endOffset: Offset): Offset {
    return toOffset(endOffset + this.#unassignedRecords);
  }

  /** Gathers an append for the core. Resolves when it is committed. `dropped` is called if the core refuses it. */
  append(records: Records, dropped?: () => void): Promise<AppendReceipt> {
    return this.#gather(BatchKind.records, records, dropped);
  }

  /** As `append`, for a batch that holds no records. */
  control(kind: BatchKind, payload: Uint8Array, dropped?: () => void): Promise<AppendReceipt> {
    return this.#gather(kind, { payload, count: 0 }, dropped);
  }

  #gather(kind: BatchKind, { prefix, payload, count }: Records, dropped?: () => void): Promise<AppendReceipt> {
    return new Promise((resolve, reject) => {
      const bytes = payload.length;
      const proposal = { kind: 'append', recordCount: count, bytes, dropped, resolve, reject } as const;
      this.#gathered.push({ kind, prefix, data: payload, proposal });
      this.#unassigned.set(proposal, proposal);
      this.#unassignedRecords += count;
      this.#pendingBytes += payload.length;
    });
  }

  /** Returns the appends gathered since the last call, for the core to accept in one step. */
  takeGathered(): readonly ProposedEntry[] {
    const gathered = this.#gathered;
    if (gathered.length > 0) this.#gathered = [];
    return gathered;
  }

  /**
   * Waits for a configuration change that `propose` passes to the core, as `proposal`. When `propose` throws, nothing
   * waits and the promise rejects with that error.
   */
  change(propose: (proposal: object) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const proposal = { kind: 'change', recordCount: 0, bytes: 0, resolve: () => resolve(), reject } as const;
      propose(proposal);
      this.#unassigned.set(proposal, proposal);
    });
  }

  /** Returns the number of records of an entry that the core gives out as the leader's own. */
  recordCountOf({ proposal }: Entry): number {
    return (proposal && this.#unassigned.get(proposal)?.recordCount) ?? 0;
  }

  /** The core has given out the entry of a proposal, sealed as this batch. */
  assign(entry: Entry, { index, term, baseOffset }: RecordBatch): void {
    const proposal = entry.proposal && this.#unassigned.get(entry.proposal);
    if (proposal === undefined) return;
    this.#unassigned.delete(proposal);
    this.#unassignedRecords -= proposal.recordCount;
    // The entry stays in memory for followers; its proposal is no longer needed.
    delete entry.proposal;
    if (index <= this.#lastAssigned) this.#replace(index);
    this.#lastAssigned = index;
    this.#assigned.set(index, { proposal, term, index, baseOffset });
  }

  /** Rejects the proposals for which the core has given out no entry: it has refused them. */
  rejectUnassigned(): void {
    if (this.#unassigned.size === 0) return;
    for (const proposal of this.#unassigned.values()) {
      this.#pendingBytes -= proposal.bytes;
      proposal.dropped?.();
      const reason =
        proposal.kind === 'append'
          ? 'this node stopped leading: nothing was appended'
          : 'another configuration change is in progress; retry later';
      proposal.reject(new UnavailableError(reason));
    }
    this.#unassigned.clear();
    this.#unassignedRecords = 0;
  }

  /** Everything up to an index is committed: answers the appends among it, in order. */
  settle(committed: Committed): void {
    for (const assigned of this.#assigned.values()) {
      if (assigned.index > committed.index) return;
      const term = committed.termAt(assigned.index);
      if (term !== undefined && assigned.proposal.kind === 'append') this.#settle(assigned, term, committed.syncedOn);
    }
  }

  /** The configuration change of this entry is applied. */
  applied({ index, term }: RecordBatch): void {
    const assigned = this.#assigned.get(index);
    if (assigned?.proposal.kind === 'change') this.#settle(assigned, term, () => []);
  }

  #settle(assigned: Assigned, committedTerm: number, syncedOn: Committed['syncedOn']): void {
    const { proposal, index, term, baseOffset } = assigned;
    this.#forget(index, proposal);
    if (term !== committedTerm) {
      proposal.reject(new UnavailableError('another leader took over before the append: nothing was appended'));
      return;
    }
    const { recordCount } = proposal;
    this.#acknowledgedEnd = toOffset(Math.max(this.#acknowledgedEnd, baseOffset + recordCount));
    proposal.resolve({ baseOffset, recordCount, index, term, syncedOn: syncedOn(index) });
  }

  /** The log of this node has other entries from this index on, but another log may still have the earlier ones. */
  #replace(from: number): void {
    for (const { index, proposal } of [...this.#assigned.values()].reverse()) {
      if (index < from) return;
      this.#forget(index, proposal);
      proposal.reject(new OutcomeUnknownError('leadership was lost before the append was committed'));
    }
  }

  /**
   * This node has stopped leading. Changes are rejected with the error; they may still happen. Appends wait `ticks` more
   * for their entry to be committed or replaced.
   */
  leadershipLost(ticks: number, error: UnavailableError): void {
    this.#ticksToGiveUp = ticks;
    this.#rejectChanges(error);
  }

  /** This node leads again, so the outcome of its entries will be known. */
  leadershipGained(): void {
    this.#ticksToGiveUp = 0;
  }

  tick(): void {
    if (this.#ticksToGiveUp === 0) return;
    this.#ticksToGiveUp -= 1;
    if (this.#ticksToGiveUp === 0) this.#giveUp('leadership was lost before the append was committed');
  }

  /** This node stops: the outcome of its appends will not be known here. */
  end(reason: string, error: UnavailableError): void {
    this.#rejectChanges(error);
    this.#giveUp(reason);
    this.rejectUnassigned();
  }

  #giveUp(reason: string): void {
    for (const [index, { proposal }] of this.#assigned) {
      this.#forget(index, proposal);
      proposal.reject(new OutcomeUnknownError(reason));
    }
  }

  #rejectChanges(error: UnavailableError): void {
    for (const proposal of this.#unassigned.values()) {
      if (proposal.kind === 'change' && this.#unassigned.delete(proposal)) proposal.reject(error);
    }
    for (const [index, { proposal }] of this.#assigned) {
      if (proposal.kind === 'change' && this.#assigned.delete(index)) proposal.reject(error);
    }
  }

  #forget(index: number, { bytes }: Proposal): void {
    this.#assigned.delete(index);
    this.#pendingBytes -= bytes;
  }
}
