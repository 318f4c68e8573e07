import { monitorEventLoopDelay } from 'node:perf_hooks';

/** The event loop is looked at this often. */
const resolutionMs = 20;

/** How late the event loop came to what was due, in milliseconds. No handler held it for longer than the longest. */
export interface LoopDelays {
  readonly longestMs: number;
  /** What 999 of 1,000 delays did not exceed. */
  readonly p999Ms: number;
}

/** Measures the delays of the event loop. It keeps no process up. */
export class LoopWatch {
  readonly #intervals = monitorEventLoopDelay({ resolution: resolutionMs });

  constructor() {
    this.#intervals.enable();
  }

  /** The delays since the last call. */
  take(): LoopDelays {
    const delayMs = (intervalNs: number): number => Math.max(0, intervalNs / 1e6 - resolutionMs);
    const { max, count } = this.#intervals;
    const delays = {
      longestMs: count === 0 ? 0 : delayMs(max),
      p999Ms: count === 0 ? 0 : delayMs(this.#intervals.percentile(99.9)),
    };
    this.#intervals.reset();
    return delays;
  }

  close(): void {
    this.#intervals.disable();
  }
}

/** Calls back at the end of each period in which one delay of a thousand exceeded the limit, until it is called off. */
export function reportLoopDelays(
  { periodMs, p999MsMax }: { readonly periodMs: number; readonly p999MsMax: number },
  onDelays: (delays: LoopDelays) => void,
): () => void {
  const watch = new LoopWatch();
  const timer = setInterval(() => {
    const delays = watch.take();
    if (delays.p999Ms > p999MsMax) onDelays(delays);
  }, periodMs).unref();
  return () => {
    clearInterval(timer);
    watch.close();
  };
}
