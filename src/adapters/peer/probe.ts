import { connect } from 'node:net';
import type { Clock } from '../../application/ports/clock.js';

/**
 * `refused`: all addresses of the host say that no process listens there. `silent`: no answer in time, or no way to one
 * of them.
 */
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
  socket.once('error', (error: Failure) => {
    settle(probeAnswerOf(error));
  });
  cancelTimer = clock.after(ms, () => {
    settle('silent');
  });
  return end;
}

/** What Node says of a failed connection; of a host with several addresses, `code` is that of the first. */
interface Failure {
  readonly code?: string;
  readonly errors?: readonly Failure[];
}

export function probeAnswerOf(failure: Failure): ProbeAnswer {
  const all = failure.errors ?? [failure];
  return all.every(({ code }) => code === 'ECONNREFUSED') ? 'refused' : 'silent';
}
