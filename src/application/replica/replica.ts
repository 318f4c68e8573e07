import type { Offset } from '../../domain/log/offsets.js';
import type { Records } from '../../domain/log/record-batch.js';
import { Waiters } from '../waiting/waiters.js';
import { type ClusterSettings, exactlyOnceLevel } from '../configuration/cluster-settings.js';
import { assertFeatureLevel } from '../ports/cluster.js';
import type { Member } from '../configuration/configuration.js';
import type { DiskReserve, DiskShortage } from '../storage/disk-reserve.js';
import { UnavailableError } from '../errors.js';
import { LeaderLag } from '../raft/leader-lag.js';
import type {
  AppendReceipt,
  Consensus,
  OpenedProducer,
  ProducerOpening,
  Producers,
  ProposeOptions,
  Server,
} from '../ports/consensus.js';
import type { Discovery } from '../join/discovery.js';
import type { Peer } from '../ports/peer-transport.js';
import type { Contact, ReplicaUplink } from '../ports/replica-uplink.js';
import { type FirstDamage, firstDamaged } from '../repair/first-damage.js';
import { ReplicaPull, type ReplicaPullOptions } from './replica-pull.js';
import { ReplicaStore, type ReplicaStoreOptions } from './replica-store.js';
import { unlessAborted } from '../waiting/unless-aborted.js';

/** A replica that is further behind its source than this has not caught up. */
const toleranceMs = 5_000;
/** How long appends in flight may take when the node stops. */
const graceMs = 1_000;

export interface ReplicaOptions
  extends
    Omit<ReplicaStoreOptions, 'onFailure' | 'diskReserve'>,
    Omit<ReplicaPullOptions, 'onFailure' | 'store' | 'uplink'> {
  readonly uplink: ReplicaUplink;
  readonly diskReserve: DiskReserve;
  /** Adds the addresses at which gossip sees members to the known ones. */
  readonly whereabouts: Pick<Discovery, 'locate'>;
  /** The feature level at which producers are accepted (default: the one of this release). */
  readonly exactlyOnceLevel?: number;
  /** Called once when the log can no longer be written; the process must end. */
  readonly onFatal: (error: unknown) => void;
}

/** How far a replica lags. */
export interface ReplicaLag {
  /** Records that its source has and it lacks, as far as it knows. */
  readonly records: number;
  /** Milliseconds since it last heard from a source; undefined: never. */
  readonly heardMsAgo?: number;
}

/**
 * A copy of the log that is in no quorum: pulled from any member, byte for byte, and served from here. Operations that
 * need the leader are forwarded to the members.
 */
export class Replica implements Consensus {
  readonly #store: ReplicaStore;
  readonly #pull: ReplicaPull;
  readonly #waiters = new Waiters();
  readonly #behind: LeaderLag;
  #forwarding = 0;
  #refusal: UnavailableError | undefined;
  #failed = false;
  #closing: Promise<void> | undefined;

  private constructor(
    private readonly options: ReplicaOptions,
    damage: FirstDamage | undefined,
  ) {
    const onFailure = (error: unknown): void => this.#fail(error);
    this.#store = new ReplicaStore({ ...options, onFailure }, damage);
    this.#pull = new ReplicaPull({ ...options, store: this.#store, onFailure });
    const { clock } = options;
    this.#behind = new LeaderLag({ applied: () => this.highWatermark, lastIndexAtStart: 0, toleranceMs, clock });
  }

  /** Resolves when it serves what its log holds; it follows the cluster from there on. */
  static async start(options: ReplicaOptions): Promise<Replica> {
    const { log, configuration } = options;
    const damage = await firstDamaged(log, configuration.stored?.damagedFrom, log.sealedEnd);
    const replica = new Replica(options, damage);
    replica.#pull.start();
    return replica;
  }

  get highWatermark(): Offset {
    return this.#store.watermark.value;
  }

  /** How little space the disk of this node has; undefined: more than its reserve. */
  get diskShortage(): DiskShortage | undefined {
    return this.options.diskReserve.shortage;
  }

  /** For how many milliseconds the disk of this node has hung; undefined: it does not. */
  get diskStalledMs(): number | undefined {
    return this.#store.diskStalledMs;
  }

  /** The index of the last entry that is durable here. */
  get applied(): number {
    return this.#store.applied;
  }

  /** Runs `task` when nothing is being written to the log, and holds back writes until it ends. */
  exclusively<T>(task: () => Promise<T>): Promise<T> {
    return this.#store.exclusively(task);
  }

  /** The member that it follows now. */
  get source(): Contact | undefined {
    return this.#pull.source;
  }

  get lag(): ReplicaLag {
    const { sourceWatermark, heardMsAgo } = this.#pull;
    const records = Math.max(0, sourceWatermark - this.highWatermark);
    return { records, ...(heardMsAgo !== undefined && { heardMsAgo }) };
  }

  /** Whether it has what its source has, give or take what is on its way; see `LeaderLag`. */
  get isCaughtUp(): boolean {
    if (this.#pull.heardMsAgo !== undefined) this.#behind.note(this.#pull.sourceWatermark);
    return this.#behind.isCaughtUp();
  }

  /** The members as last reported; until then, those that it knew before it stopped. */
  get members(): readonly Member[] {
    return this.#pull.status?.members ?? this.options.configuration.stored?.contacts ?? [];
  }

  get learners(): readonly number[] {
    return this.#pull.status?.learners ?? [];
  }

  /** The settings of the cluster as last reported. */
  get settings(): ClusterSettings {
    return this.options.configuration.current.settings;
  }

  get leader(): (Member & Peer) | undefined {
    const leaderId = this.#pull.status?.leaderId;
    const leader = this.members.find(({ id }) => id === leaderId);
    return leader && this.options.whereabouts.locate(leader);
  }

  waitForWatermark(offset: Offset, signal: AbortSignal): Promise<void> {
    return this.#store.watermark.waitPast(offset, signal);
  }

  /** Asks the cluster for a barrier; reading waits until this replica has reached it. */
  async readBarrier(signal: AbortSignal): Promise<Offset> {
    this.#assertAccepting();
    const { source } = this;
    if (source === undefined) throw new UnavailableError('this replica follows no member now');
    return this.options.uplink.readBarrier(source, signal);
  }

  /** A replica acknowledges nothing. */
  async acknowledgedEnd(): Promise<Offset> {
    return this.highWatermark;
  }

  recovered(signal: AbortSignal): Promise<void> {
    return unlessAborted(signal, this.#store.recovered());
  }

  servers(): readonly Server[] {
    const { leader } = this;
    return this.members.map(({ id, name, rpcAddr }) => ({ id: name, rpcAddr, isLeader: id === leader?.id }));
  }

  propose(records: Records, options: ProposeOptions = {}): Promise<AppendReceipt> {
    return this.#forward(options.producer !== undefined, (leader) =>
      this.options.uplink.append(leader, records, options),
    );
  }

  openProducer(opening: ProducerOpening): Promise<OpenedProducer> {
    return this.#forward(true, (leader) => this.#producersOf(leader).openProducer(opening));
  }

  closeProducer(id: string, epoch: number): Promise<void> {
    return this.#forward(true, (leader) => this.#producersOf(leader).closeProducer(id, epoch));
  }

  #producersOf(leader: Peer): Producers {
    return this.options.uplink.producersOf(leader);
  }

  /** Makes a call at the leader; one of a producer only if every member knows producers. */
  async #forward<T>(isOfProducer: boolean, call: (leader: Member & Peer) => Promise<T>): Promise<T> {
    this.#assertAccepting();
    if (isOfProducer) assertFeatureLevel(this.settings, this.options.exactlyOnceLevel ?? exactlyOnceLevel);
    const { leader } = this;
    if (leader === undefined) throw new UnavailableError('the cluster has no leader');
    this.#forwarding += 1;
    try {
      return await call(leader);
    } finally {
      this.#forwarding -= 1;
      this.#waiters.notify();
    }
  }

  /** Does nothing: a replica never leads. */
  async giveUpLeadership(): Promise<void> {}

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const { clock, diskReserve, uplink } = this.options;
    this.#refusal ??= new UnavailableError('this node is shutting down');
    diskReserve.close();
    await this.#waiters.waitUntilOrTimeout(clock, graceMs, () => this.#forwarding === 0);
    await this.#pull.stop();
    await this.#store.close();
    await uplink.close();
  }

  #assertAccepting(): void {
    if (this.#refusal !== undefined) throw this.#refusal;
  }

  #fail(error: unknown): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#refusal = new UnavailableError('the log of this node has failed; nothing was appended');
    void this.#pull.stop();
    this.options.onFatal(error);
  }
}
