import { create, toBinary } from '@bufbuild/protobuf';
import type { sendUnaryData, ServerUnaryCall, ServerWritableStream } from '@grpc/grpc-js';
import { status } from '@grpc/grpc-js';
import { UnavailableError } from '../../../application/errors.js';
import type { Logger } from '../../../application/ports/logger.js';
import type { ReplicaHandler } from '../../../application/ports/replica-uplink.js';
import { GetReadBarrierResponseSchema } from '../../../gen/golog/peer/v1/peer_service_pb.js';
import { statusOfEntryError } from '../entries/entry-errors.js';
import { decodeFollowFrom, encodeNews } from './replica-wire.js';

type Stream = ServerWritableStream<Buffer, Buffer>;

/** A replica that has not taken a response for so long is dropped. */
const takeMsMax = 20_000;

/** Serves `FollowEntries` and `GetReadBarrier` to replicas that were let in. */
export class ReplicaCalls {
  readonly #streams = new Map<Stream, AbortController>();
  #desk: ReplicaHandler | undefined;

  constructor(
    private readonly logger: Logger,
    private readonly takeMs = takeMsMax,
  ) {}

  setJoinHandler(desk: ReplicaHandler): void {
    this.#desk = desk;
  }

  /** Ends what is under way. */
  endAll(): void {
    this.#desk = undefined;
    for (const stream of this.#streams.keys())
      this.#end(stream, { code: status.UNAVAILABLE, details: 'this node is closing its links' });
  }

  follow(call: Stream): void {
    const ended = new AbortController();
    this.#streams.set(call, ended);
    call.once('cancelled', () => {
      this.#streams.delete(call);
      ended.abort();
    });
    if (call.cancelled) ended.abort();
    this.#send(call, ended.signal).then(
      () => {
        this.#end(call);
      },
      (error: unknown) => {
        this.#end(call, statusOfEntryError(error, this.logger));
      },
    );
  }

  readBarrier(call: ServerUnaryCall<Buffer, Buffer>, respond: sendUnaryData<Buffer>): void {
    const ended = new AbortController();
    call.once('cancelled', () => {
      ended.abort(new UnavailableError('the call is over'));
    });
    this.#readBarrier(ended.signal).then(
      (response) => {
        respond(null, response);
      },
      (error: unknown) => {
        respond(statusOfEntryError(error, this.logger));
      },
    );
  }

  async #readBarrier(signal: AbortSignal): Promise<Buffer> {
    const offset = BigInt(await this.#deskOrThrow().readBarrier(signal));
    return Buffer.from(toBinary(GetReadBarrierResponseSchema, create(GetReadBarrierResponseSchema, { offset })));
  }

  /** One message at a time: the next is read when the connection has taken the one before. */
  async #send(call: Stream, signal: AbortSignal): Promise<void> {
    for await (const news of this.#deskOrThrow().follow(decodeFollowFrom(call.request), signal)) {
      if (signal.aborted) return;
      await this.#taken(call, encodeNews(news), signal);
    }
  }

  #taken(call: Stream, response: Buffer, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', end);
        resolve();
      };
      const timer = setTimeout(() => {
        this.logger.warn(
          'replica_stalled',
          { address: call.getPeer(), timeoutMs: this.takeMs },
          'a replica stopped reading; closing its stream',
        );
        signal.removeEventListener('abort', end);
        reject(new UnavailableError(`it has taken nothing for ${this.takeMs} ms`));
      }, this.takeMs);
      signal.addEventListener('abort', end, { once: true });
      call.write(response, end);
    });
  }

  #end(call: Stream, failure?: { readonly code: status; readonly details: string }): void {
    const ended = this.#streams.get(call);
    if (ended === undefined) return;
    this.#streams.delete(call);
    if (failure === undefined) call.end();
    else call.emit('error', failure);
    ended.abort();
  }

  #deskOrThrow(): ReplicaHandler {
    if (this.#desk === undefined) throw new UnavailableError('this node is starting');
    return this.#desk;
  }
}
