import type { ServerInterceptingCallInterface } from '@grpc/grpc-js';
import { ServerInterceptingCall } from '@grpc/grpc-js';

type Listener = Parameters<ServerInterceptingCallInterface['start']>[0];
type CallStatus = Parameters<ServerInterceptingCallInterface['sendStatus']>[0];
type Sent = () => void;

/** Messages of one call that may lie between this server and its socket before the writer has to wait. */
const unsentBytesMax = 256 * 1024;
const unsentMessagesMax = 512;

/**
 * Between grpc-js's streams and its HTTP/2 call. grpc-js alone waits after each message until that message has left
 * for the socket: one write, one turn of the event loop per message, and for a unary call one more for the status.
 * Here the next message, or the status, follows at once as long as little is unsent; node:http2 then writes them
 * together. Beyond the bound the writer waits as before, so a slow reader costs no more than the bound.
 */
export class PipelinedCall extends ServerInterceptingCall {
  readonly #inner: ServerInterceptingCallInterface;
  readonly #onEnd: (() => void) | undefined;
  #unsentBytes = 0;
  #unsentMessages = 0;
  #waiting: Sent | undefined;
  #ended = false;

  /** `onEnd` is called once, when the call is over for whatever reason. */
  constructor(inner: ServerInterceptingCallInterface, onEnd?: () => void) {
    super(inner);
    this.#inner = inner;
    this.#onEnd = onEnd;
  }

  override start(listener: Listener): void {
    const onEnd = this.#onEnd;
    if (onEnd === undefined) {
      this.#inner.start(listener);
      return;
    }
    this.#inner.start({
      onReceiveMetadata: (metadata) => {
        listener.onReceiveMetadata(metadata);
      },
      onReceiveMessage: (message: unknown) => {
        listener.onReceiveMessage(message);
      },
      onReceiveHalfClose: () => {
        listener.onReceiveHalfClose();
      },
      onCancel: () => {
        onEnd();
        listener.onCancel();
      },
    });
  }

  override sendMessage(message: unknown, sent: Sent): void {
    if (this.#ended) return;
    const bytes = message instanceof Uint8Array ? message.byteLength : 0;
    this.#unsentBytes += bytes;
    this.#unsentMessages++;
    this.#inner.sendMessage(message, () => {
      this.#unsentBytes -= bytes;
      this.#unsentMessages--;
      if (this.#waiting === undefined || this.#isFull()) return;
      const resume = this.#waiting;
      this.#waiting = undefined;
      resume();
    });
    if (this.#isFull()) this.#waiting = sent;
    else sent();
  }

  override sendStatus(status: CallStatus): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#waiting = undefined;
    this.#inner.sendStatus(status);
  }

  #isFull(): boolean {
    return this.#unsentBytes >= unsentBytesMax || this.#unsentMessages >= unsentMessagesMax;
  }
}
