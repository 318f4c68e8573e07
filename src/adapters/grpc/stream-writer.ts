import type { ServerDuplexStream, ServerWritableStream } from '@grpc/grpc-js';
import { Metadata } from '@grpc/grpc-js';

export type OutboundStream = ServerWritableStream<Buffer, Buffer> | ServerDuplexStream<Buffer, Buffer>;

/** Writes the messages of a stream, telling when to wait; nothing is sent once the call is over. */
export class StreamWriter {
  #resume: (() => void) | undefined;

  constructor(private readonly call: OutboundStream) {
    call.once('cancelled', this.#onReady);
  }

  /** Sends the response headers now, for clients that wait for them before anything else. */
  open(): void {
    this.call.sendMetadata(new Metadata());
  }

  get closed(): boolean {
    return this.call.cancelled || this.call.destroyed || this.call.writableEnded;
  }

  /** A promise when the reader is behind: it resolves once there is space, or the call is over. One caller at a time. */
  send(message: Buffer): Promise<void> | undefined {
    if (this.closed) return undefined;
    // Accepted messages leave the stream at once; what stays in it means that the call below is full.
    this.call.write(message, this.#onAccepted);
    if (this.call.writableLength === 0) return undefined;
    return new Promise((resolve) => {
      this.#resume = resolve;
    });
  }

  readonly #onAccepted = (): void => {
    if (this.call.writableLength === 0) this.#onReady();
  };

  readonly #onReady = (): void => {
    const resume = this.#resume;
    this.#resume = undefined;
    resume?.();
  };
}
