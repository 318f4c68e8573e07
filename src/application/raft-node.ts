import type { Offset } from '../domain/log/offsets.js';
import type { Place } from '../domain/log/place.js';
import type { Records } from '../domain/log/record-batch.js';
import type { ConfChangeV2 } from '../domain/raft/conf-change.js';
import type { Entry } from '../domain/raft/entry.js';
import { appendThread, applyThread, type Message } from '../domain/raft/message.js';
import type { Progress } from '../domain/raft/progress.js';
import { LocalMessageError, PeerNotFoundError, ProposalDroppedError } from '../domain/raft/raft-errors.js';
import type { Ready, SoftState } from '../domain/raft/ready.js';
import { RawNode } from '../domain/raft/raw-node.js';
import type { BasicStatus } from '../domain/raft/status.js';
import { Acknowledgements, type AmnesiacError } from './amnesia.js';
import { AppendDesk } from './append-desk.js';
import { Applier } from './applier.js';
import { AppendThread } from './append-thread.js';
import { CatchUps } from './catch-ups.js';
import { Conditions } from './conditions.js';
import { type Configuration, isOnlyVoter, peersOf } from './configuration.js';
import { EntryStore } from './entry-store.js';
import { UnavailableError } from './errors.js';
import { FollowerRoom } from './follower-room.js';
import { LogUpkeep } from './log-upkeep.js';
import type { LogTail } from './log-tail.js';
import { loadTail } from './log-tail-loading.js';
import type { AppendReceipt, Consensus, ProposeOptions, Server } from './ports/consensus.js';
import type { PeerReceiver } from './ports/peer-transport.js';
import { MessageGate } from './message-gate.js';
import { PendingChanges } from './pending-changes.js';
import { Proposals } from './proposals.js';
import { ReadBarriers } from './read-barriers.js';
import { coreConfig, type RaftNodeOptions } from './raft-options.js';
import { Succession, type Successor } from './succession.js';
import { Watermark } from './watermark.js';

/**
 * The driver of one Raft core: the only code that knows persist → send → apply. What the core asks for goes to the
 * append thread (log and hard state, under one sync), to the peers, and to the state machine, which is the high
 * watermark and those who wait for it. A group of one runs exactly this.
 */
export class RaftNode implements Consensus, PeerReceiver {
  readonly #core: RawNode;
  readonly #tail: LogTail;
  readonly #applier: Applier;
  readonly #store: EntryStore;
  readonly #thread: AppendThread;
  readonly #watermark: Watermark;
  readonly #proposals = new Proposals();
  readonly succession: Succession;
  readonly acknowledgements: Acknowledgements;
  readonly #desk: AppendDesk;
  readonly #barriers: ReadBarriers;
  readonly #catchUps: CatchUps;
  readonly #changes = new PendingChanges();
  readonly #conditions = new Conditions();
  readonly #gate: MessageGate;
  readonly #room: FollowerRoom;
  readonly #upkeep: LogUpkeep;
  #cancelTick: () => void = () => undefined;
  #soft: SoftState = { lead: 0, raftState: 'StateFollower' };
  readonly #lastIndexAtStart: number;
  #recovered = false;
  /** Appends that the leader has and has not answered. */
  #forwarding = 0;
  #drainScheduled = false;
  #draining = false;
  /** Ticks until the appends of a lost leadership are given up. */
  #fateTicks = 0;
  #refusal: UnavailableError | undefined;
  #ended = false;
  #closing: Promise<void> | undefined;

  private constructor(
    private readonly options: RaftNodeOptions,
    loaded: { tail: LogTail; watermark: Offset },
  ) {
    const { id, log, hardState, random, timing } = options;
    this.#tail = loaded.tail;
    this.#core = new RawNode(coreConfig(options, this.#tail));
    this.acknowledgements = new Acknowledgements({ ...options, core: this.#core });
    this.#watermark = new Watermark(loaded.watermark);
    this.#gate = new MessageGate({ ...options, electionTimeoutMs: this.electionTimeoutMs });
    this.#room = new FollowerRoom(options.diskReserve, options.logger);
    this.#lastIndexAtStart = log.lastIndex;
    this.#applier = new Applier({
      ...options,
      core: this.#core,
      tail: this.#tail,
      watermark: this.#watermark,
      proposals: this.#proposals,
      changes: this.#changes,
      selfName: options.self.name,
      onMembership: () => this.#tellPeers(),
      respond: (response) => this.#step(() => this.#core.step(response)),
      onResumed: () => this.#drain(),
      onFailure: (error) => this.#fail(error),
    });
    this.#thread = new AppendThread(
      log,
      hardState,
      () => this.#drain(),
      (error) => this.#fail(error),
    );
    this.#store = new EntryStore({
      ...options,
      tail: this.#tail,
      thread: this.#thread,
      proposals: this.#proposals,
      changes: this.#changes,
      onReset: (place) => this.#beganAnew(place),
      respond: (response) => this.#respond(response),
    });
    this.succession = new Succession({
      ...options,
      others: () => this.#otherVoters(),
      transferTo: (heir) => this.transferTo(heir),
    });
    this.#desk = new AppendDesk({
      ...options,
      succession: this.succession,
      proposals: this.#proposals,
      assertLeading: () => {
        this.#assertTaking();
        if (!this.isLeader) throw this.notLeading();
      },
      endOffset: () => this.#store.endOffset,
      propose: () => this.#schedule(),
      untilCommitted: (offset) => this.#untilCommitted(offset),
    });
    const ask = (context: Uint8Array): void => this.#step(() => this.#core.readIndex(context));
    this.#barriers = new ReadBarriers(ask, 2 * timing.electionTicks, id, random(2 ** 32));
    this.#catchUps = new CatchUps({
      ...options,
      core: this.#core,
      send: (messages) => options.transport.send(messages),
      onStep: () => this.#schedule(),
    });
    this.#upkeep = new LogUpkeep({
      ...options,
      tail: this.#tail,
      thread: this.#thread,
      applier: this.#applier,
      onFailure: (error) => this.#fail(error),
    });
  }

  /**
   * Takes over the log as it was recovered. A group of one leads when this resolves; others elect whom they will. Rejects
   * where the log fails; then nothing goes on.
   */
  static async start(options: RaftNodeOptions): Promise<RaftNode> {
    const node = new RaftNode(options, await loadTail(options));
    const { transport, id, self } = options;
    transport.start({ id, rpcAddr: self.rpcAddr }, node);
    node.#tellPeers();
    node.#waitForTick();
    if (node.isAlone) {
      node.#step(() => node.#core.campaign());
      // Unless its log ends with the change that made the group larger.
      const leads = (): boolean => node.isLeader && node.#applier.applied >= node.#store.lastIndex;
      await node.until(() => node.#ended || !node.isAlone || leads());
      if (node.#refusal !== undefined) await node.close();
      node.#assertTaking();
    } else node.#schedule();
    return node;
  }

  get highWatermark(): Offset {
    return this.#watermark.value;
  }

  waitForWatermark(offset: Offset, signal: AbortSignal): Promise<void> {
    return this.#watermark.waitBeyond(offset, signal);
  }

  readBarrier(signal: AbortSignal): Promise<Offset> {
    if (this.#ended) return Promise.reject(this.#refusal ?? new UnavailableError('this node is shutting down'));
    const barrier = this.#barriers.wait(signal);
    this.#schedule();
    return barrier;
  }

  async recovered(signal: AbortSignal): Promise<void> {
    if (this.#recovered) return;
    if (this.#applier.applied < this.#lastIndexAtStart) await this.readBarrier(signal);
    this.#recovered = true;
  }

  servers(): readonly Server[] {
    const { lead } = this.#soft;
    return this.configuration.members.map(({ id, name, rpcAddr }) => ({ id: name, rpcAddr, isLeader: id === lead }));
  }

  async propose(records: Records, options: ProposeOptions = {}): Promise<AppendReceipt> {
    this.#assertTaking();
    if (this.isLeader) return this.#desk.append(records, options);
    const { lead } = this.#soft;
    if (lead === 0 || lead === this.options.id) throw new UnavailableError('there is no leader now');
    this.#forwarding += 1;
    try {
      return await this.options.transport.append(lead, records, options);
    } finally {
      this.#forwarding -= 1;
      if (this.#refusal !== undefined) this.#conditions.check();
    }
  }

  appendForwarded(records: Records, options: ProposeOptions): Promise<AppendReceipt> {
    return this.#desk.append(records, options);
  }

  /** To be called before the listeners close, since it takes messages. */
  handOver(): Promise<void> {
    return this.succession.handOver();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#refusal ??= new UnavailableError('this node is shutting down');
    this.options.diskReserve.close();
    // What was accepted ends: soon, unless there is no quorum.
    await this.#untilOrLate(() => this.#desk.isEmpty && this.#proposals.count + this.#forwarding === 0);
    if (!this.#ended) this.#finish('this node shut down before the append was committed');
    await this.#upkeep.close();
    await this.#thread.idle();
    await this.options.transport.close();
  }

  get isLeader(): boolean {
    return this.#soft.raftState === 'StateLeader';
  }

  /** 0: unknown. */
  get leaderId(): number {
    return this.#soft.lead;
  }

  get configuration(): Configuration {
    return this.options.configuration.current;
  }

  /** As the cluster began. */
  get firstConfiguration(): Configuration {
    return this.options.configuration.at(0);
  }

  /** Of the last entry that has its place here. */
  get lastIndex(): number {
    return this.#store.lastIndex;
  }

  /** Whether this node is the only voter. */
  get isAlone(): boolean {
    return isOnlyVoter(this.configuration, this.options.id);
  }

  get status(): BasicStatus {
    return this.#core.basicStatus();
  }

  visitProgress(visit: (id: number, progress: Readonly<Progress>) => void): void {
    this.#core.visitProgress(visit);
  }

  /** After so long without a word from it a member counts as unreachable. */
  get electionTimeoutMs(): number {
    const { tickMs, electionTicks } = this.options.timing;
    return tickMs * electionTicks;
  }

  /** Since the member was last heard from; undefined: not since this node started. */
  heardMsAgo(id: number): number | undefined {
    return this.#gate.heardMsAgo(id);
  }

  /**
   * Has a change of the membership committed and applied. Rejects with `UnavailableError` where this node does not lead
   * or another change is under way, and when leadership is lost (the change may still come about).
   */
  proposeChange(change: Omit<ConfChangeV2, 'context'>, context: (nonce: number) => Uint8Array): Promise<void> {
    const nonce = 1 + this.options.random(2 ** 48);
    return this.#changes
      .add(nonce, () => {
        if (this.#ended || !this.isLeader) throw this.notLeading();
        this.#core.proposeConfChange({ ...change, context: context(nonce) });
        this.#schedule();
      })
      .catch((error: unknown) => {
        throw error instanceof ProposalDroppedError ? this.notLeading() : error;
      });
  }

  /** Hands leadership over. Resolves when the member leads, rejects with `UnavailableError` after an election timeout. */
  async transferTo(id: number): Promise<void> {
    this.#step(() => this.#core.transferLeader(id));
    await this.#untilOrLate(() => this.#soft.lead === id);
    if (this.#soft.lead !== id) throw new UnavailableError('the transfer of leadership did not come about');
  }

  #otherVoters(): Successor[] {
    const others: Successor[] = [];
    const { voters } = this.configuration.confState;
    this.#core.visitProgress((id, { match, recentActive }) => {
      if (id !== this.options.id && recentActive && voters.includes(id)) others.push({ id, match });
    });
    return others;
  }

  /** What is said to a caller that needs the leader. */
  notLeading(): UnavailableError {
    const { lead } = this.#soft;
    const leader = this.configuration.members.find(({ id }) => id === lead && id !== this.options.id);
    return new UnavailableError('this node does not lead', leader?.rpcAddr);
  }

  /** Resolves when the condition holds, which is looked at after every step of the core. */
  until(holds: () => boolean): Promise<void> {
    return this.#conditions.until(holds);
  }

  /** As `until`, but for at most an election timeout, and while this node goes on. */
  #untilOrLate(holds: () => boolean): Promise<void> {
    return this.#conditions.untilOrLate(this.options.clock, this.electionTimeoutMs, () => this.#ended || holds());
  }

  receive(received: Message): void {
    if (this.#ended || !this.#gate.admits(received, this.status)) return;
    if (received.type === 'MsgApp' && !this.#room.takes(received.entries)) return;
    const contradiction = this.acknowledgements.contradiction(received);
    if (contradiction !== undefined) return void this.#withdraw(contradiction);
    this.#step(() => this.#core.step(received));
    if (received.type === 'MsgAppResp') this.#catchUps.takeResponse(received);
  }

  unreachable(id: number): void {
    if (!this.#ended) this.#step(() => this.#core.reportUnreachable(id));
  }

  async #untilCommitted(endOffset: Offset): Promise<void> {
    const { term } = this.status.hardState;
    await this.until(() => this.highWatermark >= endOffset || this.#ended || this.status.hardState.term !== term);
    if (this.highWatermark < endOffset) throw this.notLeading();
  }

  #assertTaking(): void {
    if (this.#refusal !== undefined) throw this.#refusal;
  }

  /** Something happens to the core; what comes of it is taken out soon, together with what else happens until then. */
  #step(task: () => void): void {
    try {
      task();
    } catch (error) {
      // A peer's word that means nothing here, or a proposal at the wrong time: the core has said no.
      if (!(
        error instanceof ProposalDroppedError ||
        error instanceof PeerNotFoundError ||
        error instanceof LocalMessageError
      )) {
        this.#fail(error);
        return;
      }
    }
    this.#schedule();
  }

  #schedule(): void {
    if (this.#drainScheduled || this.#draining || this.#ended) return;
    this.#drainScheduled = true;
    this.options.clock.soon(() => {
      this.#drainScheduled = false;
      this.#drain();
    });
  }

  #drain(): void {
    if (this.#draining || this.#ended) return;
    this.#draining = true;
    try {
      this.#barriers.flush();
      const gathered = this.#proposals.takeGathered();
      if (gathered.length > 0) this.#step(() => this.#core.propose(...gathered));
      while (this.#core.hasReady()) this.#handle(this.#core.ready());
      this.#proposals.dropUnplaced();
      this.#changes.refuseUnplaced();
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#draining = false;
    }
    this.#conditions.check();
  }

  #handle(ready: Ready): void {
    if (ready.softState !== undefined) this.#takeSoftState(ready.softState);
    this.#store.place(ready);
    const toPeers: Message[] = [];
    for (const each of ready.messages) {
      if (each.to === appendThread) this.#store.store(each);
      else if (each.to === applyThread) {
        this.#applier.take(each);
        this.#upkeep.applied();
      } else if (each.type === 'MsgSnap') this.#catchUps.start(each.to, each.term);
      // Without its place: of a leadership that ended before its last entries were given out. Nobody would take it.
      else if (each.type === 'MsgHeartbeat') toPeers.push(this.acknowledgements.addTo(each));
      else if (each.entries.every(hasPlace) || each.type !== 'MsgApp') toPeers.push(each);
    }
    if (toPeers.length > 0) this.options.transport.send(toPeers);
    for (const state of ready.readStates) this.#barriers.confirm(state);
    this.#barriers.release(this.#applier.applied, this.highWatermark);
  }

  #takeSoftState(soft: SoftState): void {
    const led = this.isLeader;
    this.#soft = soft;
    if (this.isLeader === led) return;
    const { term } = this.status.hardState;
    this.options.logger.info({ term, node: this.options.self.name }, led ? 'stopped leading' : 'leads');
    if (!led) return;
    this.#fateTicks = this.options.timing.electionTicks;
    this.#catchUps.stopAll();
    this.#changes.rejectAll(this.notLeading());
  }

  #respond(response: Message): void {
    if (response.to === this.options.id) this.#step(() => this.#core.step(response));
    else this.options.transport.send([response]);
  }

  #beganAnew(place: Place): void {
    const { index, offset } = place;
    this.options.logger.warn({ index, offset }, 'the leader no longer keeps what this node lacks: its log begins anew');
    this.#applier.beginAnew(place);
    this.#tellPeers();
  }

  /** What came in during a stall is looked at before the tick, and ticks that a stall swallowed do not come back. */
  #waitForTick(): void {
    const { clock, timing } = this.options;
    this.#cancelTick = clock.after(timing.tickMs, () => {
      clock.soon(() => {
        if (this.#ended) return;
        this.#tick();
        this.#waitForTick();
      });
    });
  }

  #tick(): void {
    this.#step(() => this.#core.tick());
    this.#barriers.tick();
    this.#catchUps.tick();
    if (this.#fateTicks > 0 && --this.#fateTicks === 0 && !this.isLeader)
      this.#proposals.giveUp('leadership was lost before the append was committed');
  }

  /** Nothing more is said under this Raft id, from this moment on and after every start. */
  async #withdraw(error: AmnesiacError): Promise<void> {
    this.#refusal = new UnavailableError('this node has lost entries that it acknowledged, and takes no part');
    this.#finish('this node turned out to have lost entries');
    await this.options.configuration.noteAmnesia().then(undefined, () => undefined);
    this.options.onFatal(error);
  }

  #fail(error: unknown): void {
    if (this.#ended) return;
    this.#refusal = new UnavailableError('the log of this node has failed; nothing was appended');
    this.#finish('the log of this node failed while the batch was written');
    this.options.onFatal(error);
  }

  #finish(reason: string): void {
    this.#ended = true;
    this.#cancelTick();
    this.#catchUps.stopAll();
    this.#proposals.giveUp(reason);
    this.#proposals.dropUnplaced();
    const refusal = this.#refusal ?? new UnavailableError(reason);
    this.#barriers.rejectAll(refusal);
    this.#changes.rejectAll(refusal);
    this.#conditions.check();
  }

  #tellPeers(): void {
    const { transport, id, configuration } = this.options;
    transport.setPeers(peersOf(configuration, id));
  }
}

function hasPlace({ batch }: Entry): boolean {
  return batch !== undefined;
}
