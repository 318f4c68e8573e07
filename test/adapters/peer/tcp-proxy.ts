import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** A TCP hop in front of a port, which can be cut and made to stall as a network does. */
export class TcpProxy {
  readonly #sockets = new Set<Socket>();
  #cut = false;
  #stalled = false;

  private constructor(
    private readonly server: Server,
    readonly rpcAddr: string,
  ) {}

  /** `port` is asked for at each connection. */
  static async open(port: () => number): Promise<TcpProxy> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const proxy = new TcpProxy(server, `127.0.0.1:${(server.address() as AddressInfo).port}`);
    server.on('connection', (socket) => {
      proxy.#join(socket, connect(port(), '127.0.0.1'));
    });
    return proxy;
  }

  /** Resets all connections, and each new one. */
  cut(): void {
    this.#cut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Lets new connections through. */
  heal(): void {
    this.#cut = false;
  }

  /** Takes no bytes any more, as a stopped process. */
  stall(): void {
    this.#stalled = true;
    for (const socket of this.#sockets) socket.pause();
  }

  resume(): void {
    this.#stalled = false;
    for (const socket of this.#sockets) socket.resume();
  }

  async close(): Promise<void> {
    this.cut();
    this.server.close();
    await once(this.server, 'close');
  }

  #join(near: Socket, far: Socket): void {
    const pairs = [
      [near, far],
      [far, near],
    ] as const;
    for (const [from, to] of pairs) {
      this.#sockets.add(from);
      from.setNoDelay();
      from.on('data', (bytes) => {
        if (!to.write(bytes)) {
          from.pause();
          to.once('drain', () => this.#stalled || from.resume());
        }
      });
      from.on('error', () => undefined);
      from.once('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
      if (this.#stalled) from.pause();
    }
    if (this.#cut) near.destroy();
  }
}
