import { connect } from 'node:net';
import type { Clock } from '../../application/ports/clock.js';

/**
 * Calls `answer` once with whether HOST:PORT accepts a TCP connection within `ms`, unless the returned cancel function
 * is called first. Always destroys its socket.
 */
export function canConnect(rpcAddr: string, ms: number, clock: Clock, answer: (connects: boolean) => void): () => void {
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
  const settle = (connects: boolean): void => {
    end();
    answer(connects);
  };
  socket.once('connect', () => {
    settle(true);
  });
  socket.once('error', () => {
    settle(false);
  });
  cancelTimer = clock.after(ms, () => {
    settle(false);
  });
  return end;
}
