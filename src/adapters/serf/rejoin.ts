import { pause } from '../../application/pause.js';
import type { Clock } from '../../application/ports/clock.js';

const firstPauseMs = 1000;
const pauseMsMax = 30_000;

export interface RejoinOptions {
  /** HOST:PORT of those who were there before. */
  readonly addrs: readonly string[];
  readonly clock: Clock;
  readonly random: () => number;
  readonly signal: AbortSignal;
  /** Nobody else is known to be there. */
  readonly isAlone: () => boolean;
  /** Rejects when nobody answers there. */
  readonly join: (addr: string) => Promise<unknown>;
}

/** Asks one after the other, and all again after a longer and longer pause, until one answers or asked first. */
export async function rejoin({ addrs, clock, random, signal, isAlone, join }: RejoinOptions): Promise<void> {
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(2 * pauseMs, pauseMsMax)) {
    const inTurn = [...addrs].sort(() => random() - 0.5);
    for (const addr of inTurn) {
      if (signal.aborted || !isAlone()) return;
      try {
        await join(addr);
        return;
      } catch {
        // Gone, or cut off: the next one.
      }
    }
    await pause(clock, pauseMs, signal).catch(() => undefined);
  }
}
