import type { Entry } from '../../domain/raft/entry.js';
import { appendThread, applyThread, type Message } from '../../domain/raft/message.js';
import { LocalMessageError, PeerNotFoundError, ProposalDroppedError } from '../../domain/raft/raft-errors.js';
import type { Ready, SoftState } from '../../domain/raft/ready.js';
import { RawNode } from '../../domain/raft/raw-node.js';
import type { Storage } from '../../domain/raft/storage.js';
import type { Acknowledgements } from './acknowledgements.js';
import type { AmnesiacError } from '../join/amnesia.js';
import type { AppendThreadOwner } from '../storage/append-thread.js';
import type { Applier } from './applier.js';
import type { CatchUps } from './catch-ups.js';
import { peersOf } from '../configuration/configuration.js';
import type { EntrySealer } from './entry-sealer.js';
import { UnavailableError } from '../errors.js';
import type { LogMaintenance } from '../storage/log-maintenance.js';
import type { Proposals } from './proposals.js';
import { coreConfig, type RaftNodeOptions } from './raft-options.js';
import type { ReadBarriers } from './read-barriers.js';
import { Waiters } from '../waiting/waiters.js';

/**
 * The life of a node: `running` accepts appends; `closing` lets those that it accepted end; `failed` is one whose log
 * failed, which does nothing any more; `amnesiac` is one that lacks what it acknowledged, which says nothing more under
 * its Raft id; `ended` is one that has closed.
 */
export type Life = 'running' | 'closing' | 'failed' | 'amnesiac' | 'ended';

/** What a caller is told that this node refuses because of its life. */
const refusals: Readonly<Record<Life, string>> = {
  running: 'this node accepts appends',
  closing: 'this node is shutting down',
  failed: 'the log of this node has failed; nothing was appended',
  amnesiac: 'this node has lost entries that it acknowledged, and no longer takes part in the cluster',
  ended: 'this node is shutting down',
};

/** The parts of the driver that a turn of the loop visits. */
export interface RaftStages {
  readonly barriers: ReadBarriers;
  readonly proposals: Proposals;
  readonly sealer: EntrySealer;
  readonly applier: Applier;
  readonly maintenance: LogMaintenance;
  readonly catchUps: CatchUps;
  readonly acknowledgements: Acknowledgements;
}

/**
 * The loop around one Raft core: the only code that knows persist → send → apply.
 *
 * Whatever happens (a message, a tick, a proposal, a write that is durable) steps the core; what the core then asks for
 * is taken out in one turn, together with what else happened until then: to the append thread (log and hard state, under
 * one sync), to the peers, and to the applier. The other parts of the driver hold the loop; it visits them as stages.
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

  /** After so long without a message from it a member counts as unreachable. */
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
    return new UnavailableError(refusals[this.#life]);
  }

  /** The error for a caller that needs the leader. */
  notLeading(): UnavailableError {
    const { id, configuration } = this.options;
    const leader = configuration.current.members.find((member) => member.id === this.leaderId && member.id !== id);
    return new UnavailableError('this node does not lead', leader?.rpcAddr);
  }

  /** Resolves when the condition holds. Conditions are looked at after every turn, and at `notifyWaiters`. */
  waitUntil(holds: () => boolean): Promise<void> {
    return this.#waiters.waitUntil(holds);
  }

  /** Resolves when the condition holds, when this node goes no further, or after an election timeout. */
  waitUntilOrTimeout(holds: () => boolean): Promise<void> {
    const { clock } = this.options;
    return this.#waiters.waitUntilOrTimeout(clock, this.electionTimeoutMs, () => !this.isAlive || holds());
  }

  /** Something outside the core has changed that a condition may depend on. */
  notifyWaiters(): void {
    this.#waiters.notify();
  }

  /** Steps the core; what comes of it is taken out soon, together with what else happens until then. */
  step(task: () => void): void {
    try {
      task();
    } catch (error) {
      // A message that means nothing here, or a proposal at the wrong time: the core has refused it.
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

  /** Passes on an answer of the append or apply thread: to the core, or to the peer that it is for. */
  respond(response: Message): void {
    if (response.to === this.options.id) this.step(() => this.core.step(response));
    else this.options.transport.send([response]);
  }

  /** Asks the leader to confirm a read (Raft thesis §6.4). */
  readIndex(context: Uint8Array): void {
    this.step(() => this.core.readIndex(context));
  }

  /** Has a turn run soon. */
  schedule(): void {
    if (this.#isScheduled || this.#isDraining || !this.isAlive) return;
    this.#isScheduled = true;
    this.options.clock.soon(() => {
      this.#isScheduled = false;
      this.drain();
    });
  }

  /** The append thread has written a group: what the core makes of it comes in one turn. */
  groupDone(): void {
    this.drain();
  }

  /** Runs a turn now: takes out everything that the core asks for. */
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

  /** The configuration may be another one, or somebody seen elsewhere: the transport is to know the peers of today. */
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

  /** Ends this node because its log or its core failed: the process has to end. */
  fail(error: unknown): void {
    if (!this.isAlive) return;
    this.#finish('failed', 'the log of this node failed while the batch was written');
    this.options.onFatal(error);
  }

  /** Says nothing more under this Raft id, from this moment on and after every start: the process has to end. */
  async withdraw(error: AmnesiacError): Promise<void> {
    if (!this.isAlive) return;
    this.#finish('amnesiac', 'this node turned out to have lost entries');
    // Where it cannot be noted the next heartbeat after the next start says it again.
    await this.options.configuration.noteAmnesia().catch(() => undefined);
    this.options.onFatal(error);
  }

  #finish(life: 'failed' | 'amnesiac' | 'ended', reason: string): void {
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
    const { sealer, applier, maintenance, catchUps, barriers, acknowledgements } = this.#stages;
    if (ready.softState !== undefined) this.#updateSoftState(ready.softState);
    sealer.assign(ready);
    const toPeers: Message[] = [];
    for (const each of ready.messages) {
      if (each.to === appendThread) sealer.store(each);
      else if (each.to === applyThread) {
        applier.accept(each);
        maintenance.applied();
      } else if (each.type === 'MsgSnap') catchUps.start(each.to, each.term);
      else if (each.type === 'MsgHeartbeat') toPeers.push(acknowledgements.addTo(each));
      // An entry without a batch is of a leadership that ended before the core gave it out: no peer would accept it.
      else if (each.type !== 'MsgApp' || each.entries.every(isSealed)) toPeers.push(each);
    }
    if (toPeers.length > 0) this.options.transport.send(toPeers);
    for (const state of ready.readStates) barriers.confirm(state);
    barriers.release(applier.applied, applier.highWatermark);
  }

  #updateSoftState(soft: SoftState): void {
    const { catchUps, proposals } = this.#stages;
    const { logger, self, timing } = this.options;
    const led = this.isLeader;
    this.#soft = soft;
    if (this.isLeader === led) return;
    logger.info({ term: this.term, node: self.name }, led ? 'stopped leading' : 'leads');
    if (led) {
      catchUps.stopAll();
      proposals.leadershipLost(timing.electionTicks, this.notLeading());
    } else proposals.leadershipGained();
  }

  /** Takes in what arrived during a stall before the tick; ticks that a stall swallowed do not come back. */
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
    const { barriers, catchUps, proposals } = this.#stages;
    this.step(() => this.core.tick());
    barriers.tick();
    catchUps.tick();
    proposals.tick();
  }
}

function isSealed({ batch }: Entry): boolean {
  return batch !== undefined;
}
