import { stepCandidate } from './candidate.js';
import type { ConfChangeV2 } from './conf-change.js';
import type { ConfState } from './conf-state.js';
import type { CheckedConfig, RaftConfig } from './config.js';
import { checkConfig } from './config.js';
import { answerVoteRequest, campaignOnHup } from './election.js';
import { entriesSize, payloadsSize } from './entry.js';
import { stepFollower } from './follower.js';
import type { HardState } from './hard-state.js';
import { isEmptyHardState } from './hard-state.js';
import { proposeLeavingJoint, stepLeader } from './leader.js';
import { applyConfChange, restoreConfiguration } from './membership.js';
import type { Message } from './message.js';
import { message, noNode } from './message.js';
import { ProgressTracker } from './progress-tracker.js';
import { RaftLog } from './raft-log.js';
import type { RaftLogger } from './raft-logger.js';
import { hex, panic } from './raft-logger.js';
import { RaftTimers } from './raft-timers.js';
import type { PendingReads } from './reads.js';
import { newPendingReads } from './reads.js';
import type { RaftState, ReadState, SoftState } from './ready.js';
import type { Snapshot } from './snapshot.js';
import { acceptTerm } from './term.js';

/**
 * The consensus state machine of one node (Raft figure 2). Its output is in its outbox and its log; `RawNode` builds a
 * `Ready` from it. The rules of each role are in `follower.ts`, `candidate.ts` and `leader.ts`; only they write to the
 * fields here.
 *
 * Invariants: the term never decreases; at most one vote in a term; only a leader has a transferee.
 */
export class Raft {
  readonly id: number;
  readonly config: CheckedConfig;
  readonly logger: RaftLogger;
  readonly log: RaftLog;
  readonly tracker: ProgressTracker;
  readonly timers: RaftTimers;
  readonly reads: PendingReads;

  term = 0;
  vote = noNode;
  lead = noNode;
  state: RaftState = 'StateFollower';
  /** The target of a leadership transfer in progress, during which the leader drops proposals; 0 for none. */
  leadTransferee = noNode;
  /** A leader proposes no configuration change until it has applied up to this index (thesis §4.1). */
  pendingConfIndex = 0;
  /** Payload size of a leader's uncommitted entries; an estimate that may be too low after an election. */
  uncommittedBytes = 0;

  messages: Message[] = [];
  /** Messages that may be sent only when everything that is unstable now is durable. */
  messagesAfterAppend: Message[] = [];
  readStates: ReadState[] = [];

  constructor(config: RaftConfig) {
    this.config = checkConfig(config);
    this.id = config.id;
    const { logger, storage, maxCommittedSizePerReady, maxInflightMsgs, maxInflightBytes } = this.config;
    this.logger = logger;
    this.log = new RaftLog(storage, logger, maxCommittedSizePerReady);
    this.tracker = new ProgressTracker(maxInflightMsgs, maxInflightBytes);
    this.timers = new RaftTimers(this.config);
    this.reads = newPendingReads();

    const { hardState, confState } = storage.initialState();
    restoreConfiguration(this, confState);
    if (!isEmptyHardState(hardState)) this.#loadHardState(hardState);
    if (this.config.applied > 0) this.log.appliedTo(this.config.applied, 0);
    this.becomeFollower(this.term, noNode);
    const last = this.log.lastEntryId;
    logger.info(
      `newRaft ${hex(this.id)} [peers: [${this.tracker.voterNodes().map(hex).join(',')}], term: ${this.term}, ` +
        `commit: ${this.log.committed}, applied: ${this.log.applied}, lastindex: ${last.index}, lastterm: ${last.term}]`,
    );
  }

  get softState(): SoftState {
    return { lead: this.lead, raftState: this.state };
  }

  get hardState(): HardState {
    return { term: this.term, vote: this.vote, commit: this.log.committed };
  }

  /** Returns true if the node is in the configuration. */
  hasMember(id: number): boolean {
    return this.tracker.progress.has(id);
  }

  /** True if this node may campaign: it is a voter and is not about to replace its log by a snapshot. */
  get promotable(): boolean {
    const own = this.tracker.progress.get(this.id);
    return own !== undefined && !own.isLearner && !this.log.hasUnstableSnapshot;
  }

  tick(): void {
    if (this.state === 'StateLeader') this.#tickLeader();
    else this.#tickElection();
  }

  /** Handles a message. Throws ProposalDroppedError. */
  step(received: Message): void {
    if (!acceptTerm(this, received)) return;
    switch (received.type) {
      case 'MsgHup':
        campaignOnHup(this, this.config.preVote ? 'pre-election' : 'election');
        break;
      case 'MsgStorageAppendResp':
        if (received.index !== 0) this.log.stableTo({ term: received.logTerm, index: received.index });
        if (received.snapshot !== undefined) this.appliedSnapshot(received.snapshot);
        break;
      case 'MsgStorageApplyResp': {
        const last = received.entries.at(-1);
        if (last === undefined) break;
        this.#appliedTo(last.index, entriesSize(received.entries));
        this.uncommittedBytes = Math.max(this.uncommittedBytes - payloadsSize(received.entries), 0);
        break;
      }
      case 'MsgVote':
      case 'MsgPreVote':
        answerVoteRequest(this, received);
        break;
      default:
        this.#stepByRole(received);
    }
  }

  /** Queues a message; sender and term default to this node's. */
  send(fields: Parameters<typeof message>[0]): void {
    const from = fields.from || this.id;
    switch (fields.type) {
      case 'MsgVote':
      case 'MsgPreVote':
      case 'MsgVoteResp':
      case 'MsgPreVoteResp':
        // The term of a pre-vote is not this node's current term.
        if (!fields.term) panic(`term should be set when sending ${fields.type}`);
        this.#enqueue(message({ ...fields, from }));
        break;
      case 'MsgProp':
      case 'MsgReadIndex':
        // Forwarded messages have no term, as if they came from the receiver itself.
        this.#enqueue(message({ ...fields, from, term: 0 }));
        break;
      default:
        this.#enqueue(message({ ...fields, from, term: this.term }));
    }
  }

  clearOutbox(): void {
    this.messages = [];
    this.messagesAfterAppend = [];
    this.readStates = [];
  }

  becomeFollower(term: number, lead: number): void {
    this.#reset(term);
    this.lead = lead;
    this.state = 'StateFollower';
    this.logger.info(`${hex(this.id)} became follower at term ${this.term}`);
  }

  becomeCandidate(): void {
    if (this.state === 'StateLeader') panic('invalid transition [leader -> candidate]');
    this.#reset(this.term + 1);
    this.vote = this.id;
    this.state = 'StateCandidate';
    this.logger.info(`${hex(this.id)} became candidate at term ${this.term}`);
  }

  /** Starts a pre-vote; term and vote stay unchanged (thesis §9.6). */
  becomePreCandidate(): void {
    if (this.state === 'StateLeader') panic('invalid transition [leader -> pre-candidate]');
    this.tracker.resetVotes();
    this.lead = noNode;
    this.state = 'StatePreCandidate';
    this.logger.info(`${hex(this.id)} became pre-candidate at term ${this.term}`);
  }

  /** Changes the role only: `leader.ts` appends the first entry of the term. */
  becomeLeader(): void {
    if (this.state === 'StateFollower') panic('invalid transition [follower -> leader]');
    this.#reset(this.term);
    this.lead = this.id;
    this.state = 'StateLeader';
    // An uncommitted entry may be a configuration change: wait for all of them.
    this.pendingConfIndex = this.log.lastIndex;
  }

  applyConfChange(change: ConfChangeV2): ConfState {
    return applyConfChange(this, change);
  }

  setRandomizedElectionTimeout(ticks: number): void {
    this.timers.randomizedElectionTimeout = ticks;
  }

  /** Records that the snapshot is durable and applied, whatever the term. */
  appliedSnapshot(snapshot: Snapshot): void {
    this.log.unstable.stableSnapshotTo(snapshot.metadata.index);
    this.#appliedTo(snapshot.metadata.index, 0);
  }

  #appliedTo(index: number, bytes: number): void {
    const applied = Math.max(index, this.log.applied);
    this.log.appliedTo(applied, bytes);
    if (this.state === 'StateLeader' && this.tracker.config.autoLeave && applied >= this.pendingConfIndex) {
      proposeLeavingJoint(this);
    }
  }

  #stepByRole(received: Message): void {
    switch (this.state) {
      case 'StateFollower':
        stepFollower(this, received);
        break;
      case 'StateCandidate':
      case 'StatePreCandidate':
        stepCandidate(this, received);
        break;
      case 'StateLeader':
        stepLeader(this, received);
        break;
    }
  }

  #tickElection(): void {
    this.timers.electionElapsed += 1;
    if (!this.promotable || !this.timers.electionDue) return;
    this.timers.electionElapsed = 0;
    this.step(message({ type: 'MsgHup', from: this.id }));
  }

  #tickLeader(): void {
    const { timers } = this;
    timers.heartbeatElapsed += 1;
    timers.electionElapsed += 1;
    if (timers.electionElapsed >= timers.electionTimeout) {
      timers.electionElapsed = 0;
      if (this.config.checkQuorum) this.step(message({ type: 'MsgCheckQuorum', from: this.id }));
      // A transfer that takes longer has failed: stay leader.
      this.leadTransferee = noNode;
    }
    // The leader may have just stepped down.
    if (!this.#isLeader || timers.heartbeatElapsed < timers.heartbeatTimeout) return;
    timers.heartbeatElapsed = 0;
    this.step(message({ type: 'MsgBeat', from: this.id }));
  }

  get #isLeader(): boolean {
    return this.state === 'StateLeader';
  }

  #reset(term: number): void {
    if (!Number.isSafeInteger(term)) panic(`term ${term} is not a safe integer`);
    if (this.term !== term) {
      this.term = term;
      this.vote = noNode;
    }
    this.lead = noNode;
    this.leadTransferee = noNode;
    this.pendingConfIndex = 0;
    this.uncommittedBytes = 0;
    this.timers.restart();
    this.reads.clear();
    this.tracker.resetVotes();
    const { lastIndex } = this.log;
    this.tracker.visit((id, progress) => progress.restart(id === this.id ? lastIndex : 0, lastIndex + 1));
  }

  /** Delays every message that promises durability (Raft figure 2: "updated on stable storage before"). */
  #enqueue(queued: Message): void {
    switch (queued.type) {
      case 'MsgAppResp':
      case 'MsgVoteResp':
      case 'MsgPreVoteResp':
        this.messagesAfterAppend.push(queued);
        break;
      default:
        if (queued.to === this.id) panic(`message should not be self-addressed when sending ${queued.type}`);
        this.messages.push(queued);
    }
  }

  #loadHardState({ term, vote, commit }: HardState): void {
    if (commit < this.log.committed || commit > this.log.lastIndex) {
      panic(`${hex(this.id)} state.commit ${commit} is out of range [${this.log.committed}, ${this.log.lastIndex}]`);
    }
    this.log.commitTo(commit);
    this.term = term;
    this.vote = vote;
  }
}
