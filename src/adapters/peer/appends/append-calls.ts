import { OutcomeUnknownError, OverloadedError, UnavailableError } from '../../../application/errors.js';
import type {
  AppendReceipt,
  OpenedProducer,
  ProducerOpening,
  Producers,
  ProposeOptions,
} from '../../../application/ports/consensus.js';
import type { Records } from '../../../domain/log/record-batch.js';
import { PeerService } from '../../../gen/golog/peer/v1/peer_service_pb.js';
import { type CallOutcome, decodeAnswers, encodeCalls, type ForwardedCall, type LeaderCall } from './append-wire.js';
import { FrameQueue } from '../messages/frame-queue.js';
import { PeerConnection, type PeerConnectionOptions } from '../messages/peer-connection.js';

/** The limit on bytes of calls to one peer that are waiting, in flight or unanswered. */
const inFlightBytesMax = 32 << 20;
/** The bytes that a call counts in addition to the payload of its records. */
const overheadBytes = 64;

interface Call {
  readonly bytes: number;
  sent: boolean;
  readonly resolve: (outcome: CallOutcome) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Forwards appends, and the openings and closings of producers, to one peer over their own connection, in order; each
 * ends with an answer or an error.
 */
export class AppendCalls implements Producers {
  readonly #connection: PeerConnection;
  readonly #queue = new FrameQueue<ForwardedCall>(Infinity);
  readonly #calls = new Map<number, Call>();
  #renews = false;
  readonly #to: number;
  #lastId = 0;
  #bytes = 0;

  constructor(options: Omit<PeerConnectionOptions, 'path'>) {
    this.#to = options.identity.to;
    const { typeName, method } = PeerService;
    this.#connection = new PeerConnection(
      { ...options, path: `/${typeName}/${method.append.name}` },
      {
        opened: () => {
          this.#queue.open((calls, sent) => {
            for (const { id } of calls) {
              const call = this.#calls.get(id);
              if (call) call.sent = true;
            }
            this.#connection.write(encodeCalls(calls), sent);
          });
        },
        received: (bytes) => {
          this.#settle(bytes);
        },
        broken: () => {
          this.#loseAll();
        },
      },
    );
  }

  wake(): void {
    this.#connection.wake();
  }

  /** HOST:PORT where the peer is connected. */
  get openAt(): string | undefined {
    return this.#connection.openAt;
  }

  /** See `PeerConnection.locate`. */
  locate(addresses: readonly string[]): void {
    this.#connection.locate(addresses);
  }

  /** Implements `PeerTransport.append`. */
  async append(records: Records, options: ProposeOptions): Promise<AppendReceipt> {
    const outcome = await this.#call({ records, options }, records.payload.length);
    return 'receipt' in outcome ? outcome.receipt : this.#misanswered();
  }

  async openProducer(opening: ProducerOpening): Promise<OpenedProducer> {
    const outcome = await this.#call({ opening }, opening.id.length);
    return 'opened' in outcome ? outcome.opened : this.#misanswered();
  }

  async closeProducer(id: string, epoch: number): Promise<void> {
    const outcome = await this.#call({ closing: { id, epoch } }, id.length);
    if (!('isClosed' in outcome)) this.#misanswered();
  }

  #misanswered(): never {
    throw new OutcomeUnknownError(`the leader, member ${this.#to}, has answered another call`);
  }

  #call(call: LeaderCall, contentBytes: number): Promise<CallOutcome> {
    return new Promise((resolve, reject) => {
      const { state } = this.#connection;
      if (state === 'waiting' || state === 'closed')
        throw new UnavailableError(`the leader, member ${this.#to}, is not reachable`);
      const bytes = contentBytes + overheadBytes;
      if (this.#bytes > 0 && this.#bytes + bytes > inFlightBytesMax)
        throw new OverloadedError('bytes of appends forwarded to the leader', inFlightBytesMax);
      const id = ++this.#lastId;
      this.#bytes += bytes;
      this.#calls.set(id, { bytes, sent: false, resolve, reject });
      this.#queue.push({ id, ...call }, bytes);
      if (this.#connection.isOutdated) this.#renew();
      this.#queue.flush();
    });
  }

  /** Holds new appends until those already sent are answered, then renews the connection with the new certificate. */
  #renew(): void {
    this.#renews = true;
    this.#queue.hold();
    if ([...this.#calls.values()].some(({ sent }) => sent)) return;
    this.#renews = false;
    this.#connection.renew();
  }

  close(): void {
    this.#connection.close();
    this.#loseAll();
  }

  #settle(bytes: Buffer): void {
    for (const { id, outcome } of decodeAnswers(bytes)) {
      const call = this.#calls.get(id);
      if (call === undefined) continue;
      this.#calls.delete(id);
      this.#bytes -= call.bytes;
      if ('error' in outcome) call.reject(outcome.error);
      else call.resolve(outcome);
    }
    if (this.#renews) this.#renew();
  }

  #loseAll(): void {
    this.#renews = false;
    this.#queue.shut();
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    this.#bytes = 0;
    for (const { sent, reject } of calls)
      reject(
        sent
          ? new OutcomeUnknownError(`the link to the leader, member ${this.#to}, broke during the call`)
          : new UnavailableError(`the leader, member ${this.#to}, is not reachable`),
      );
  }
}
