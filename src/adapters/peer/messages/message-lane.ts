import type { Message } from '../../../domain/raft/message.js';
import { FrameQueue } from './frame-queue.js';
import { PeerConnection, type PeerConnectionOptions } from './peer-connection.js';
import { encodeMessages, messageSize } from './raft-message-wire.js';

export interface MessageLaneOptions extends PeerConnectionOptions {
  /** The limit on waiting bytes; a message that exceeds it is dropped. */
  readonly bytesMax: number;
  /** Called when a message was dropped or may not have arrived. */
  readonly lost: () => void;
}

/** Sends messages to one peer over their own connection: in order, at most once. */
export class MessageLane {
  readonly #connection: PeerConnection;
  readonly #queue: FrameQueue<Message>;
  readonly #lost: () => void;

  constructor(options: MessageLaneOptions) {
    this.#lost = options.lost;
    this.#queue = new FrameQueue(options.bytesMax);
    this.#connection = new PeerConnection(options, {
      opened: () => {
        this.#queue.open((messages, sent) => {
          this.#connection.write(encodeMessages(messages), sent);
        });
      },
      received: () => undefined,
      broken: () => {
        this.#queue.shut();
        this.#lost();
      },
    });
  }

  /** Bytes that wait, for tests. */
  get waitingBytes(): number {
    return this.#queue.bytes;
  }

  /** Implements `PeerTransport.unansweredMs`. */
  unansweredMs(at?: (rpcAddr: string) => boolean): number {
    return this.#connection.unansweredMs(at);
  }

  /** HOST:PORT where the peer is connected. */
  get openAt(): string | undefined {
    return this.#connection.openAt;
  }

  /** See `PeerConnection.locate`. */
  locate(addresses: readonly string[]): void {
    this.#connection.locate(addresses);
  }

  /** Queues the message, or reports it lost; it leaves with the next `flush`. */
  push(message: Message): void {
    if (this.#connection.isOutdated) {
      this.#connection.renew();
      this.#queue.shut();
      this.#lost();
    }
    const { state } = this.#connection;
    const hasLink = state === 'open' || state === 'dialing';
    if (!hasLink || !this.#queue.push(message, messageSize(message))) this.#lost();
  }

  flush(): void {
    this.#queue.flush();
  }

  wake(): void {
    this.#connection.wake();
  }

  close(): void {
    this.#connection.close();
    this.#queue.shut();
  }
}
