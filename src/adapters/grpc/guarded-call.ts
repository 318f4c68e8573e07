import type { Metadata, ServerInterceptingCallInterface } from '@grpc/grpc-js';
import { ServerInterceptingCall } from '@grpc/grpc-js';
import { callError } from './call-errors.js';

type Listener = Parameters<ServerInterceptingCallInterface['start']>[0];
type CallStatus = Parameters<ServerInterceptingCallInterface['sendStatus']>[0];
type Sent = () => void;

/** The time from the end of permission to the end of a stream of appends whose handler does not end it. */
const lastAnswersMs = 500;

export interface Guard {
  /** Throws the error for the caller if it may not make the call. */
  readonly admit: (metadata: Metadata) => void;
  /** Only for a stream: calls `end` when the caller may no longer have it, until the returned function is called. */
  readonly watch?: (end: (reason: Error) => void) => () => void;
  /** What the stream has begun is answered before it ends. */
  readonly finishes?: boolean;
}

/** Passes a call to its handler only if its caller may make it, and ends a stream that its caller may no longer have. */
export class GuardedCall extends ServerInterceptingCall {
  readonly #inner: ServerInterceptingCallInterface;
  readonly #guard: Guard;
  #listener: Listener | undefined;
  #stopWatching: (() => void) | undefined;
  /** The status with which the call ends, whatever its handler says. */
  #verdict: CallStatus | undefined;
  #ended = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(inner: ServerInterceptingCallInterface, guard: Guard) {
    super(inner);
    this.#inner = inner;
    this.#guard = guard;
  }

  override start(listener: Listener): void {
    this.#inner.start({
      onReceiveMetadata: (metadata) => {
        try {
          this.#guard.admit(metadata);
        } catch (error) {
          this.#end(callError(error));
          return;
        }
        this.#listener = listener;
        this.#stopWatching = this.#guard.watch?.((reason) => {
          this.#withdraw(callError(reason));
        });
        listener.onReceiveMetadata(metadata);
      },
      onReceiveMessage: (message: unknown) => {
        if (this.#verdict === undefined) this.#listener?.onReceiveMessage(message);
      },
      onReceiveHalfClose: () => {
        if (this.#verdict === undefined) this.#listener?.onReceiveHalfClose();
      },
      onCancel: () => {
        this.#settle();
        this.#listener?.onCancel();
      },
    });
  }

  override sendMetadata(metadata: Metadata): void {
    if (!this.#ended) this.#inner.sendMetadata(metadata);
  }

  override sendMessage(message: unknown, sent: Sent): void {
    if (!this.#ended) this.#inner.sendMessage(message, sent);
  }

  override sendStatus(status: CallStatus): void {
    this.#end(this.#verdict ?? status);
  }

  #withdraw(verdict: CallStatus): void {
    if (this.#verdict !== undefined || this.#ended) return;
    this.#verdict = verdict;
    if (this.#guard.finishes !== true) {
      this.#end(verdict);
      return;
    }
    this.#timer = setTimeout(() => {
      this.#end(verdict);
    }, lastAnswersMs);
    this.#listener?.onReceiveHalfClose();
  }

  #end(status: CallStatus): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#verdict = status;
    this.#settle();
    this.#inner.sendStatus(status);
  }

  #settle(): void {
    clearTimeout(this.#timer);
    this.#stopWatching?.();
  }
}
