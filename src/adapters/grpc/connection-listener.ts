import { lookup } from 'node:dns/promises';
import { type AddressInfo, type Server, type Socket, createServer } from 'node:net';
import { anonymous, type Caller } from '../../application/access/access.js';

/** HTTP/2's connection preface (RFC 9113 §3.4). */
const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/** From the end of the grace to the sockets: a session that is destroyed may still say so (GOAWAY). */
const farewellMs = 200;
/** From the sockets to giving up on a socket that does not report its end. */
const reapMs = 500;

export interface ConnectionListenerOptions {
  /** A name or an address; a name is resolved and all of its addresses are listened on. */
  readonly host: string;
  readonly port: number;
  readonly connectionsMax: number;
  readonly connectionsPerAddressMax: number;
  /** From the connection to the end of HTTP/2's preface. */
  readonly handshakeMs: number;
  /** A connection that was ended while its peer takes nothing is destroyed after this long, or up to twice that. */
  readonly stallMs: number;
  /** Without it connections are in clear, and everybody is anonymous. */
  readonly secure?: Secure;
}

/** Takes over a socket: gives it back encrypted, with who is at its other end, or destroys it in bounded time. */
export type Secure = (socket: Socket, take: (secured: Socket, caller: Caller) => void) => void;

/** Whether what is spoken over a connection has ended, from the side of this server. */
export type HasEnded = () => boolean;

/** The two ends of a connection, which tell it from all others that are open. */
export type Ends = {
  readonly [End in 'localAddress' | 'localPort' | 'remoteAddress' | 'remotePort']?: Socket[End] | undefined;
};

function keyOf({ localAddress, localPort, remoteAddress, remotePort }: Ends): string {
  return `${localAddress} ${localPort} ${remoteAddress} ${remotePort}`;
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
 * The TCP side of the gRPC listener. grpc-js knows a connection only as an HTTP/2 session; here every socket is kept
 * until it is closed, capped, and given up when it does not begin to speak HTTP/2 in time.
 */
export class ConnectionListener {
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #silent = new Set<Socket>();
  /** Those that speak HTTP/2, encrypted or not. */
  readonly #speaking = new Map<Socket, HasEnded>();
  readonly #ended = new WeakSet<Socket>();
  #sweeping: NodeJS.Timeout | undefined;
  readonly #perAddress = new Map<string, number>();
  /** By the ends of the connection; only with TLS. */
  readonly #callers = new Map<string, Caller>();
  #closing = false;
  #wakeWhenEmpty: (() => void) | undefined;

  /** `accept` takes over a socket that has sent the preface, which is put back. */
  constructor(
    private readonly options: ConnectionListenerOptions,
    private readonly accept: (socket: Socket) => HasEnded,
  ) {}

  /** Answers the port. Rejects with the cause when none of the host's addresses can be had. */
  async listen(): Promise<number> {
    let { port } = this.options;
    let failure = new Error(`no address found for ${this.options.host}`);
    for (const { address } of await lookup(this.options.host, { all: true })) {
      if (this.#closing) break;
      const server = createServer({ noDelay: true }, (socket) => {
        this.#admit(socket);
      });
      try {
        port = await listenAt(server, address, port);
        this.#servers.push(server);
      } catch (error) {
        failure = error as Error;
      }
    }
    if (this.#closing) this.#stopListening();
    if (this.#servers.length === 0) throw failure;
    this.#sweeping ??= setInterval(() => {
      this.#dropEnded();
    }, this.options.stallMs).unref();
    return port;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  /** Who is at the other end of an open connection; undefined where it is not known any more. */
  callerOf(ends: Ends): Caller | undefined {
    return this.options.secure === undefined ? anonymous : this.#callers.get(keyOf(ends));
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
    if (secure === undefined) this.#awaitPreface(socket);
    else this.#secure(socket, secure);
  }

  #secure(socket: Socket, secure: Secure): void {
    const key = keyOf(socket);
    this.#silent.add(socket);
    socket.once('close', () => this.#silent.delete(socket));
    secure(socket, (secured, caller) => {
      this.#silent.delete(socket);
      this.#callers.set(key, caller);
      secured.once('close', () => {
        if (this.#callers.get(key) === caller) this.#callers.delete(key);
      });
      this.#awaitPreface(secured);
    });
  }

  #awaitPreface(socket: Socket): void {
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
      if (!seen.subarray(0, length).equals(preface.subarray(0, length))) drop();
      else if (length === preface.length) {
        settle();
        socket.unshift(seen);
        socket.once('close', () => this.#speaking.delete(socket));
        this.#speaking.set(socket, this.accept(socket));
      }
    };
    this.#silent.add(socket);
    socket.on('readable', onReadable).on('end', drop).on('close', settle);
  }

  /** Node lets a session that is destroyed send what it was sending; a peer that reads nothing keeps its socket for ever. */
  #dropEnded(): void {
    for (const [socket, hasEnded] of this.#speaking)
      if (this.#ended.has(socket)) socket.destroy();
      else if (hasEnded() || socket.writableEnded) this.#ended.add(socket);
  }

  #stopListening(): void {
    clearInterval(this.#sweeping);
    for (const server of this.#servers) server.close();
  }

  /**
   * Accepts no more and drops the sockets that have not begun to speak; soon after `graceMs` destroys those left.
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
