import { invariant } from '../../domain/log/invariant.js';
import type { Offset } from '../../domain/log/offsets.js';
import type { Entry } from '../../domain/raft/entry.js';
import { appendThread, applyThread, type Message } from '../../domain/raft/message.js';
import { LocalMessageError, PeerNotFoundError, ProposalDroppedError } from '../../domain/raft/raft-errors.js';
import type { ReadState, Ready, SoftState } from '../../domain/raft/ready.js';
import { RawNode } from '../../domain/raft/raw-node.js';
import type { PeerMessage } from '../ports/peer-transport.js';
import type { Storage } from '../../domain/raft/storage.js';
import type { AcknowledgementGaps } from './acknowledgement-gaps.js';
import type { Acknowledgements } from './acknowledgements.js';
import type { AmnesiacError } from '../join/amnesia.js';
import type { AppendThreadOwner } from '../storage/append-thread.js';
import { peersOf } from '../configuration/configuration.js';
import { SupersededError, UnavailableError } from '../errors.js';
import type { DiskStall } from '../storage/disk-stall.js';
import type { ForwardedCalls } from './forwarded-calls.js';
import type { LeadershipTransfer } from './leadership-transfer.js';
import type { ElectionFloor } from './election-floor.js';
import type { Proposals } from './proposals.js';
import { coreConfig, heartbeatTicks, type RaftNodeOptions } from './raft-options.js';
import { Waiters } from '../waiting/waiters.js';

/**
 * The life of a node: `running` accepts appends; `closing` lets the accepted ones end; `failed` does nothing, because
 * its log failed; `amnesiac` sends nothing under its Raft id, because it lacks entries that it acknowledged;
 * `superseded` sends nothing either, because the cluster has a later generation of the log; `ended` has closed.
 */
export type Life = 'running' | 'closing' | 'failed' | 'amnesiac' | 'superseded' | 'ended';

/** The message for a caller that this node refuses because of its life. */
const refusals: Readonly<Record<Exclude<Life, 'running'>, string>> = {
  closing: 'this node is shutting down',
  failed: 'the log of this node has failed; nothing was appended',
  amnesiac:
    'this node has lost entries that it acknowledged; it has stopped Raft, and joins under a new id when restarted',
  superseded: 'the cluster was recovered without this node; it has stopped Raft, and joins again when it is restarted',
  ended: 'this node is shutting down',
};

/** The parts of the driver that a turn of the loop visits, as far as the loop needs them; they in turn hold the loop. */
export interface RaftStages {
  readonly proposals: Proposals;
  readonly forwarded: Pick<ForwardedCalls, 'tick'>;
  readonly acknowledgements: Acknowledgements;
  /** `NoteExchange` */
  readonly exchange: { addTo(message: Message): PeerMessage };
  readonly floor: ElectionFloor;
  /** `Receipts` */
  readonly receipts: { committed(index: number): void };
  readonly stall: DiskStall;
  readonly gaps: AcknowledgementGaps;
  readonly transfer: Pick<LeadershipTransfer, 'transferFromStalledDisk'>;
  /** `EntrySealer` */
  readonly sealer: {
    assign(ready: Ready): void;
    store(append: Message): void;
    afterWrites(task: () => void): void;
  };
  /** `Applier` */
  readonly applier: {
    readonly applied: number;
    readonly highWatermark: Offset;
    accept(apply: Message): void;
  };
  /** `LogMaintenance` */
  readonly maintenance: { applied(): void };
  /** `CatchUps` */
  readonly catchUps: {
    start(to: number, term: number): void;
    tick(): void;
    stopAll(): void;
  };
  /** `ReadBarriers` */
  readonly barriers: {
    flush(): void;
    confirm(state: ReadState): void;
    release(applied: number, highWatermark: Offset): void;
    tick(): void;
    rejectAll(error: unknown): void;
  };
}

/**
 * The loop around one Raft core: the only code that knows persist → send → apply.
 *
 * Every event (a message, a tick, a proposal, a durable write) steps the core. What the core then asks for is done in
 * one turn, together with what else happened until then: by the append thread (log and hard state, under one sync), the
 * peers and the applier. The other parts of the driver hold the loop; it visits them as stages.
 */
export class RaftLoop implements AppendThreadOwner {
  readonly core: RawNode;
  readonly #waiters = new Waiters();
  #stages!: RaftStages;
  #life: Life = 'running';
  #soft: SoftState = { lead: 0, raftState: 'StateFollower' };
  #isScheduled = false;
  #isDraining = false;
  #cancelTick: () => void = () => undefined;
  #stopLooking: () => void = () => undefined;

  constructor(
    private readonly options: RaftNodeOptions,
    storage: Storage,
  ) {
    this.core = new RawNode(coreConfig(options, storage));
  }

  /** Begins to tick. Called once, before anything else. */
  start(stages: RaftStages): void {
    this.#stages = stages;
    this.updatePeers();
    this.#stopLooking = this.options.whereabouts?.onChange(() => this.updatePeers()) ?? this.#stopLooking;
    // A node that starts waits for a heartbeat, not for an election timeout, before it may campaign: it cannot miss a
    // leader that it never heard, and its pre-vote deposes none.
    for (let i = heartbeatTicks; i < this.options.timing.electionTicks; i++) this.core.tick();
    this.#waitForTick();
  }

  get life(): Life {
    return this.#life;
  }

  /** Whether the core is still stepped. */
  get isAlive(): boolean {
    return this.#life === 'running' || this.#life === 'closing';
  }

  get isLeader(): boolean {
    return this.#soft.raftState === 'StateLeader';
  }

  /** The Raft id of the leader; 0: unknown. */
  get leaderId(): number {
    return this.#soft.lead;
  }

  get term(): number {
    return this.core.basicStatus().hardState.term;
  }

  /** A member counts as unreachable after this long without a message from it. */
  get electionTimeoutMs(): number {
    const { tickMs, electionTicks } = this.options.timing;
    return tickMs * electionTicks;
  }

  /** Throws `UnavailableError` unless this node accepts appends. */
  assertRunning(): void {
    if (this.#life !== 'running') throw this.refusal();
  }

  /** Throws `UnavailableError`, which names the leader, unless this node accepts appends and leads. */
  assertLeading(): void {
    this.assertRunning();
    if (!this.isLeader) throw this.notLeading();
  }

  /** The error for a caller that a node refuses because of its life. */
  refusal(): UnavailableError {
    const life = this.#life;
    invariant(life !== 'running', 'a node that runs refuses nobody');
    return new UnavailableError(refusals[life]);
  }

  /** The error for a caller that needs the leader. */
  notLeading(): UnavailableError {
    const { id, configuration } = this.options;
    const leader = configuration.current.members.find((member) => member.id === this.leaderId && member.id !== id);
    return new UnavailableError('this node does not lead', leader?.rpcAddr);
  }

  /** Resolves when the condition holds. Conditions are checked after every turn, and at `notifyWaiters`. */
  waitUntil(holds: () => boolean): Promise<void> {
    return this.#waiters.waitUntil(holds);
  }

  /** Resolves when the condition holds, when this node stops, or after an election timeout. */
  waitUntilOrTimeout(holds: () => boolean): Promise<void> {
    const { clock } = this.options;
    return this.#waiters.waitUntilOrTimeout(clock, this.electionTimeoutMs, () => !this.isAlive || holds());
  }

  /** Something outside the core has changed that a condition may depend on. */
  notifyWaiters(): void {
    this.#waiters.notify();
  }

  /** Steps the core; the results are processed soon, together with what else happens until then. */
  step(task: () => void): void {
    try {
      task();
    } catch (error) {
      // The core has refused a message that means nothing here, or a proposal at the wrong time.
      if (!(
        error instanceof ProposalDroppedError ||
        error instanceof PeerNotFoundError ||
        error instanceof LocalMessageError
      )) {
        this.fail(error);
        return;
      }
    }
    this.schedule();
  }

  /** Delivers a response of the append or apply thread: to the core, or to the peer that it is for. */
  respond(response: Message): void {
    if (response.to === this.options.id) this.step(() => this.core.step(response));
    else if (this.#stages.floor.maySend(response)) this.options.transport.send([this.#stages.exchange.addTo(response)]);
  }

  /** Asks the leader to confirm a read (Raft thesis §6.4). */
  readIndex(context: Uint8Array): void {
    this.step(() => this.core.readIndex(context));
  }

  /** Schedules a turn of the loop, after what has already arrived. */
  schedule(): void {
    if (this.#isScheduled || this.#isDraining || !this.isAlive) return;
    this.#isScheduled = true;
    this.options.clock.soon(() => {
      this.#isScheduled = false;
      this.drain();
    });
  }

  /** The append thread has written a group: the core's results are processed in one turn. */
  groupDone(): void {
    this.drain();
  }

  /** Runs a turn now: processes everything that the core asks for. */
  drain(): void {
    if (this.#isDraining || !this.isAlive) return;
    this.#isDraining = true;
    const { barriers, proposals } = this.#stages;
    try {
      barriers.flush();
      const gathered = proposals.takeGathered();
      if (gathered.length > 0) this.step(() => this.core.propose(...gathered));
      while (this.core.hasReady()) this.#handle(this.core.ready());
      proposals.rejectUnassigned();
    } catch (error) {
      this.fail(error);
    } finally {
      this.#isDraining = false;
    }
    this.#waiters.notify();
  }

  /** Tells the transport the current peers, after the configuration, or what gossip sees, may have changed. */
  updatePeers(): void {
    const { transport, id, configuration, whereabouts } = this.options;
    const peers = peersOf(configuration, id);
    transport.setPeers(whereabouts === undefined ? peers : peers.map((peer) => whereabouts.locate(peer)));
  }

  /** Accepts no more appends. */
  beginClosing(): void {
    if (this.#life === 'running') this.#life = 'closing';
  }

  /** Ends this node; proposals without an outcome are rejected with the reason. */
  end(reason: string): void {
    if (this.isAlive) this.#finish('ended', reason);
  }

  /** Ends this node because its log or its core failed: the process must end. */
  fail(error: unknown): void {
    if (!this.isAlive) return;
    this.#finish('failed', 'this node failed while the batch was being written');
    this.options.onFatal(error);
  }

  /** Sends nothing under this Raft id from now on, and not after a restart either: the process must end. */
  async withdraw(error: AmnesiacError): Promise<void> {
    if (!this.isAlive) return;
    this.#finish('amnesiac', 'this node has lost entries that it acknowledged');
    // If the note cannot be written, the next heartbeat after the next start leads here again.
    await this.options.configuration.noteAmnesia().catch(() => undefined);
    this.options.onFatal(error);
  }

  /** As `withdraw`, for a node whose log is of an earlier generation than that of the cluster. */
  async yieldTo(generation: number): Promise<void> {
    if (!this.isAlive) return;
    this.#finish('superseded', 'the cluster was recovered without this node');
    // If the note cannot be written, the next start is told again.
    await this.options.configuration.noteSuperseded(generation).catch(() => undefined);
    this.options.onFatal(new SupersededError(generation));
  }

  #finish(life: 'failed' | 'amnesiac' | 'superseded' | 'ended', reason: string): void {
    const { catchUps, proposals, barriers } = this.#stages;
    this.#life = life;
    this.#cancelTick();
    this.#stopLooking();
    catchUps.stopAll();
    const refusal = this.refusal();
    proposals.end(reason, refusal);
    barriers.rejectAll(refusal);
    this.#waiters.notify();
  }

  #handle(ready: Ready): void {
    const { sealer, applier, maintenance, catchUps, barriers, acknowledgements, exchange, floor, receipts } =
      this.#stages;
    if (ready.softState !== undefined) this.#updateSoftState(ready.softState);
    sealer.assign(ready);
    // Before anything is applied, after which the entries may leave the memory.
    if (ready.hardState !== undefined) receipts.committed(ready.hardState.commit);
    const toPeers: PeerMessage[] = [];
    const voteRequests: Message[] = [];
    for (const each of ready.messages) {
      if (each.to === appendThread) sealer.store(each);
      else if (each.to === applyThread) {
        applier.accept(each);
        maintenance.applied();
      } else if (each.type === 'MsgSnap') catchUps.start(each.to, each.term);
      else if (each.type === 'MsgVote' || each.type === 'MsgPreVote') voteRequests.push(each);
      else if (each.type === 'MsgHeartbeat') toPeers.push(exchange.addTo(acknowledgements.addTo(each)));
      // An entry without a batch belongs to a leadership that ended before the core gave it out: no peer would accept
      // it.
      else if (each.type !== 'MsgApp' || each.entries.every(isSealed)) {
        if (floor.maySend(each)) toPeers.push(exchange.addTo(each));
      }
    }
    if (toPeers.length > 0) this.options.transport.send(toPeers);
    // A node on whose disk nothing gets any more could neither keep its vote nor lead, so it asks for none.
    if (voteRequests.length > 0) sealer.afterWrites(() => this.#requestVotes(voteRequests));
    for (const state of ready.readStates) barriers.confirm(state);
    barriers.release(applier.applied, applier.highWatermark);
  }

  /** Sends those requests for votes that this node still makes. */
  #requestVotes(requests: readonly Message[]): void {
    const { exchange, floor } = this.#stages;
    const { raftState } = this.core.basicStatus().softState;
    const isCurrent = ({ type, term }: Message): boolean =>
      type === 'MsgVote'
        ? raftState === 'StateCandidate' && term === this.term
        : raftState === 'StatePreCandidate' && term === this.term + 1;
    const current = requests.filter((each) => isCurrent(each) && floor.maySend(each));
    if (this.isAlive && current.length > 0) this.options.transport.send(current.map((each) => exchange.addTo(each)));
  }

  #updateSoftState(soft: SoftState): void {
    const { catchUps, proposals } = this.#stages;
    const { logger, self, timing } = this.options;
    const led = this.isLeader;
    this.#soft = soft;
    if (this.isLeader === led) return;
    const fields = { term: this.term, node: self.name };
    if (led) logger.info('leader_stepped_down', fields, 'stopped being leader');
    else logger.info('leader_elected', fields, 'became leader');
    if (led) {
      catchUps.stopAll();
      proposals.leadershipLost(timing.electionTicks, this.notLeading());
    } else proposals.leadershipGained();
  }

  /** Reads what arrived during a stall before the tick; ticks missed during a stall are skipped. */
  #waitForTick(): void {
    const { clock, timing } = this.options;
    this.#cancelTick = clock.after(timing.tickMs, () => {
      clock.soon(() => {
        if (!this.isAlive) return;
        this.#tick();
        this.#waitForTick();
      });
    });
  }

  #tick(): void {
    const { barriers, catchUps, forwarded, proposals, stall, gaps, transfer } = this.#stages;
    // A node that could not write its first entry as a leader does not campaign.
    if (this.isLeader || !this.options.diskReserve.isExhausted) this.step(() => this.core.tick());
    gaps.tick();
    stall.tick();
    if (stall.isStalled && this.isLeader) transfer.transferFromStalledDisk();
    barriers.tick();
    catchUps.tick();
    forwarded.tick();
    proposals.tick();
  }
}

function isSealed({ batch }: Entry): boolean {
  return batch !== undefined;
}
