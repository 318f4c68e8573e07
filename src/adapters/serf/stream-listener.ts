import { type AddressInfo, type Server, type Socket, createServer } from 'node:net';
import type { Clock } from '../../application/ports/clock.js';
import { MalformedGossipError } from '../../domain/gossip/wire.js';
import type { Keyring } from './keys/keyring.js';
import { StreamDecoder, encodeStream, type StreamMessage } from './wire/stream.js';

const streamsMax = 128;
const streamsPerAddressMax = 32;
/** The limit on bytes of all incomplete streams together. */
const waitingBytesMax = 64 << 20;

export interface StreamListenerOptions {
  readonly clock: Clock;
  readonly keyring: Keyring | undefined;
  /** The time limit from the connection until everything is read and answered. */
  readonly timeoutMs: number;
  /** Processes a message and returns the answer. */
  readonly answer: (message: StreamMessage, from: string) => StreamMessage | undefined;
  readonly onMalformed: (error: MalformedGossipError, from: string) => void;
}

/** The TCP side of a node's address: one message per connection, and at most one answer. */
export class StreamListener {
  readonly #options: StreamListenerOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #waitingBytes = 0;

  constructor(options: StreamListenerOptions) {
    this.#options = options;
    this.#server = createServer({ noDelay: true }, (socket) => {
      this.#admit(socket);
    });
  }

  /** Resolves with the port. Rejects with the system's error. */
  listen(ip: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host: ip, port }, () => {
        this.#server.off('error', reject);
        // Later errors concern single connections (such as no free descriptors); the server continues.
        this.#server.on('error', () => undefined);
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  /** Closes all connections. Idempotent. */
  close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    return new Promise((resolve) => {
      this.#server.close(() => {
        resolve();
      });
    });
  }

  #admit(socket: Socket): void {
    const from = socket.remoteAddress ?? '';
    const ofAddress = [...this.#sockets].filter(({ remoteAddress }) => remoteAddress === from).length;
    socket.on('error', () => socket.destroy());
    if (this.#sockets.size >= streamsMax || ofAddress >= streamsPerAddressMax) {
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    const { clock, keyring, timeoutMs } = this.#options;
    const cancelDeadline = clock.after(timeoutMs, () => socket.destroy());
    const decoder = new StreamDecoder(keyring);
    let bytes = 0;
    socket.on('data', (piece) => {
      bytes += piece.length;
      this.#waitingBytes += piece.length;
      if (this.#waitingBytes > waitingBytesMax) socket.destroy();
      else this.#read(socket, decoder, piece, from);
    });
    socket.once('close', () => {
      cancelDeadline();
      this.#sockets.delete(socket);
      this.#waitingBytes -= bytes;
    });
  }

  #read(socket: Socket, decoder: StreamDecoder, piece: Uint8Array, from: string): void {
    const { keyring, answer, onMalformed } = this.#options;
    try {
      const message = decoder.push(piece);
      if (message === undefined) return;
      const reply = answer(message, from);
      if (reply === undefined) socket.end();
      else socket.end(encodeStream(reply, keyring));
    } catch (error) {
      if (!(error instanceof MalformedGossipError)) throw error;
      onMalformed(error, from);
      socket.end(encodeStream({ type: 'error', message: error.message }, keyring));
    }
    socket.removeAllListeners('data').resume();
  }
}
