import type { Socket } from 'node:net';
import type { Caller } from '../../application/access/access.js';

/** The two ends of a connection, which tell it from all others that are open. */
export type Ends = {
  readonly [End in 'localAddress' | 'localPort' | 'remoteAddress' | 'remotePort']?: Socket[End] | undefined;
};

function keyOf({ localAddress, localPort, remoteAddress, remotePort }: Ends): string {
  return `${localAddress} ${localPort} ${remoteAddress} ${remotePort}`;
}

/** The caller at the other end of each open connection. grpc-js tells a handler only the addresses of its connection. */
export class Callers {
  readonly #callers = new Map<string, Caller>();

  know(socket: Socket, caller: Caller): void {
    const key = keyOf(socket);
    this.#callers.set(key, caller);
    socket.once('close', () => {
      if (this.#callers.get(key) === caller) this.#callers.delete(key);
    });
  }

  /** Returns undefined for a connection that has closed. */
  of(ends: Ends): Caller | undefined {
    return this.#callers.get(keyOf(ends));
  }
}
