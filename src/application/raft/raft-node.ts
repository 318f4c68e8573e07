import type { Offset } from '../../domain/log/offsets.js';
import { LeaderProducers } from '../../domain/log/leader-producers.js';
import { ProducerTable } from '../../domain/log/producer-table.js';
import type { Records } from '../../domain/log/record-batch.js';
import { AcknowledgementGaps } from './acknowledgement-gaps.js';
import { Acknowledgements } from './acknowledgements.js';
import { AppendAdmission } from './append-admission.js';
import { AppendThread } from '../storage/append-thread.js';
import { Applier } from './applier.js';
import { CatchUps } from './catch-ups.js';
import type { ClusterSettings } from '../configuration/cluster-settings.js';
import { DiskStall } from '../storage/disk-stall.js';
import { isOnlyVoter, votersOf } from '../configuration/configuration.js';
import type { EntryCache } from './entry-cache.js';
import { ElectionFloor } from './election-floor.js';
import { EntrySealer } from './entry-sealer.js';
import { UnavailableError } from '../errors.js';
import { FollowerDiskGuard } from './follower-disk-guard.js';
import { ForwardedCalls } from './forwarded-calls.js';
import { FullDisks } from './full-disks.js';
import { Leadership } from './leadership.js';
import { LeaderLag } from './leader-lag.js';
import { LeadershipTransfer } from './leadership-transfer.js';
import { loadEntryCache } from './load-entry-cache.js';
import { LogMaintenance } from '../storage/log-maintenance.js';
import { MessageFilter } from './message-filter.js';
import { NoteExchange } from './note-exchange.js';
import type {
  AppendReceipt,
  Consensus,
  OpenedProducer,
  ProducerOpening,
  Producers,
  ProposeOptions,
  Server,
} from '../ports/consensus.js';
import type { PeerMessage, PeerReceiver } from '../ports/peer-transport.js';
import { ProducerAppends, type ProducerProposal } from './producer-appends.js';
import { ProducerChanges } from './producer-changes.js';
import { forgetExpiredProducers } from './producer-expiry.js';
import { Proposals } from './proposals.js';
import { RaftLoop } from './raft-loop.js';
import type { RaftNodeOptions } from './raft-options.js';
import { ReadBarriers } from './read-barriers.js';
import { Receipts } from './receipts.js';
import { ClusterTime } from '../time/cluster-time.js';
import { twoHistoriesIn } from './two-histories.js';
import { Watermark } from '../storage/watermark.js';

/**
 * One node of the Raft group, as the services and its peers use it: it receives appends, linearizable reads and
 * messages. `RaftLoop` drives the core; a group of one runs exactly this.
 */
export class RaftNode implements Consensus, PeerReceiver {
  readonly leadership: Leadership;
  readonly #acknowledgements: Acknowledgements;
  readonly #receipts: Receipts;
  readonly #stall: DiskStall;
  readonly #gaps: AcknowledgementGaps;
  readonly #exchange: NoteExchange;
  readonly #floor: ElectionFloor;
  readonly #loop: RaftLoop;
  readonly #applier: Applier;
  readonly #sealer: EntrySealer;
  readonly #thread: AppendThread;
  readonly #watermark: Watermark;
  readonly #proposals = new Proposals();
  readonly #transfer: LeadershipTransfer;
  readonly #admission: AppendAdmission;
  readonly #producerAppends: ProducerAppends;
  readonly producersForwarded: ProducerChanges;
  readonly #stopForgetting: () => Promise<void>;
  readonly #barriers: ReadBarriers;
  readonly #catchUps: CatchUps;
  readonly #filter: MessageFilter;
  readonly #forwarded: ForwardedCalls;
  readonly #lag: LeaderLag;
  readonly #diskGuard: FollowerDiskGuard;
  readonly #maintenance: LogMaintenance;
  readonly #lastIndexAtStart: number;
  #isRecovered = false;
  #closing: Promise<void> | undefined;

  private constructor(
    private readonly options: RaftNodeOptions,
    loaded: { cache: EntryCache; watermark: Offset },
  ) {
    const { id, log, hardState, random, timing, clock, configuration } = options;
    const { cache } = loaded;
    const voters = (): readonly number[] => votersOf(configuration.current);
    const time = new ClusterTime(clock, { id, voters });
    const loop = new RaftLoop(options, cache);
    const proposals = this.#proposals;
    const watermark = new Watermark(loaded.watermark);
    const producers = new LeaderProducers<ProducerProposal>(new ProducerTable(options.checksum.crc32c));
    const applier = new Applier({ ...options, loop, cache, watermark, proposals, producers });
    const filter = new MessageFilter({ ...options, electionTimeoutMs: loop.electionTimeoutMs });
    const fullDisks = new FullDisks();
    const diskGuard = new FollowerDiskGuard(options.diskReserve, options.logger);
    const transfer = new LeadershipTransfer({ ...options, loop, filter, fullDisks });
    const stall = new DiskStall({
      ...options,
      tickMs: timing.tickMs,
      ticksMax: timing.electionTicks,
      onBegin: () => transfer.writeBegins(),
      onChange: () => loop.notifyWaiters(),
    });
    const gaps = new AcknowledgementGaps(loop.core, timing.tickMs);
    const thread = new AppendThread(log, hardState, loop, stall);
    const sealer = new EntrySealer({ ...options, time, loop, cache, thread, applier, proposals });
    const acknowledgements = new Acknowledgements({ ...options, core: loop.core });
    const lag = new LeaderLag({
      ...options,
      applied: () => applier.applied,
      lastIndexAtStart: log.lastIndex,
      toleranceMs: loop.electionTimeoutMs,
    });
    this.leadership = new Leadership({
      ...options,
      loop,
      sealer,
      proposals,
      transfer,
      stall,
      gaps,
      filter,
      lag,
      watermark,
      acknowledgements,
    });
    this.#acknowledgements = acknowledgements;
    this.#receipts = new Receipts({ ...options, loop, proposals });
    this.#stall = stall;
    this.#gaps = gaps;
    this.#exchange = new NoteExchange({ ...options, time, diskGuard, fullDisks, core: loop.core });
    this.#floor = new ElectionFloor(options.voteFloor, log);
    this.#loop = loop;
    this.#applier = applier;
    this.#sealer = sealer;
    this.#thread = thread;
    this.#watermark = watermark;
    this.#transfer = transfer;
    this.#filter = filter;
    this.#forwarded = new ForwardedCalls({
      transport: options.transport,
      leaderId: () => loop.leaderId,
      heardMsAgo: (id) => filter.heardMsAgo(id),
      electionTimeoutMs: loop.electionTimeoutMs,
      onEnd: () => {
        if (loop.life !== 'running') loop.notifyWaiters();
      },
    });
    this.#lag = lag;
    this.#diskGuard = diskGuard;
    const appends = new ProducerAppends({ ...options, loop, applier, producers });
    const stages = { ...options, loop, proposals, sealer, thread, transfer, fullDisks };
    const admission = new AppendAdmission({ ...stages, producers: appends });
    const changes = new ProducerChanges({ ...options, loop, proposals, admission, appends, producers });
    this.#admission = admission;
    this.#producerAppends = appends;
    this.producersForwarded = changes;
    this.#stopForgetting = forgetExpiredProducers({ ...options, changes, time }, (error) => loop.fail(error));
    this.#barriers = new ReadBarriers(loop, 2 * timing.electionTicks, id, random(2 ** 32));
    this.#catchUps = new CatchUps({ ...options, loop });
    this.#maintenance = new LogMaintenance({
      ...options,
      time,
      isVoter: () => voters().includes(id),
      loop,
      cache,
      thread,
      applier,
    });
    this.#lastIndexAtStart = log.lastIndex;
  }

  /**
   * Starts from the recovered log. A group of one leads when this resolves; a larger one holds an election. Rejects if
   * the log fails; the node then does not run.
   */
  static async start(options: RaftNodeOptions): Promise<RaftNode> {
    const node = new RaftNode(options, await loadEntryCache(options));
    await node.#start();
    return node;
  }

  async #start(): Promise<void> {
    const { transport, id, self } = this.options;
    const loop = this.#loop;
    transport.start({ id, rpcAddr: self.rpcAddr, uuid: self.uuid }, this);
    loop.start({
      barriers: this.#barriers,
      proposals: this.#proposals,
      forwarded: this.#forwarded,
      sealer: this.#sealer,
      applier: this.#applier,
      maintenance: this.#maintenance,
      catchUps: this.#catchUps,
      acknowledgements: this.#acknowledgements,
      exchange: this.#exchange,
      floor: this.#floor,
      receipts: this.#receipts,
      stall: this.#stall,
      gaps: this.#gaps,
      transfer: this.#transfer,
    });
    if (!this.#isOnlyVoter || this.options.diskReserve.isExhausted) {
      loop.schedule();
      return;
    }
    loop.step(() => loop.core.campaign());
    // Unless its log ends with the change that enlarged the group.
    const leads = (): boolean => loop.isLeader && this.#applier.applied >= this.#sealer.lastIndex;
    await loop.waitUntil(() => !loop.isAlive || !this.#isOnlyVoter || leads());
    if (loop.life !== 'running') await this.close();
    loop.assertRunning();
  }

  get #isOnlyVoter(): boolean {
    return isOnlyVoter(this.options.configuration.current, this.options.id);
  }

  get settings(): ClusterSettings {
    const { current, generation } = this.options.configuration;
    return { ...current.settings, generation };
  }

  superseded(generation: number): void {
    void this.#loop.yieldTo(generation);
  }

  get highWatermark(): Offset {
    return this.#watermark.value;
  }

  waitForWatermark(offset: Offset, signal: AbortSignal): Promise<void> {
    return this.#watermark.waitPast(offset, signal);
  }

  readBarrier(signal: AbortSignal): Promise<Offset> {
    if (!this.#loop.isAlive) return Promise.reject(this.#loop.refusal());
    const barrier = this.#barriers.wait(signal);
    this.#loop.schedule();
    return barrier;
  }

  async recovered(signal: AbortSignal): Promise<void> {
    if (this.#isRecovered) return;
    if (this.#applier.applied < this.#lastIndexAtStart) await this.readBarrier(signal);
    this.#isRecovered = true;
  }

  async acknowledgedEnd(signal: AbortSignal): Promise<Offset> {
    const { acknowledgedEnd: end } = this.#proposals;
    const shows = (): boolean => this.#watermark.value >= end;
    // Its own sync takes about as long as those of the others, unless its disk hangs.
    if (!shows()) await this.#loop.waitUntilOrTimeout(() => shows() || signal.aborted || this.#stall.isStalled);
    return end;
  }

  servers(): readonly Server[] {
    const { leaderId } = this.#loop;
    const { members } = this.options.configuration.current;
    return members.map(({ id, name, rpcAddr }) => ({ id: name, rpcAddr, isLeader: id === leaderId }));
  }

  async propose(records: Records, options: ProposeOptions = {}): Promise<AppendReceipt> {
    const loop = this.#loop;
    loop.assertRunning();
    if (loop.isLeader) return this.#admission.append(records, options);
    if (options.producer !== undefined) this.#producerAppends.assertEnabled();
    return this.#forwarded.append(this.#leaderElsewhere(), records, options);
  }

  async openProducer(opening: ProducerOpening): Promise<OpenedProducer> {
    return this.#producersAtLeader().openProducer(opening);
  }

  async closeProducer(id: string, epoch: number): Promise<void> {
    return this.#producersAtLeader().closeProducer(id, epoch);
  }

  #producersAtLeader(): Producers {
    const loop = this.#loop;
    loop.assertRunning();
    this.#producerAppends.assertEnabled();
    return loop.isLeader ? this.producersForwarded : this.#forwarded.producersOf(this.#leaderElsewhere());
  }

  #leaderElsewhere(): number {
    const { leaderId } = this.#loop;
    if (leaderId === 0 || leaderId === this.options.id) throw new UnavailableError('the cluster has no leader');
    return leaderId;
  }

  appendForwarded(records: Records, options: ProposeOptions): Promise<AppendReceipt> {
    return this.#admission.append(records, options);
  }

  receive(received: PeerMessage): void {
    const loop = this.#loop;
    if (!loop.isAlive || !this.#filter.admits(received, loop.core.basicStatus())) return;
    if (!this.#floor.admits(received) || !this.#exchange.admits(received)) return;
    // It could not take over: its vote would not get on its disk.
    if (received.type === 'MsgTimeoutNow' && this.#stall.isStalled) return;
    const proof = twoHistoriesIn(loop.core, received);
    if (proof !== undefined) {
      loop.fail(proof);
      return;
    }
    const isOfLeader = received.type === 'MsgApp' || received.type === 'MsgHeartbeat';
    if (isOfLeader && received.commit > 0) this.#lag.note(received.commit);
    if (received.type === 'MsgApp' && !this.#diskGuard.admits(received.entries)) return;
    if (received.type === 'MsgTimeoutNow' && this.options.diskReserve.isExhausted) return;
    const contradiction = this.#acknowledgements.contradiction(received);
    if (contradiction !== undefined) {
      void loop.withdraw(contradiction);
      return;
    }
    loop.step(() => loop.core.step(received));
    if (received.type === 'MsgAppResp') this.#catchUps.handleResponse(received);
  }

  unreachable(id: number): void {
    if (this.#loop.isAlive) this.#loop.step(() => this.#loop.core.reportUnreachable(id));
  }

  /** Runs `task` when nothing is being written to the log, and holds back writes until it ends. */
  exclusively<T>(task: () => Promise<T>): Promise<T> {
    return this.#thread.exclusively(task);
  }

  giveUpLeadership(): Promise<void> {
    return this.#transfer.transfer();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const loop = this.#loop;
    loop.beginClosing();
    this.options.diskReserve.close();
    this.#transfer.close();
    // Accepted appends end soon, unless there is no quorum.
    await loop.waitUntilOrTimeout(() => this.#admission.isEmpty && this.#proposals.count + this.#forwarded.count === 0);
    loop.end('this node shut down before the append was committed');
    await this.#stopForgetting();
    await this.#maintenance.close();
    await this.#thread.idle();
    await this.options.transport.close();
  }
}
