import { OutcomeUnknownError, OverloadedError, UnavailableError } from '../../../application/errors.js';
import type { AppendReceipt, ProposeOptions } from '../../../application/ports/consensus.js';
import type { Records } from '../../../domain/log/record-batch.js';
import { PeerService } from '../../../gen/golog/peer/v1/peer_service_pb.js';
import { decodeAnswers, encodeAppends, type ForwardedAppend } from './append-wire.js';
import { FrameQueue } from '../messages/frame-queue.js';
import { PeerConnection, type PeerConnectionOptions } from '../messages/peer-connection.js';

/** The limit on bytes of appends to one peer that are waiting, in flight or unanswered. */
const inFlightBytesMax = 32 << 20;
/** The bytes that an append counts in addition to its payload. */
const appendOverheadBytes = 64;

interface Call {
  readonly bytes: number;
  sent: boolean;
  readonly resolve: (receipt: AppendReceipt) => void;
  readonly reject: (error: unknown) => void;
}

/** Forwards appends to one peer over their own connection, in order; each ends with an answer or an error. */
export class AppendCalls {
  readonly #connection: PeerConnection;
  readonly #queue = new FrameQueue<ForwardedAppend>(Infinity);
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
          this.#queue.open((appends, sent) => {
            for (const { id } of appends) {
              const call = this.#calls.get(id);
              if (call) call.sent = true;
            }
            this.#connection.write(encodeAppends(appends), sent);
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
  append(records: Records, options: ProposeOptions): Promise<AppendReceipt> {
    return new Promise((resolve, reject) => {
      const { state } = this.#connection;
      if (state === 'waiting' || state === 'closed')
        throw new UnavailableError(`the leader, member ${this.#to}, is not reachable`);
      const bytes = records.payload.length + appendOverheadBytes;
      if (this.#bytes > 0 && this.#bytes + bytes > inFlightBytesMax)
        throw new OverloadedError('bytes of appends forwarded to the leader', inFlightBytesMax);
      const id = ++this.#lastId;
      this.#bytes += bytes;
      this.#calls.set(id, { bytes, sent: false, resolve, reject });
      this.#queue.push({ id, records, options }, bytes);
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
      if ('receipt' in outcome) call.resolve(outcome.receipt);
      else call.reject(outcome.error);
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
          ? new OutcomeUnknownError(`the link to the leader, member ${this.#to}, broke during an append`)
          : new UnavailableError(`the leader, member ${this.#to}, is not reachable`),
      );
  }
}
