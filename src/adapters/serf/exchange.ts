import { connect } from 'node:net';
import { UnavailableError } from '../../application/errors.js';
import type { Clock } from '../../application/ports/clock.js';
import type { GossipAddress } from '../../domain/gossip/message.js';
import { formatAddress } from './host-port.js';
import type { Keyring } from './keys/keyring.js';
import { StreamDecoder, encodeStream, type StreamMessage } from './wire/stream.js';

export interface ExchangeOptions {
  readonly clock: Clock;
  readonly keyring: Keyring | undefined;
  /** The time limit from the connection attempt to the last byte of the answer. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/**
 * Sends one message over TCP and resolves with the answer. Calls `message` once connected. Rejects with the signal's
 * reason if it aborts, otherwise with `UnavailableError`.
 */
export function exchange(
  to: GossipAddress,
  message: () => StreamMessage,
  { clock, keyring, timeoutMs, signal }: ExchangeOptions,
): Promise<StreamMessage> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const socket = connect({ host: to.ip, port: to.port, noDelay: true });
    const decoder = new StreamDecoder(keyring);
    const settle = (finish: () => void): void => {
      cancelDeadline();
      signal.removeEventListener('abort', onAbort);
      socket.destroy();
      finish();
    };
    const fail = (reason: string): void => {
      settle(() => {
        reject(new UnavailableError(`no gossip answer from ${formatAddress(to)}: ${reason}`));
      });
    };
    const onAbort = (): void => {
      settle(() => {
        reject(signal.reason as Error);
      });
    };
    const cancelDeadline = clock.after(timeoutMs, () => {
      fail(`no answer within ${timeoutMs} ms`);
    });
    signal.addEventListener('abort', onAbort, { once: true });
    socket.on('connect', () => {
      socket.write(encodeStream(message(), keyring));
    });
    socket.on('data', (piece) => {
      try {
        const answer = decoder.push(piece);
        if (answer?.type === 'error') fail(`it answered with an error: ${answer.message}`);
        else if (answer !== undefined)
          settle(() => {
            resolve(answer);
          });
      } catch (error) {
        fail(error instanceof Error ? error.message : 'its answer is malformed');
      }
    });
    socket.on('error', (error) => {
      fail(error.message);
    });
    socket.on('close', () => {
      fail('it closed the connection');
    });
  });
}
