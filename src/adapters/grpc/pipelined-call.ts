import type { Metadata, ServerInterceptingCallInterface } from '@grpc/grpc-js';
import { ServerInterceptingCall, status as grpcCodes } from '@grpc/grpc-js';
import { constants } from 'node:http2';
import { type CallMemory, weightOfMessage } from '../../application/access/call-memory.js';
import type { OverloadedError } from '../../application/errors.js';
import { callError } from './call-errors.js';
import { inflateInTurn } from './compressed-messages.js';
import { onArrival, pauseRequests, pieceBytes, resetStream, sendInPieces } from './session-limits.js';

type Listener = Parameters<ServerInterceptingCallInterface['start']>[0];
type CallStatus = Parameters<ServerInterceptingCallInterface['sendStatus']>[0];
type Sent = () => void;

/**
 * Messages of one call that may lie between this server and its socket before the writer has to wait, by their weight;
 * and where the calls of its client hold too much already.
 */
const unsentWeightMax = 320 * 1024;
const unsentWeightShort = 16 * 1024;

/** What a message has in front of it: a flag and its length. */
export const messageHeadBytes = 5;

/** From the status of a call to the reset of its stream, whose client still sends; the status must be out by then. */
const lingerMs = 250;

/** The key of a call's memory in its metadata. */
const memoryKey = 'golog.memory';

/** Returns what counts the memory of a call, given to its handler; undefined when nothing does. */
export function memoryOf({ metadata }: { readonly metadata: Metadata }): CallMemory | undefined {
  return metadata.getOpaque(memoryKey) as CallMemory | undefined;
}

export interface CallDeadlines {
  /** From the call to the end of its request; without it the client may take its time. */
  readonly requestMs?: number;
  /** A reader that takes nothing of what is there for it loses the call after this long, or up to twice that. */
  readonly stallMs: number;
}

/**
 * Between grpc-js's streams and its HTTP/2 call. grpc-js alone waits after each message until that message has left
 * for the socket: one write, one turn of the event loop per message, and for a unary call one more for the status.
 * Here the next message, or the status, follows at once as long as little is unsent; node:http2 then writes them
 * together. Beyond the bound the writer waits as before, so a slow reader costs no more than the bound.
 *
 * It also gives up on who is slow on purpose: on a request that does not end, a response that is not read, and a client
 * that goes on sending after its status (RFC 9113 §8.1).
 */
export class PipelinedCall extends ServerInterceptingCall {
  readonly #inner: ServerInterceptingCallInterface;
  readonly #deadlines: CallDeadlines;
  readonly #onEnd: (() => void) | undefined;
  #requestTimer: NodeJS.Timeout | undefined;
  #requestEnded = false;
  #stallTimer: NodeJS.Timeout | undefined;
  /** How often the reader took a message, or a piece of one. */
  #taken = 0;
  #unsentWeight = 0;
  /** Whether there was ever more unsent than a piece. Most calls send less. */
  #inPieces = false;
  #waiting: Sent | undefined;
  /** The weight of the message that the writer waits with: its stream keeps it, while a copy of it is unsent. */
  #waitingWeight = 0;
  #ended = false;

  /** Counts the requests and messages of the call; see `countIn`. */
  #memory: CallMemory | undefined;
  #keepsRequests = true;

  /** `onEnd` is called once, when the call is over for whatever reason. */
  constructor(inner: ServerInterceptingCallInterface, deadlines: CallDeadlines, onEnd?: () => void) {
    super(inner);
    this.#inner = inner;
    this.#deadlines = deadlines;
    this.#onEnd = onEnd;
  }

  override start(listener: Listener): void {
    const { requestMs } = this.#deadlines;
    if (requestMs !== undefined && !this.#ended)
      this.#requestTimer = setTimeout(this.#onLateRequest, requestMs).unref();
    const taken = inflateInTurn(this.#inner);
    if (this.#memory !== undefined)
      onArrival(this.#inner, (bytes) => {
        // What comes after the status is dropped.
        if (this.#ended) return;
        const refusal = this.#memory?.arrive(bytes);
        if (refusal !== undefined) this.#refuseOrPause(refusal, this.#memory?.hasUnanswered === true);
      });
    this.#inner.start({
      onReceiveMetadata: (metadata) => {
        metadata.setOpaque(memoryKey, this.#memory);
        listener.onReceiveMetadata(metadata);
      },
      onReceiveMessage: (message: unknown) => {
        if (this.#accepts(message, taken !== undefined)) listener.onReceiveMessage(message);
        taken?.();
      },
      onReceiveHalfClose: () => {
        this.#requestEnded = true;
        clearTimeout(this.#requestTimer);
        listener.onReceiveHalfClose();
      },
      onCancel: () => {
        this.#settle();
        listener.onCancel();
      },
    });
  }

  /** Before its start, which then does nothing. */
  refuse(status: CallStatus): void {
    this.sendStatus(status);
    this.#settle();
  }

  /**
   * Before the start: counts requests, and what is not sent, in this memory, which `memoryOf` gives the handler of the
   * call. Without `keepsRequests`, a request is done with as soon as the handler has got it; else when the call ends, or
   * when the handler tells the memory that it is answered.
   */
  countIn(memory: CallMemory, keepsRequests: boolean): void {
    this.#memory = memory;
    this.#keepsRequests = keepsRequests;
  }

  /** Counts a request that came whole; false if it is refused. A compressed one takes more than what has come. */
  #accepts(message: unknown, isCompressed: boolean): boolean {
    const memory = this.#memory;
    if (memory === undefined) return true;
    const { hasUnanswered } = memory;
    const isBytes = message instanceof Uint8Array;
    const bytes = isBytes ? message.byteLength + messageHeadBytes : 0;
    const refusal = memory.deliver(isCompressed || !isBytes ? Infinity : bytes, bytes);
    if (refusal !== undefined) this.#refuseOrPause(refusal, hasUnanswered);
    if (!this.#keepsRequests) memory.answer(bytes);
    return refusal === undefined || hasUnanswered;
  }

  /** With others of the call in progress, their outcomes are awaited before more is read; otherwise the call ends. */
  #refuseOrPause(refusal: OverloadedError, hasUnanswered: boolean): void {
    if (hasUnanswered) this.#memory?.onceAnswered(pauseRequests(this.#inner));
    else this.sendStatus(callError(refusal));
  }

  override sendMessage(message: unknown, sent: Sent): void {
    if (this.#ended) return;
    const weight = weightOfMessage(message instanceof Uint8Array ? message.byteLength : 0);
    this.#unsentWeight += weight;
    this.#memory?.charge(weight);
    if (this.#unsentWeight > pieceBytes && !this.#inPieces) this.#sendInPieces();
    this.#stallTimer ??= this.#watchReader();
    this.#inner.sendMessage(message, () => {
      this.#unsentWeight -= weight;
      this.#memory?.release(weight);
      this.#taken++;
      if (this.#waiting === undefined || this.#isFull()) return;
      const resume = this.#waiting;
      this.#waiting = undefined;
      this.#memory?.release(this.#waitingWeight);
      this.#waitingWeight = 0;
      resume();
    });
    if (!this.#isFull()) {
      sent();
      return;
    }
    this.#waiting = sent;
    this.#waitingWeight = weight;
    this.#memory?.charge(weight);
  }

  override sendStatus(status: CallStatus): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#waiting = undefined;
    this.#inner.sendStatus(status);
  }

  #sendInPieces(): void {
    this.#inPieces = true;
    sendInPieces(this.#inner, () => {
      this.#taken++;
      this.#memory?.advance();
    });
  }

  readonly #onLateRequest = (): void => {
    const details = `the request did not come whole within ${this.#deadlines.requestMs} ms`;
    this.sendStatus({ code: grpcCodes.DEADLINE_EXCEEDED, details });
  };

  #watchReader(): NodeJS.Timeout {
    const takenBefore = this.#taken;
    return setTimeout(() => {
      this.#stallTimer = undefined;
      if (this.#unsentWeight === 0) return;
      if (this.#taken === takenBefore) resetStream(this.#inner, constants.NGHTTP2_CANCEL);
      else this.#stallTimer = this.#watchReader();
    }, this.#deadlines.stallMs).unref();
  }

  #settle(): void {
    clearTimeout(this.#requestTimer);
    clearTimeout(this.#stallTimer);
    this.#onEnd?.();
    if (!this.#requestEnded)
      setTimeout(() => {
        resetStream(this.#inner, constants.NGHTTP2_NO_ERROR);
      }, lingerMs).unref();
  }

  #isFull(): boolean {
    if (this.#unsentWeight < unsentWeightShort) return false;
    return this.#unsentWeight >= unsentWeightMax || this.#memory?.isShort === true;
  }
}
