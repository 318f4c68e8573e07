import { isNoSpaceError } from '../../domain/log/directory.js';
import { DiskReserveError, InvalidInputError } from '../../domain/log/errors.js';
import type { Offset } from '../../domain/log/offsets.js';
import { toOffset } from '../../domain/log/offsets.js';
import { emptyConfiguration } from '../configuration/configuration.js';
import type { ConfigurationFile } from '../configuration/configuration-file.js';
import { SupersededError, UnavailableError } from '../errors.js';
import { pause } from '../waiting/pause.js';
import type { Clock, MonotonicMs } from '../ports/clock.js';
import type { Logger } from '../ports/logger.js';
import type { Contact, ReplicaUplink, SourceNews, SourceStatus } from '../ports/replica-uplink.js';
import type { ReplicaStore } from './replica-store.js';
import { unlessAborted } from '../waiting/unless-aborted.js';
import { Backoff } from '../waiting/backoff.js';
import { LogThrottle } from '../waiting/log-throttle.js';

/** A source that is silent for this long is given up … */
const silentMs = 5_000;
/**
 * … as is one without a leader for this long: it may be cut off from the others. Doubles while no source has a leader.
 */
const leaderlessMsMin = 5_000;
const leaderlessMsMax = 60_000;
/** The wait between rounds in which every source was asked without success. */
const backOffMsMin = 50;
const backOffMsMax = 5_000;
/** A source that was followed for this long, or sent entries, counts as good. */
const goodMs = 1_000;

export interface ReplicaPullOptions {
  readonly uplink: Pick<ReplicaUplink, 'follow'>;
  readonly store: ReplicaStore;
  readonly configuration: ConfigurationFile;
  /** The log id: 16 bytes. */
  readonly clusterId: Uint8Array;
  /** Returns where members may be, as currently known. */
  readonly sources: () => readonly Contact[];
  readonly clock: Clock;
  /** A random integer of [0, n). */
  readonly random: (n: number) => number;
  readonly logger: Logger;
  readonly onFailure: (error: unknown) => void;
}

/**
 * Makes a replica's log follow that of some member, for as long as it runs. When the source fails, is silent for 5 s,
 * or is no longer a member, another one replaces it at once; when all of them fail, it starts again after a wait that
 * doubles. The leader is asked last.
 */
export class ReplicaPull {
  readonly #stopping = new AbortController();
  #source: Contact | undefined;
  #status: SourceStatus | undefined;
  #heardAt: MonotonicMs | undefined;
  #sourceWatermark: Offset = toOffset(0);
  readonly #throttle: LogThrottle;
  #leaderlessMs = leaderlessMsMin;
  #running: Promise<void> | undefined;

  constructor(private readonly options: ReplicaPullOptions) {
    this.#throttle = new LogThrottle(options.clock);
  }

  start(): void {
    const { onFailure } = this.options;
    this.#running = this.#run().catch((error: unknown) => {
      if (!this.#stopping.signal.aborted) onFailure(error);
    });
  }

  /** Resolves when no more entries arrive. */
  async stop(): Promise<void> {
    this.#stopping.abort(new UnavailableError('this node is shutting down'));
    await this.#running;
  }

  /** The member that is followed now; undefined: none. */
  get source(): Contact | undefined {
    return this.#source;
  }

  /** The latest status from a source. */
  get status(): SourceStatus | undefined {
    return this.#status;
  }

  /** Milliseconds since a source was last heard from; undefined: never. */
  get heardMsAgo(): number | undefined {
    return this.#heardAt === undefined ? undefined : this.options.clock.now() - this.#heardAt;
  }

  /** The highest watermark that a source has reported. */
  get sourceWatermark(): Offset {
    return this.#sourceWatermark;
  }

  async #run(): Promise<void> {
    const { clock, random } = this.options;
    const { signal } = this.#stopping;
    const tried = new Map<string, string>();
    const backoff = new Backoff(backOffMsMin, backOffMsMax, random);
    for (;;) {
      signal.throwIfAborted();
      const source = this.#choose(tried);
      if (source === undefined) {
        this.#logObstacle(tried);
        tried.clear();
        await pause(clock, backoff.next(), signal);
        continue;
      }
      const [began, before] = [clock.now(), this.options.store.next];
      const reason = await this.#follow(source);
      const wasGood = this.options.store.next !== before || clock.now() - began >= goodMs;
      this.options.logger[wasGood ? 'warn' : 'debug'](
        'replica_source_lost',
        { source, reason },
        'stopped following a source',
      );
      if (wasGood) {
        tried.clear();
        backoff.reset();
        this.#throttle.reset();
      }
      tried.set(source.rpcAddr, reason);
    }
  }

  /** Returns a source that was not tried yet, and the leader only if no other is left. */
  #choose(tried: ReadonlyMap<string, string>): Contact | undefined {
    const { sources, random } = this.options;
    const left = sources().filter(({ rpcAddr }) => !tried.has(rpcAddr));
    const others = left.filter(({ rpcAddr }) => rpcAddr !== this.#leaderAddr);
    const from = others.length > 0 ? others : left;
    return from.length > 0 ? from[random(from.length)] : undefined;
  }

  get #leaderAddr(): string | undefined {
    return this.#status?.members.find(({ id }) => id === this.#status?.leaderId)?.rpcAddr;
  }

  /** Follows the source until it fails, and returns why. Rejects if this node fails or stops. */
  async #follow(source: Contact): Promise<string> {
    try {
      for (;;) await this.#followFrom(source);
    } catch (error) {
      this.#stopping.signal.throwIfAborted();
      // The process ends; the next start sets the log aside. If the note cannot be written, that start is told again.
      if (error instanceof SupersededError)
        await this.options.configuration.noteSuperseded(error.generation).catch(() => undefined);
      const isExpected =
        error instanceof UnavailableError || error instanceof InvalidInputError || error instanceof DiskReserveError;
      if (!isExpected) throw error;
      return error.message;
    } finally {
      this.#source = undefined;
    }
  }

  /** Resolves when the log was changed to fit the source's, so that the source must be asked from another position. */
  async #followFrom(source: Contact): Promise<void> {
    const { uplink, store, clock } = this.options;
    const attempt = new AbortController();
    const signal = AbortSignal.any([attempt.signal, this.#stopping.signal]);
    const entries = uplink.follow(source, store.next, signal)[Symbol.asyncIterator]();
    let leaderlessAt: MonotonicMs | undefined;
    try {
      for (let first = true; ; first = false) {
        const news = await this.#hear(entries, attempt, signal);
        if (first && news.status === undefined) throw new InvalidInputError('it did not send its status first');
        if (news.status !== undefined) await this.#acceptStatus(news.status);
        if (first && news.status !== undefined && (await store.fitTo(news.status.start, signal))) return;
        if (first) this.#begin(source);
        await store.accept(news.batches, signal);
        leaderlessAt = this.#status?.leaderId === 0 ? (leaderlessAt ?? clock.now()) : undefined;
        if (leaderlessAt === undefined) this.#leaderlessMs = leaderlessMsMin;
        else if (clock.now() - leaderlessAt >= this.#leaderlessMs && this.#hasOthers(source)) {
          this.#leaderlessMs = Math.min(2 * this.#leaderlessMs, leaderlessMsMax);
          throw new UnavailableError('it has no leader');
        }
      }
    } finally {
      attempt.abort(new UnavailableError('this replica follows another source'));
      await entries.return?.().catch(() => undefined);
    }
  }

  async #hear(entries: AsyncIterator<SourceNews>, attempt: AbortController, signal: AbortSignal): Promise<SourceNews> {
    const { clock } = this.options;
    const cancel = clock.after(silentMs, () => {
      attempt.abort(new UnavailableError(`it sent nothing for ${silentMs} ms`));
    });
    try {
      const result = await unlessAborted(signal, entries.next());
      if (result.done === true) throw new UnavailableError('it ended the call');
      this.#heardAt = clock.now();
      const { highWatermark } = result.value;
      if (highWatermark > this.#sourceWatermark) this.#sourceWatermark = highWatermark;
      return result.value;
    } finally {
      cancel();
    }
  }

  #begin(source: Contact): void {
    this.#source = source;
    this.options.logger.info(
      'replica_source_followed',
      { source, offset: this.options.store.next.offset },
      'following a source',
    );
  }

  async #acceptStatus(status: SourceStatus): Promise<void> {
    const { clusterId, logger } = this.options;
    if (!sameBytes(status.clusterId, clusterId)) {
      logger.error(
        'replica_source_of_other_cluster',
        { source: this.#source },
        'a source belongs to another cluster; not following it',
      );
      throw new UnavailableError('it has the log of another cluster');
    }
    // It still runs, but no longer receives entries.
    if (!status.members.some(({ id }) => id === status.id)) throw new UnavailableError('it is not a member');
    this.#status = status;
    await this.#store(status);
  }

  /** Stores the settings and the members: a later start finds the cluster without gossip. */
  async #store({ members: contacts, settings }: SourceStatus): Promise<void> {
    const { configuration, logger } = this.options;
    const { stored } = configuration;
    if (stored === undefined) return;
    const next = { ...stored, contacts, history: [{ ...emptyConfiguration, settings }] };
    if (JSON.stringify(stored) === JSON.stringify(next)) return;
    try {
      await configuration.write(next);
    } catch (error) {
      if (!isNoSpaceError(error)) throw error;
      logger.warn('replica_contacts_not_stored', { error }, 'no disk space to store the addresses of the members');
    }
  }

  #hasOthers(source: Contact): boolean {
    return this.options.sources().some(({ rpcAddr }) => rpcAddr !== source.rpcAddr);
  }

  #logObstacle(tried: ReadonlyMap<string, string>): void {
    if (!this.#throttle.isDue()) return;
    const reasons = [...tried].map(([rpcAddr, reason]) => `${rpcAddr}: ${reason}`);
    const { logger } = this.options;
    if (reasons.length === 0) logger.warn('no_replica_source', { reasons }, 'no member is known to follow');
    else logger.warn('no_replica_source', { reasons }, 'no member can be followed');
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
