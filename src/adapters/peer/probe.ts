import { connect } from 'node:net';
import type { Clock } from '../../application/ports/clock.js';

/** `refused`: the host says that no process listens there. `silent`: no answer in time, or no way to the host. */
export type ProbeAnswer = 'accepted' | 'refused' | 'silent';

/**
 * Calls `answer` once with what HOST:PORT answers to a TCP connection within `ms`, unless the returned cancel function
 * is called first. Always destroys its socket.
 */
export function probe(rpcAddr: string, ms: number, clock: Clock, answer: (answer: ProbeAnswer) => void): () => void {
  const colon = rpcAddr.lastIndexOf(':');
  const host = rpcAddr.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
  const port = Number(rpcAddr.slice(colon + 1));
  const socket = connect({ host, port: port < 65_536 ? port : 0 });
  let cancelTimer = (): void => undefined;
  const end = (): void => {
    cancelTimer();
    socket.removeAllListeners();
    socket.on('error', () => undefined);
    socket.destroy();
  };
  const settle = (how: ProbeAnswer): void => {
    end();
    answer(how);
  };
  socket.once('connect', () => {
    settle('accepted');
  });
  socket.once('error', ({ code }: NodeJS.ErrnoException) => {
    settle(code === 'ECONNREFUSED' ? 'refused' : 'silent');
  });
  cancelTimer = clock.after(ms, () => {
    settle('silent');
  });
  return end;
}
