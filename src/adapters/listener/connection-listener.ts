import { lookup } from 'node:dns/promises';
import type { Http2Session } from 'node:http2';
import { type AddressInfo, type Server, type Socket, createServer } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { anonymous, type Caller } from '../../application/access/access.js';

/** HTTP/2's connection preface (RFC 9113 §3.4). No HTTP/1.1 request begins like it: there is no method PRI. */
const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/** The time from the end of the grace period to the end of the sockets: a destroyed session may still send GOAWAY. */
const farewellMs = 200;
/** The time from the end of the sockets until a socket that does not report its end is given up. */
const reapMs = 500;

export type Protocol = 'http1' | 'http2';

export interface ConnectionListenerOptions {
  /** A name or an address; a name is resolved and all of its addresses are listened on. */
  readonly host: string;
  readonly port: number;
  readonly connectionsMax: number;
  readonly connectionsPerAddressMax: number;
  /** What may be spoken; a connection that speaks anything else is destroyed. */
  readonly protocols: readonly Protocol[];
  /** The time from the connection, or its TLS handshake, to enough bytes to tell the protocol. */
  readonly handshakeMs: number;
  /** A connection that has ended but whose peer reads nothing is destroyed after this long, or up to twice that. */
  readonly stallMs: number;
  /** Without it connections are in clear, and every caller is anonymous. */
  readonly secure?: Secure | undefined;
}

/** Takes over a socket: gives it back encrypted, with the caller at its other end, or destroys it in bounded time. */
export type Secure = (socket: Socket, take: (secured: TLSSocket, caller: Caller) => void) => void;

/** A connection that has begun to speak a protocol. What was read to find that out is put back into its socket. */
export interface Connection {
  readonly protocol: Protocol;
  readonly socket: Socket;
  readonly caller: Caller;
}

function listenAt(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.off('error', reject);
      // Later errors are of single connections (out of descriptors); the server goes on.
      server.on('error', () => undefined);
      resolve((server.address() as AddressInfo).port);
    });
  });
}

/**
 * The TCP side of both listeners: the limits on connections, TLS, and one port for HTTP/1.1 and HTTP/2, which HTTP/2's
 * preface tells apart, or over TLS ALPN. It knows every socket until it is closed, so that `close` leaves none open.
 */
export class ConnectionListener {
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  /** The sockets that have not said yet what they speak, encrypted or not. */
  readonly #silent = new Set<Socket>();
  /** The sockets that speak a protocol, encrypted or not, and the HTTP/2 session of each. */
  readonly #speaking = new Map<Socket, Http2Session | undefined>();
  readonly #ended = new WeakSet<Socket>();
  readonly #perAddress = new Map<string, number>();
  #sweeping: NodeJS.Timeout | undefined;
  #closing = false;
  #wakeWhenEmpty: (() => void) | undefined;

  /** `accept` takes over a connection, and returns its session if it is one of HTTP/2. */
  constructor(
    private readonly options: ConnectionListenerOptions,
    private readonly accept: (connection: Connection) => Http2Session | undefined,
  ) {}

  /** Resolves with the port. Rejects with the cause when it can listen on none of the host's addresses. */
  async listen(): Promise<number> {
    let { port } = this.options;
    let failure = new Error(`no address found for ${this.options.host}`);
    for (const { address } of await lookup(this.options.host, { all: true })) {
      if (this.#closing) break;
      // A client of HTTP/1.1 may end its side and still wait for the answer.
      const server = createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true }, (socket) => {
        this.#admit(socket);
      });
      try {
        port = await listenAt(server, address, port);
        this.#servers.push(server);
      } catch (error) {
        failure = error as Error;
      }
    }
    if (this.#servers.length === 0) throw failure;
    if (this.#closing) this.#stopListening();
    else
      this.#sweeping ??= setInterval(() => {
        this.#dropEnded();
      }, this.options.stallMs).unref();
    return port;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  #admit(socket: Socket): void {
    const address = socket.remoteAddress ?? '';
    const ofAddress = this.#perAddress.get(address) ?? 0;
    const { connectionsMax, connectionsPerAddressMax } = this.options;
    socket.on('error', () => socket.destroy());
    if (this.#closing || this.#sockets.size >= connectionsMax || ofAddress >= connectionsPerAddressMax) {
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
    if (secure === undefined) this.#awaitProtocol(socket, anonymous);
    else this.#secure(socket, secure);
  }

  #secure(socket: Socket, secure: Secure): void {
    this.#silent.add(socket);
    socket.once('close', () => this.#silent.delete(socket));
    secure(socket, (secured, caller) => {
      this.#silent.delete(socket);
      this.#awaitProtocol(secured, caller, secured.alpnProtocol === 'h2' ? 'http2' : 'http1');
    });
  }

  /** Accepts the connection once its first bytes are those of a protocol: of the negotiated one, if there is one. */
  #awaitProtocol(socket: Socket, caller: Caller, negotiated?: Protocol): void {
    let seen: Buffer = Buffer.alloc(0);
    const drop = (): void => {
      socket.destroy();
    };
    const timer = setTimeout(drop, this.options.handshakeMs);
    const settle = (): void => {
      clearTimeout(timer);
      this.#silent.delete(socket);
      socket.off('readable', onReadable).off('end', drop).off('close', settle);
    };
    const onReadable = (): void => {
      for (let chunk = socket.read() as Buffer | null; chunk !== null; chunk = socket.read() as Buffer | null)
        seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
      const length = Math.min(seen.length, preface.length);
      const isPreface = seen.subarray(0, length).equals(preface.subarray(0, length));
      if (isPreface && length < preface.length) return;
      const protocol = isPreface ? 'http2' : 'http1';
      if (!this.options.protocols.includes(protocol) || (negotiated ?? protocol) !== protocol) {
        drop();
        return;
      }
      settle();
      socket.unshift(seen);
      this.#accept({ protocol, socket, caller });
    };
    this.#silent.add(socket);
    socket.on('readable', onReadable).on('end', drop).on('close', settle);
  }

  #accept(connection: Connection): void {
    const { protocol, socket } = connection;
    // A peer of HTTP/2 that has closed its side is not there for answers.
    if (protocol === 'http2') socket.allowHalfOpen = false;
    socket.once('close', () => this.#speaking.delete(socket));
    this.#speaking.set(socket, this.accept(connection));
  }

  /** Node lets a session that is destroyed send what it was sending; a peer that reads nothing keeps its socket for ever. */
  #dropEnded(): void {
    for (const [socket, session] of this.#speaking)
      if (this.#ended.has(socket)) socket.destroy();
      else if (session?.destroyed === true || socket.writableEnded) this.#ended.add(socket);
  }

  #stopListening(): void {
    clearInterval(this.#sweeping);
    for (const server of this.#servers) server.close();
  }

  /**
   * Accepts no more and destroys the sockets that have not begun to speak; soon after `graceMs` destroys the others.
   * Resolves when the last socket is closed, within `graceMs` + 1 s in any case.
   */
  async close(graceMs: number): Promise<void> {
    this.#closing = true;
    this.#stopListening();
    for (const socket of this.#silent) socket.destroy();
    if (this.#sockets.size === 0) return;
    await new Promise<void>((resolve) => {
      const force = setTimeout(() => {
        for (const socket of this.#sockets) socket.destroy();
        reap = setTimeout(resolve, reapMs);
      }, graceMs + farewellMs);
      let reap: NodeJS.Timeout | undefined;
      this.#wakeWhenEmpty = () => {
        clearTimeout(force);
        clearTimeout(reap);
        resolve();
      };
    });
  }
}
