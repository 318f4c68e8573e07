import type { ConfChange, ConfChangeV2 } from './conf-change.js';
import { asV2, encodeConfChange } from './conf-change.js';
import type { ConfState } from './conf-state.js';
import type { RaftConfig } from './config.js';
import { type Entry, entriesSize } from './entry.js';
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
 * One node of a Raft group, driven from outside: feed it ticks, messages and proposals; while `hasReady`, take a
 * `ready`, do what it asks for, and, without asynchronous storage writes, `advance`. Single-threaded and synchronous.
 */
export class RawNode {
  readonly #raft: Raft;
  readonly #asyncStorageWrites: boolean;
  #lastSoftState: SoftState;
  #lastHardState: HardState;
  #stepsOnAdvance: Message[] = [];

  /** Starts from what the storage holds. Throws RaftConfigError. */
  constructor(config: RaftConfig) {
    this.#raft = new Raft(config);
    this.#asyncStorageWrites = this.#raft.config.asyncStorageWrites;
    this.#lastSoftState = this.#raft.softState;
    this.#lastHardState = this.#raft.hardState;
  }

  /** Time moves on by one tick: the clock of elections and heartbeats. */
  tick(): void {
    this.#raft.tick();
  }

  /** Starts an election now (Raft §5.2). */
  campaign(): void {
    this.#raft.step(message({ type: 'MsgHup' }));
  }

  /** Asks the group to append each `data`, in order. Throws ProposalDroppedError; no error is no promise of a commit. */
  propose(...proposed: readonly Pick<Entry, 'data' | 'proposal'>[]): void {
    const entries = proposed.map(({ data, proposal }): Entry => ({
      term: 0,
      index: 0,
      type: 'normal',
      data,
      proposal,
    }));
    this.#raft.step(message({ type: 'MsgProp', from: this.#raft.id, entries }));
  }

  /**
   * Proposes a change of the configuration (Raft §6). A change that cannot be made now gives way to an empty entry, which
   * does not carry `proposal`. Throws ProposalDroppedError.
   */
  proposeConfChange(change: ConfChange | ConfChangeV2, proposal?: object): void {
    const { type, data } = encodeConfChange(change);
    this.#raft.step(message({ type: 'MsgProp', entries: [{ term: 0, index: 0, type, data, proposal }] }));
  }

  /**
   * Must be called for every configuration change in the committed entries that is not refused by whoever applies it,
   * when it is applied. Answers the configuration from here on.
   */
  applyConfChange(change: ConfChange | ConfChangeV2): ConfState {
    return this.#raft.applyConfChange(asV2(change));
  }

  /** Takes in a message of a peer or of a storage thread. Throws LocalMessageError, PeerNotFoundError, ProposalDroppedError. */
  step(received: Message): void {
    if (isLocalType(received.type) && !isLocalThread(received.from)) throw new LocalMessageError();
    if (isResponseType(received.type) && !isLocalThread(received.from) && !this.#raft.knows(received.from)) {
      throw new PeerNotFoundError();
    }
    this.#raft.step(received);
  }

  /** Takes the outstanding work; it counts as handed over. */
  ready(): Ready {
    const ready = this.readyWithoutAccept();
    this.acceptReady(ready);
    return ready;
  }

  /** Looks at the outstanding work. Nothing may happen to the node between this and `acceptReady`. */
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

  /** Counts the work of `readyWithoutAccept` as handed over. */
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

  /** The work of the last `ready` is done: durable, sent and applied. Not with asynchronous storage writes. */
  advance(): void {
    if (this.#asyncStorageWrites) throw new Error('Advance must not be called when using AsyncStorageWrites');
    const steps = this.#stepsOnAdvance;
    this.#stepsOnAdvance = [];
    for (const step of steps) this.#raft.step(step);
  }

  /** With the progress of all members, where this node leads. Values are copies. */
  status(): Status {
    return statusOf(this.#raft);
  }

  /** What this node knows of each member, where it leads; by ascending id. Not to be changed and not to be kept. */
  visitProgress(visit: (id: number, progress: Readonly<Progress>) => void): void {
    if (this.#raft.state === 'StateLeader') this.#raft.tracker.visit(visit);
  }

  /** Of the last entry of the log, durable or not. */
  get lastIndex(): number {
    return this.#raft.log.lastIndex;
  }

  /** The term of an entry; undefined where there is none, or it is no longer in memory. */
  termAt(index: number): number | undefined {
    return this.#raft.log.term(index);
  }

  /** Where this node leads, nothing counts any more that the member has acknowledged: it has lost entries. */
  forgetProgress(id: number): void {
    this.#raft.tracker.progress.get(id)?.restart(0, this.lastIndex + 1);
  }

  basicStatus(): BasicStatus {
    return basicStatusOf(this.#raft);
  }

  /** Asks the leader to hand over to `transferee` (thesis §3.10). */
  transferLeader(transferee: number): void {
    this.#raft.step(message({ type: 'MsgTransferLeader', from: transferee }));
  }

  /** Asks for a read (thesis §6.4): a ReadState with `requestContext` follows, unless it gets lost. */
  readIndex(requestContext: Uint8Array): void {
    this.#raft.step(
      message({ type: 'MsgReadIndex', entries: [{ term: 0, index: 0, type: 'normal', data: requestContext }] }),
    );
  }

  /** A follower stops trusting its leader, so that it may vote before its timeout; not with lease-based reads. */
  forgetLeader(): void {
    this.#raft.step(message({ type: 'MsgForgetLeader' }));
  }

  /** The last send to `id` failed. */
  reportUnreachable(id: number): void {
    this.#raft.step(message({ type: 'MsgUnreachable', from: id }));
  }

  /** How the last snapshot to `id` went; without a word nothing more is sent there. */
  reportSnapshot(id: number, outcome: 'finish' | 'failure'): void {
    this.#raft.step(message({ type: 'MsgSnapStatus', from: id, reject: outcome === 'failure' }));
  }

  /** Draws no new timeout; only for scenarios that need a known one. */
  setRandomizedElectionTimeout(ticks: number): void {
    this.#raft.setRandomizedElectionTimeout(ticks);
  }

  /** With asynchronous writes an entry may be applied only where it is durable. */
  get #appliesUnstable(): boolean {
    return !this.#asyncStorageWrites;
  }
}

function sameSoftState(a: SoftState, b: SoftState): boolean {
  return a.lead === b.lead && a.raftState === b.raftState;
}
