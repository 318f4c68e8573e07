import { type AddressInfo, type Server, type Socket, createServer } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { anonymous, type Caller } from '../../application/access/access.js';

/** HTTP/2's connection preface (RFC 9113 §3.4). No HTTP/1.1 request begins like it: there is no method PRI. */
const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

export type Protocol = 'http1' | 'http2';

/** Whether what is spoken over a connection has ended, from the side of this server. */
export type HasEnded = () => boolean;

/** Takes over a socket: gives it back encrypted, with who is at its other end, or destroys it in bounded time. */
export type Secure = (socket: Socket, take: (secured: TLSSocket, caller: Caller) => void) => void;

export interface PortListenerOptions {
  readonly host: string;
  readonly port: number;
  readonly connectionsMax: number;
  readonly connectionsPerAddressMax: number;
  /** From the connection to enough bytes to tell the protocol. */
  readonly handshakeMs: number;
  /** A connection that was ended while its peer takes nothing is destroyed after this long, or up to twice that. */
  readonly stallMs: number;
  /** Without it connections are in clear, and everybody is anonymous. */
  readonly secure?: Secure;
}

/**
 * One TCP port for HTTP/1.1 and HTTP/2, told apart by HTTP/2's preface, or with TLS by ALPN.
 * Keeps every socket until it is closed, so that `destroyAll` leaves none behind.
 */
export class PortListener {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #undecided = new Set<Socket>();
  /** Those that speak a protocol, encrypted or not. */
  readonly #speaking = new Map<Socket, HasEnded>();
  readonly #ended = new WeakSet<Socket>();
  #sweeping: NodeJS.Timeout | undefined;
  readonly #perAddress = new Map<string, number>();
  #closed: Promise<void> | undefined;
  #wakeWhenEmpty: (() => void) | undefined;

  /** `accept` takes over a socket whose first bytes, put back, speak the protocol. */
  constructor(
    private readonly options: PortListenerOptions,
    private readonly accept: (protocol: Protocol, socket: Socket, caller: Caller) => HasEnded,
  ) {
    this.#server = createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true }, (socket) => {
      this.#admit(socket);
    });
  }

  /** Rejects with the cause (a port in use, an address that is not this machine's). */
  listen(): Promise<{ host: string; port: number }> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host: this.options.host, port: this.options.port }, () => {
        this.#server.off('error', reject);
        // Later errors are of single connections (out of descriptors); the server goes on.
        this.#server.on('error', () => undefined);
        this.#sweeping = setInterval(() => {
          this.#dropEnded();
        }, this.options.stallMs).unref();
        const { port } = this.#server.address() as AddressInfo;
        resolve({ host: this.options.host, port });
      });
    });
  }

  get connections(): number {
    return this.#sockets.size;
  }

  #admit(socket: Socket): void {
    const address = socket.remoteAddress ?? '';
    const ofAddress = this.#perAddress.get(address) ?? 0;
    socket.on('error', () => socket.destroy());
    if (this.#sockets.size >= this.options.connectionsMax || ofAddress >= this.options.connectionsPerAddressMax) {
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    this.#perAddress.set(address, ofAddress + 1);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      const left = (this.#perAddress.get(address) ?? 1) - 1;
      if (left === 0) this.#perAddress.delete(address);
      else this.#perAddress.set(address, left);
      if (this.#sockets.size === 0) this.#wakeWhenEmpty?.();
    });
    const { secure } = this.options;
    if (secure === undefined) this.#decide(socket);
    else this.#secure(socket, secure);
  }

  #secure(socket: Socket, secure: Secure): void {
    this.#undecided.add(socket);
    socket.once('close', () => this.#undecided.delete(socket));
    secure(socket, (secured, caller) => {
      this.#undecided.delete(socket);
      this.#hand(secured.alpnProtocol === 'h2' ? 'http2' : 'http1', secured, caller);
    });
  }

  #decide(socket: Socket): void {
    let seen: Buffer = Buffer.alloc(0);
    const drop = (): void => {
      socket.destroy();
    };
    const timer = setTimeout(drop, this.options.handshakeMs);
    const settle = (): void => {
      clearTimeout(timer);
      this.#undecided.delete(socket);
      socket.off('readable', onReadable).off('end', drop).off('close', settle);
    };
    const onReadable = (): void => {
      for (let chunk = socket.read() as Buffer | null; chunk !== null; chunk = socket.read() as Buffer | null)
        seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
      const length = Math.min(seen.length, preface.length);
      const isPreface = seen.subarray(0, length).equals(preface.subarray(0, length));
      if (isPreface && length < preface.length) return;
      settle();
      socket.unshift(seen);
      this.#hand(isPreface ? 'http2' : 'http1', socket, anonymous);
    };
    this.#undecided.add(socket);
    socket.on('readable', onReadable).on('end', drop).on('close', settle);
  }

  #hand(protocol: Protocol, socket: Socket, caller: Caller): void {
    socket.once('close', () => this.#speaking.delete(socket));
    this.#speaking.set(socket, this.accept(protocol, socket, caller));
  }

  /** Node lets a session that is destroyed send what it was sending; a peer that reads nothing keeps its socket for ever. */
  #dropEnded(): void {
    for (const [socket, hasEnded] of this.#speaking)
      if (this.#ended.has(socket)) socket.destroy();
      else if (hasEnded() || socket.writableEnded) this.#ended.add(socket);
  }

  /** Accepts no more, drops the sockets that have not said anything yet. Resolves when the last socket is closed. */
  close(): Promise<void> {
    if (this.#closed === undefined) {
      clearInterval(this.#sweeping);
      for (const socket of this.#undecided) socket.destroy();
      const empty = new Promise<void>((resolve) => {
        this.#wakeWhenEmpty = resolve;
        if (this.#sockets.size === 0) resolve();
      });
      const stopped = new Promise<void>((resolve) => {
        this.#server.close(() => {
          resolve();
        });
      });
      this.#closed = Promise.all([empty, stopped]).then(() => undefined);
    }
    return this.#closed;
  }

  destroyAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}
