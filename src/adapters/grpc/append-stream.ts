import type { ServerDuplexStream } from '@grpc/grpc-js';
import { shuttingDown } from '../wire/error-answers.js';
import { appendBytesInFlightMax, appendsInFlightMax } from '../wire/limits.js';
import type { CallMemory } from '../../application/access/call-memory.js';
import type { FailCall } from './call-errors.js';
import { messageHeadBytes } from './pipelined-call.js';
import { StreamWriter } from './stream-writer.js';

type Outcome = { readonly answer: Buffer } | { readonly error: unknown };

interface Slot {
  readonly bytes: number;
  outcome: Outcome | undefined;
}

class AppendStream {
  readonly #slots: Slot[] = [];
  readonly #writer: StreamWriter;
  #bytes = 0;
  #accepting = true;
  #flushing = false;

  constructor(
    private readonly call: ServerDuplexStream<Buffer, Buffer>,
    private readonly append: (request: Buffer) => Promise<Buffer>,
    private readonly closing: AbortSignal,
    private readonly fail: FailCall,
    private readonly memory: CallMemory | undefined,
  ) {
    this.#writer = new StreamWriter(call);
  }

  start(): void {
    const { call, closing } = this;
    this.#writer.open();
    call.on('data', (request: Buffer) => {
      this.#accept(request);
    });
    call.on('end', this.#stop);
    closing.addEventListener('abort', this.#stop);
    call.once('cancelled', () => {
      this.#accepting = false;
      closing.removeEventListener('abort', this.#stop);
    });
    if (closing.aborted) this.#stop();
  }

  #accept(request: Buffer): void {
    if (!this.#accepting) return;
    const slot: Slot = { bytes: request.byteLength, outcome: undefined };
    this.#slots.push(slot);
    this.#bytes += slot.bytes;
    if (this.#slots.length >= appendsInFlightMax || this.#bytes >= appendBytesInFlightMax) this.call.pause();
    try {
      this.append(request).then(
        (answer) => {
          this.#settle(slot, { answer });
        },
        (error: unknown) => {
          this.#settle(slot, { error });
        },
      );
    } catch (error) {
      this.#settle(slot, { error });
    }
  }

  #settle(slot: Slot, outcome: Outcome): void {
    slot.outcome = outcome;
    this.memory?.answer(slot.bytes + messageHeadBytes);
    if ('error' in outcome) this.#accepting = false;
    this.#flush();
  }

  readonly #stop = (): void => {
    this.#accepting = false;
    this.#flush();
  };

  /** Sends the answers at the head of the queue that are ready, as far as the client takes them. */
  #flush(): void {
    if (this.#flushing) return;
    for (let head = this.#slots[0]; head?.outcome !== undefined; head = this.#slots[0]) {
      if (this.#writer.closed) return;
      if ('error' in head.outcome) {
        this.call.emit('error', this.fail(head.outcome.error));
        return;
      }
      this.#slots.shift();
      this.#bytes -= head.bytes;
      const space = this.#writer.send(head.outcome.answer);
      if (space !== undefined) {
        this.#flushing = true;
        void space.then(() => {
          this.#flushing = false;
          this.#flush();
        });
        return;
      }
    }
    if (!this.#accepting && this.#slots.length === 0) this.#end();
    else if (
      this.call.isPaused() &&
      this.#slots.length <= appendsInFlightMax / 2 &&
      this.#bytes <= appendBytesInFlightMax / 2
    )
      this.call.resume();
  }

  #end(): void {
    if (this.#writer.closed) return;
    if (this.call.readableEnded) this.call.end();
    else this.call.emit('error', this.fail(shuttingDown()));
  }
}

/**
 * Serves one stream of appends, pipelined: requests are appended as they come, answers go out in the order of the requests.
 * The first append that fails ends the stream with its error, after the answers to the earlier ones; later requests
 * are not begun, those already begun are of unknown outcome. A half-close ends the stream once all is answered.
 * With too much in flight the stream stops reading until half of it is answered.
 *
 * `append` gives the answer's bytes and may throw at once; `memory` is told of each outcome. `closing` aborts when the
 * server begins to shut down: what was begun is still answered, then the stream ends UNAVAILABLE.
 */
export function serveAppends(
  call: ServerDuplexStream<Buffer, Buffer>,
  append: (request: Buffer) => Promise<Buffer>,
  closing: AbortSignal,
  fail: FailCall,
  memory: CallMemory | undefined,
): void {
  new AppendStream(call, append, closing, fail, memory).start();
}
