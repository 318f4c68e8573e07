import { fromBinary } from '@bufbuild/protobuf';
import { AppendResponseSchema } from '../gen/golog/v1/log_service_pb.js';
import {
  AcknowledgedLossError,
  ConcurrentProducerError,
  fromServiceError,
  isOverload,
  isTransient,
  OutcomeUnknownError,
  RpcError,
  UnreachableError,
} from './errors.js';
import { type AppendCall, type LogClient, safeNumber } from './log-client.js';
import { Backoff, LogServers } from './log-servers.js';
import type { OutgoingBatch } from './record-batch-builder.js';
import { holdsBatchAt, readBack } from './read-back.js';
import { spanText } from './span-text.js';

export interface Acknowledgement {
  readonly baseOffset: number;
  readonly recordCount: number;
}

export interface ProducerOptions {
  /** Called for each batch, in the order of `send`, once it is on the disks of a quorum. Must not throw. */
  readonly onAcknowledged?: (acknowledgement: Acknowledgement) => void;
  /** Called once when no server accepts appends, and once when one has accepted them again. */
  readonly onConnection?: (state: 'lost' | 'resumed', reason?: Error) => void;
  /**
   * Whether other producers append at the same time. Batches then claim no offsets, and a connection lost with batches in
   * flight ends the producer, since it is unknown whether they will be stored.
   */
  readonly shared?: boolean;
  /** The largest number of batches in flight (default 16). */
  readonly inFlightMax?: number;
  /** How long the producer may be without progress after a lost connection before it ends (default 60,000). */
  readonly reconnectTimeoutMs?: number;
}

interface Pending {
  readonly batch: OutgoingBatch;
  /** Every offset at which a request with this batch may have been appended, or may still be. */
  readonly claims: Set<number>;
  /** The claim of the request on the current stream, if no earlier request made the same claim. */
  freshClaim: number | undefined;
}

const inFlightMaxDefault = 16;
const reconnectTimeoutMsDefault = 60_000;
/** The longest time that opening waits while servers answer that they cannot serve, as during an election. */
const openingMsMax = 30_000;
/** The longest time that opening waits for the limits of the server. */
const limitMs = 3_000;

/**
 * Appends batches, pipelined and in order, and continues after a lost connection without storing a batch twice.
 *
 * Each request claims the offset after the batch before it (`expected_offset`), so a batch whose answer was lost is
 * either in the log at the offset that it claimed, or not at all. After a loss the producer reads the log there: it
 * acknowledges the batches that it finds, and sends the others again with the same claim, which at most one of the two
 * requests can get.
 *
 * When another producer takes a claimed offset, the claims in flight become stale. The producer sends one batch at a
 * time until the log has grown past them, and from then on sends batches without claims, as with `shared`.
 */
export class Producer {
  readonly #pending: Pending[] = [];
  readonly #inFlightMax: number;
  readonly #reconnectTimeoutMs: number;
  #written = 0;
  #call: AppendCall | undefined;
  #backpressured = false;
  #shared: boolean;
  /** Claims below this may still be granted to requests of a stream that has ended. */
  #staleClaimsEnd = 0;
  #otherProducerSeen = false;
  #failure: Error | undefined;
  #wake: (() => void)[] = [];
  #lastProgressMs = performance.now();
  /** Between attempts without progress. */
  #backoff = new Backoff();
  /** Whether `onConnection` was called with `lost` and not yet with `resumed`. */
  #lostAnnounced = false;
  /** Whether a batch in flight may be stored although no answer said so. */
  #outcomeUnknown = false;
  #batchBytesMax: number | undefined;
  readonly #closed = new AbortController();

  /** One past the last offset known to be in use. */
  private nextOffset = 0;

  private constructor(
    private readonly servers: LogServers,
    private readonly options: ProducerOptions,
  ) {
    this.#inFlightMax = options.inFlightMax ?? inFlightMaxDefault;
    this.#reconnectTimeoutMs = options.reconnectTimeoutMs ?? reconnectTimeoutMsDefault;
    this.#shared = options.shared === true;
  }

  /**
   * Opens a producer. Several clients must be of one cluster; the first server that serves is used until it is lost, and
   * then the next one, or another member that a server has named. Waits up to half a minute while servers answer that they
   * cannot serve.
   *
   * @throws UnreachableError, RpcError when no server returns the end of the log
   */
  static async open(clients: LogClient | readonly LogClient[], options: ProducerOptions = {}): Promise<Producer> {
    const servers = new LogServers('address' in clients ? [clients] : clients);
    const producer = new Producer(servers, options);
    try {
      await producer.#begin();
      return producer;
    } catch (error) {
      servers.close();
      throw error;
    }
  }

  async #begin(): Promise<void> {
    let waited = false;
    const timeoutMs = Math.min(this.#reconnectTimeoutMs, openingMsMax);
    const end = { from: { position: 'latest' }, linearizable: true } as const;
    const { highWatermark } = await this.servers.read(end, timeoutMs, this.#closed.signal, (reason) => {
      waited = true;
      this.options.onConnection?.('lost', reason);
    });
    this.nextOffset = highWatermark;
    await this.#learnLimit();
    if (waited) this.options.onConnection?.('resumed');
    this.#startStream();
  }

  /** Asks the server for its limit. Without an answer the limit stays unknown: the server then refuses what is larger. */
  async #learnLimit(): Promise<void> {
    const { signal } = this.#closed;
    try {
      const info = await this.servers.current.info(AbortSignal.any([signal, AbortSignal.timeout(limitMs)]));
      this.#batchBytesMax = info.batchBytesMax;
    } catch {
      signal.throwIfAborted();
    }
  }

  /** The largest `OutgoingBatch.bytes` that the first server accepts; undefined when the server does not say. */
  get batchBytesMax(): number | undefined {
    return this.#batchBytesMax;
  }

  /** The number of batches that were sent and are not acknowledged. */
  get unacknowledged(): number {
    return this.#pending.length;
  }

  /** Takes ownership of the batch. Resolves when it was accepted; rejects with the error that ended the producer. */
  async send(batch: OutgoingBatch): Promise<void> {
    while (this.#failure === undefined && this.#pending.length >= this.#inFlightMax) await this.#change();
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#pending.length === 0) this.#lastProgressMs = performance.now();
    this.#pending.push({ batch, claims: new Set(), freshClaim: undefined });
    this.#pump();
  }

  /** Resolves when every batch sent is acknowledged; rejects with the error that ended the producer. */
  async flush(): Promise<void> {
    while (this.#failure === undefined && this.#pending.length > 0) await this.#change();
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Ends the stream; the outcome of batches that are not acknowledged is unknown. */
  close(): void {
    this.#closed.abort();
    this.servers.close();
    this.#fail(new OutcomeUnknownError('the producer was closed'));
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#wake.push(resolve));
  }

  #changed(): void {
    const wake = this.#wake;
    this.#wake = [];
    for (const resume of wake) resume();
  }

  #fail(error: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#dropStream();
    this.#changed();
  }

  #dropStream(): void {
    const call = this.#call;
    this.#call = undefined;
    this.#written = 0;
    this.#backpressured = false;
    if (call === undefined) return;
    call.removeAllListeners();
    call.on('error', () => undefined);
    call.cancel();
  }

  #startStream(): void {
    const { address } = this.servers.current;
    const call = this.servers.current.appendStream();
    this.#call = call;
    call.on('data', (message: Buffer) => this.#onAnswer(message));
    call.on('drain', () => {
      this.#backpressured = false;
      this.#pump();
    });
    call.on('error', (error: unknown) => this.#onStreamEnd(fromServiceError(error, address)));
    call.on('end', () => setImmediate(() => this.#onQuietEnd(call)));
    this.#pump();
  }

  /** Handles a stream that the server ended without an error, which would have followed `end`. */
  #onQuietEnd(call: AppendCall): void {
    if (this.#call !== call) return;
    this.#onStreamEnd(new RpcError('UNAVAILABLE', 'the server ended the stream', new Map()));
  }

  #window(): number {
    return this.#otherProducerSeen && !this.#shared ? 1 : this.#inFlightMax;
  }

  #pump(): void {
    while (this.#call !== undefined && !this.#backpressured) {
      const pending = this.#pending[this.#written];
      if (pending === undefined || this.#written >= this.#window()) return;
      const claim = this.#shared ? undefined : this.#claimOf(this.#written);
      if (claim !== undefined) {
        pending.freshClaim = pending.claims.has(claim) ? undefined : claim;
        pending.claims.add(claim);
      }
      this.#written += 1;
      this.#backpressured = !this.#call.write(pending.batch.request(claim));
    }
  }

  #claimOf(index: number): number {
    let offset = this.nextOffset;
    for (let i = 0; i < index; i += 1) offset += this.#pending[i].batch.recordCount;
    return offset;
  }

  #onAnswer(message: Buffer): void {
    try {
      const { baseOffset } = fromBinary(AppendResponseSchema, message);
      if (this.#written === 0) throw new RpcError('INTERNAL', 'an answer without a request', new Map());
      this.#written -= 1;
      this.#acknowledge(safeNumber(baseOffset));
      this.#pump();
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #acknowledge(baseOffset: number): void {
    const { batch } = this.#pending.shift()!;
    this.nextOffset = baseOffset + batch.recordCount;
    if (this.#pending.length === 0) this.#outcomeUnknown = false;
    this.#backoff = new Backoff();
    this.#announceResumed();
    if (this.#otherProducerSeen && this.nextOffset >= this.#staleClaimsEnd) this.#shared = true;
    this.#lastProgressMs = performance.now();
    this.options.onAcknowledged?.({ baseOffset, recordCount: batch.recordCount });
    this.#changed();
  }

  #onStreamEnd(error: Error): void {
    if (this.#failure !== undefined) return;
    const written = this.#written;
    const mismatch = error instanceof RpcError && error.code === 'FAILED_PRECONDITION' && !this.#shared;
    this.#dropStream();
    if (mismatch) {
      const head = this.#pending[0];
      if (head?.freshClaim !== undefined) head.claims.delete(head.freshClaim);
    } else if (!isTransient(error)) {
      this.#fail(error);
      return;
    } else if (this.#shared && written > 0 && !(written === 1 && isOverload(error))) {
      this.#fail(
        new OutcomeUnknownError(
          `the connection was lost (${error.message}) with ${written} batches in flight; because other producers append too, it is unknown whether these batches will be stored`,
          { cause: error },
        ),
      );
      return;
    }
    if (this.#pending.length === 0) this.#lastProgressMs = performance.now();
    if (!mismatch) this.#announceLost(error);
    if (isOverload(error)) this.servers.moveOn();
    else if (!mismatch && written > 0) this.#outcomeUnknown = true;
    void this.#resume(error);
  }

  #announceLost(reason: Error): void {
    if (this.#lostAnnounced) return;
    this.#lostAnnounced = true;
    this.options.onConnection?.('lost', reason);
  }

  #announceResumed(): void {
    if (!this.#lostAnnounced) return;
    this.#lostAnnounced = false;
    this.options.onConnection?.('resumed');
  }

  /** The error that ends the producer after too long without progress. */
  #noProgress(last: Error): Error {
    const during = `no progress for ${spanText(this.#reconnectTimeoutMs)}`;
    if (!isOverload(last) || this.#outcomeUnknown)
      return new UnreachableError(this.servers.addresses, `${during} (${last.message})`, { cause: last });
    return new RpcError(last.code, `${last.message}; ${during}`, last.details, { cause: last });
  }

  /** Tries the servers in turn until one answers, settles the batches in flight there, and starts a new stream. */
  async #resume(reason: Error): Promise<void> {
    for (let last = reason; this.#failure === undefined;) {
      if (performance.now() - this.#lastProgressMs > this.#reconnectTimeoutMs) {
        this.#fail(this.#noProgress(last));
        return;
      }
      try {
        await this.#backoff.wait(this.#closed.signal);
        await this.servers.attempt(this.#closed.signal, (client, signal) => this.#settle(client, signal));
        if (this.#closed.signal.aborted) return;
        if (this.#pending.length === 0) this.#announceResumed();
        this.#startStream();
        return;
      } catch (error) {
        const cause = error instanceof Error ? error : new Error(String(error));
        if (!isTransient(cause)) {
          this.#fail(cause);
          return;
        }
        last = cause;
      }
    }
  }

  /** Reads the log at the offsets that unanswered batches claimed, and acknowledges the batches that are there. */
  async #settle(client: LogClient, signal: AbortSignal): Promise<void> {
    if (this.#shared) {
      await readBack(client, this.nextOffset, this.nextOffset, signal);
      return;
    }
    const claimsEnd = this.#pending.reduce(
      (end, { batch, claims }) => Math.max(end, ...[...claims].map((claim) => claim + batch.recordCount)),
      this.nextOffset,
    );
    const found = await readBack(client, this.nextOffset, claimsEnd, signal);
    if (this.#failure !== undefined) return;
    if (found.highWatermark < this.nextOffset) throw new AcknowledgedLossError(this.nextOffset, found.highWatermark);

    for (let head = this.#pending[0]; head !== undefined; head = this.#pending[0]) {
      const stored = storedAt(head, found);
      if (stored === undefined) break;
      this.#acknowledge(stored);
    }
    if (this.#pending.length === 0 || found.highWatermark === this.nextOffset) return;

    if (this.#pending.some((pending) => storedAt(pending, found) !== undefined)) {
      throw new ConcurrentProducerError(
        'another producer appended at the same time, and a later batch was stored before an earlier one',
      );
    }
    this.#otherProducerSeen = true;
    this.#staleClaimsEnd = this.#pending.reduce(
      (end, { claims }) => Math.max(end, ...[...claims].map((claim) => claim + 1)),
      this.#staleClaimsEnd,
    );
    this.nextOffset = found.highWatermark;
    if (this.nextOffset >= this.#staleClaimsEnd) this.#shared = true;
  }
}

function storedAt({ batch, claims }: Pending, found: Awaited<ReturnType<typeof readBack>>): number | undefined {
  return [...claims].find((claim) => holdsBatchAt(found, claim, batch));
}
