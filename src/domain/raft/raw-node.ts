import type { ConfChange, ConfChangeV2 } from './conf-change.js';
import { asV2, encodeConfChange } from './conf-change.js';
import type { ConfState } from './conf-state.js';
import type { RaftConfig } from './config.js';
import { type Entry, entriesSize, type ProposedEntry } from './entry.js';
import type { HardState } from './hard-state.js';
import { hardStatesEqual } from './hard-state.js';
import type { Message } from './message.js';
import { isLocalThread, isLocalType, isResponseType, message } from './message.js';
import type { Progress } from './progress.js';
import { LocalMessageError, PeerNotFoundError } from './raft-errors.js';
import { Raft } from './raft.js';
import type { Ready, SoftState } from './ready.js';
import type { BasicStatus, Status } from './status.js';
import { basicStatusOf, statusOf } from './status.js';
import {
  needsStorageAppend,
  needsStorageAppendResponse,
  storageAppend,
  storageAppendResponse,
  storageApply,
  storageApplyResponse,
} from './storage-messages.js';

/**
 * One node of a Raft group, driven by its caller: feed it ticks, messages and proposals; while `hasReady`, call
 * `ready`, do the work it describes, and call `advance` (not with asynchronous storage writes). Single-threaded and
 * synchronous.
 */
export class RawNode {
  readonly #raft: Raft;
  readonly #asyncStorageWrites: boolean;
  #lastSoftState: SoftState;
  #lastHardState: HardState;
  #stepsOnAdvance: Message[] = [];

  /** Starts from the state in the storage. Throws RaftConfigError. */
  constructor(config: RaftConfig) {
    this.#raft = new Raft(config);
    this.#asyncStorageWrites = this.#raft.config.asyncStorageWrites;
    this.#lastSoftState = this.#raft.softState;
    this.#lastHardState = this.#raft.hardState;
  }

  /** Advances the clock of elections and heartbeats by one tick. */
  tick(): void {
    this.#raft.tick();
  }

  /** Starts an election now (Raft §5.2). */
  campaign(): void {
    this.#raft.step(message({ type: 'MsgHup' }));
  }

  /**
   * Proposes to append each `data`, in order. Throws ProposalDroppedError; without an error, a commit is still not
   * certain.
   */
  propose(...proposed: readonly ProposedEntry[]): void {
    const entries = proposed.map(({ data, kind, prefix, proposal }): Entry => ({
      term: 0,
      index: 0,
      type: 'normal',
      data,
      kind,
      prefix,
      proposal,
    }));
    this.#raft.step(message({ type: 'MsgProp', from: this.#raft.id, entries }));
  }

  /**
   * Proposes a configuration change (Raft §6). A change that cannot be applied now is replaced by an empty entry, which
   * does not carry `proposal`. Throws ProposalDroppedError.
   */
  proposeConfChange(change: ConfChange | ConfChangeV2, proposal?: object): void {
    const { type, data } = encodeConfChange(change);
    this.#raft.step(message({ type: 'MsgProp', entries: [{ term: 0, index: 0, type, data, proposal }] }));
  }

  /**
   * Applies a committed configuration change and returns the new configuration. The caller must call it for every such
   * change when it applies the entry, unless it rejects the change.
   */
  applyConfChange(change: ConfChange | ConfChangeV2): ConfState {
    return this.#raft.applyConfChange(asV2(change));
  }

  /**
   * Handles a message of a peer or of a storage thread. Throws LocalMessageError, PeerNotFoundError,
   * ProposalDroppedError.
   */
  step(received: Message): void {
    if (isLocalType(received.type) && !isLocalThread(received.from)) throw new LocalMessageError();
    if (isResponseType(received.type) && !isLocalThread(received.from) && !this.#raft.hasMember(received.from)) {
      throw new PeerNotFoundError();
    }
    this.#raft.step(received);
  }

  /** Returns the outstanding work and marks it as accepted. */
  ready(): Ready {
    const ready = this.readyWithoutAccept();
    this.acceptReady(ready);
    return ready;
  }

  /** Returns the outstanding work without accepting it. The node must not be changed before `acceptReady`. */
  readyWithoutAccept(): Ready {
    const raft = this.#raft;
    const { softState, hardState } = raft;
    const entries = raft.log.unstable.nextEntries();
    const ready = {
      softState: sameSoftState(softState, this.#lastSoftState) ? undefined : softState,
      hardState: hardStatesEqual(hardState, this.#lastHardState) ? undefined : hardState,
      readStates: raft.readStates,
      entries,
      snapshot: raft.log.unstable.nextSnapshot(),
      committedEntries: raft.log.nextCommittedEntries(this.#appliesUnstable),
      mustSync:
        entries.length > 0 ||
        hardState.term !== this.#lastHardState.term ||
        hardState.vote !== this.#lastHardState.vote,
    };
    const messages = [...raft.messages];
    if (this.#asyncStorageWrites) {
      if (needsStorageAppend(raft, ready)) messages.push(storageAppend(raft, ready));
      if (ready.committedEntries.length > 0) messages.push(storageApply(raft, ready.committedEntries));
    } else {
      messages.push(...raft.messagesAfterAppend.filter(({ to }) => to !== raft.id));
    }
    return { ...ready, messages };
  }

  hasReady(): boolean {
    const raft = this.#raft;
    return (
      raft.messages.length > 0 ||
      raft.messagesAfterAppend.length > 0 ||
      raft.readStates.length > 0 ||
      !sameSoftState(raft.softState, this.#lastSoftState) ||
      !hardStatesEqual(raft.hardState, this.#lastHardState) ||
      raft.log.unstable.nextSnapshot() !== undefined ||
      raft.log.unstable.hasNextEntries ||
      raft.log.hasNextCommittedEntries(this.#appliesUnstable)
    );
  }

  /** Marks the work of `readyWithoutAccept` as accepted. */
  acceptReady(ready: Ready): void {
    const raft = this.#raft;
    if (ready.softState !== undefined) this.#lastSoftState = ready.softState;
    if (ready.hardState !== undefined) this.#lastHardState = ready.hardState;
    if (!this.#asyncStorageWrites) {
      if (this.#stepsOnAdvance.length > 0) throw new Error('two accepted Ready structs without call to Advance');
      this.#stepsOnAdvance = raft.messagesAfterAppend.filter(({ to }) => to === raft.id);
      if (needsStorageAppendResponse(raft, ready)) this.#stepsOnAdvance.push(storageAppendResponse(raft, ready));
      if (ready.committedEntries.length > 0) {
        this.#stepsOnAdvance.push(storageApplyResponse(raft, ready.committedEntries));
      }
    }
    raft.clearOutbox();
    raft.log.unstable.acceptInProgress();
    const last = ready.committedEntries.at(-1);
    if (last !== undefined) {
      raft.log.acceptApplying(last.index, entriesSize(ready.committedEntries), this.#appliesUnstable);
    }
  }

  /**
   * Reports that the work of the last `ready` is done: durable, sent and applied. Not for asynchronous storage writes.
   */
  advance(): void {
    if (this.#asyncStorageWrites) throw new Error('Advance must not be called when using AsyncStorageWrites');
    const steps = this.#stepsOnAdvance;
    this.#stepsOnAdvance = [];
    for (const step of steps) this.#raft.step(step);
  }

  /** Returns the status, on a leader with the progress of all members. Values are copies. */
  status(): Status {
    return statusOf(this.#raft);
  }

  /**
   * Visits the progress of each member, by ascending ID; only on a leader. The callback must neither modify nor retain
   * it.
   */
  visitProgress(visit: (id: number, progress: Readonly<Progress>) => void): void {
    if (this.#raft.state === 'StateLeader') this.#raft.tracker.visit(visit);
  }

  /** The index of the last entry of the log, durable or not. */
  get lastIndex(): number {
    return this.#raft.log.lastIndex;
  }

  /** The highest index known to be on the disks of a quorum; the own disk may not be among them. */
  get commitIndex(): number {
    return this.#raft.log.committed;
  }

  /**
   * Whether a snapshot is about to replace the log. The node has the configuration of the snapshot already: entries that
   * were given out to be applied before must not change it any more.
   */
  get isRestoring(): boolean {
    return this.#raft.log.hasUnstableSnapshot;
  }

  /** The index up to which the log is known to be durable on this node. */
  get durableIndex(): number {
    const { unstable } = this.#raft.log;
    return unstable.snapshot === undefined ? unstable.offset - 1 : 0;
  }

  /** Returns the term of an entry; undefined when there is no such entry, or it is no longer in memory. */
  termAt(index: number): number | undefined {
    return this.#raft.log.term(index);
  }

  /** On a leader, discards the acknowledgements of a member that has lost entries. */
  forgetProgress(id: number): void {
    this.#raft.tracker.progress.get(id)?.restart(0, this.lastIndex + 1);
  }

  basicStatus(): BasicStatus {
    return basicStatusOf(this.#raft);
  }

  /** Asks the leader to transfer leadership to `transferee` (thesis §3.10). */
  transferLeader(transferee: number): void {
    this.#raft.step(message({ type: 'MsgTransferLeader', from: transferee }));
  }

  /**
   * Requests a linearizable read (thesis §6.4): a ReadState with `requestContext` follows, unless a message is lost.
   */
  readIndex(requestContext: Uint8Array): void {
    this.#raft.step(
      message({ type: 'MsgReadIndex', entries: [{ term: 0, index: 0, type: 'normal', data: requestContext }] }),
    );
  }

  /** Makes a follower forget its leader, so that it may vote before its timeout; ignored with lease-based reads. */
  forgetLeader(): void {
    this.#raft.step(message({ type: 'MsgForgetLeader' }));
  }

  /** Reports that the last send to `id` failed. */
  reportUnreachable(id: number): void {
    this.#raft.step(message({ type: 'MsgUnreachable', from: id }));
  }

  /** Reports the outcome of the last snapshot to `id`; until then, nothing more is sent there. */
  reportSnapshot(id: number, outcome: 'finish' | 'failure'): void {
    this.#raft.step(message({ type: 'MsgSnapStatus', from: id, reject: outcome === 'failure' }));
  }

  /** Sets the election timeout, for scenarios that need a known one. */
  setRandomizedElectionTimeout(ticks: number): void {
    this.#raft.setRandomizedElectionTimeout(ticks);
  }

  /** With asynchronous writes, an entry may be applied only once it is durable. */
  get #appliesUnstable(): boolean {
    return !this.#asyncStorageWrites;
  }
}

function sameSoftState(a: SoftState, b: SoftState): boolean {
  return a.lead === b.lead && a.raftState === b.raftState;
}
