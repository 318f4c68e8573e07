import type { Offset } from '../../domain/log/offsets.js';
import type { Records } from '../../domain/log/record-batch.js';
import { Waiters } from '../waiting/waiters.js';
import type { Member } from '../configuration/configuration.js';
import type { DiskReserve } from '../storage/disk-reserve.js';
import { UnavailableError } from '../errors.js';
import type { AppendReceipt, Consensus, ProposeOptions, Server } from '../ports/consensus.js';
import type { Discovery } from '../join/discovery.js';
import type { Peer } from '../ports/peer-transport.js';
import type { Contact, ReplicaUplink } from '../ports/replica-uplink.js';
import { type FirstDamage, firstDamaged } from '../repair/first-damage.js';
import { ReplicaPull, type ReplicaPullOptions } from './replica-pull.js';
import { ReplicaStore, type ReplicaStoreOptions } from './replica-store.js';
import { unlessAborted } from '../waiting/unless-aborted.js';

/** Appends under way may take this long when the node stops. */
const graceMs = 1_000;

export interface ReplicaOptions
  extends
    Omit<ReplicaStoreOptions, 'onFailure' | 'diskReserve'>,
    Omit<ReplicaPullOptions, 'onFailure' | 'store' | 'uplink'> {
  readonly uplink: ReplicaUplink;
  readonly diskReserve: DiskReserve;
  /** Tells where members are seen besides where they are known to be. */
  readonly whereabouts: Pick<Discovery, 'locate'>;
  /** Called once when the log can no longer be written; the process must end. */
  readonly onFatal: (error: unknown) => void;
}

/** How far a replica is behind. */
export interface ReplicaLag {
  /** Records that its source has and it has not, as far as it knows. */
  readonly records: number;
  /** Since it has heard from a source; undefined: it never has. */
  readonly heardMsAgo?: number;
}

/**
 * A copy of the log that is in no quorum: pulled from any member, byte for byte, and served from here. What takes the
 * leader is asked of the members.
 */
export class Replica implements Consensus {
  readonly #store: ReplicaStore;
  readonly #pull: ReplicaPull;
  readonly #waiters = new Waiters();
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
  }

  /** Serves what its log holds when this resolves, and goes on from there. */
  static async start(options: ReplicaOptions): Promise<Replica> {
    const { log, configuration } = options;
    const replica = new Replica(options, await firstDamaged(log, configuration.stored?.damagedFrom));
    replica.#pull.start();
    return replica;
  }

  get highWatermark(): Offset {
    return this.#store.watermark.value;
  }

  /** The index of the last entry that is durable here. */
  get applied(): number {
    return this.#store.applied;
  }

  /** Whom it follows now. */
  get source(): Contact | undefined {
    return this.#pull.source;
  }

  get lag(): ReplicaLag {
    const { sourceWatermark, heardMsAgo } = this.#pull;
    const records = Math.max(0, sourceWatermark - this.highWatermark);
    return { records, ...(heardMsAgo !== undefined && { heardMsAgo }) };
  }

  /** As last heard; those that it knew before it stopped, while it has heard nothing yet. */
  get members(): readonly Member[] {
    return this.#pull.status?.members ?? this.options.configuration.stored?.contacts ?? [];
  }

  get learners(): readonly number[] {
    return this.#pull.status?.learners ?? [];
  }

  get leader(): (Member & Peer) | undefined {
    const leaderId = this.#pull.status?.leaderId;
    const leader = this.members.find(({ id }) => id === leaderId);
    return leader && this.options.whereabouts.locate(leader);
  }

  waitForWatermark(offset: Offset, signal: AbortSignal): Promise<void> {
    return this.#store.watermark.waitBeyond(offset, signal);
  }

  /** Of the cluster: reading waits until this replica has come that far. */
  async readBarrier(signal: AbortSignal): Promise<Offset> {
    this.#assertTaking();
    const { source } = this;
    if (source === undefined) throw new UnavailableError('this replica has no source now');
    return this.options.uplink.readBarrier(source, signal);
  }

  recovered(signal: AbortSignal): Promise<void> {
    return unlessAborted(signal, this.#store.recovered());
  }

  servers(): readonly Server[] {
    const { leader } = this;
    return this.members.map(({ id, name, rpcAddr }) => ({ id: name, rpcAddr, isLeader: id === leader?.id }));
  }

  async propose(records: Records, options: ProposeOptions = {}): Promise<AppendReceipt> {
    this.#assertTaking();
    const { leader } = this;
    if (leader === undefined) throw new UnavailableError('there is no leader now');
    this.#forwarding += 1;
    try {
      return await this.options.uplink.append(leader, records, options);
    } finally {
      this.#forwarding -= 1;
      this.#waiters.notify();
    }
  }

  /** It leads nobody. */
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

  #assertTaking(): void {
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
