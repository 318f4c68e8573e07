import type { Clock } from '../ports/clock.js';

/**
 * Runs `task` every `ms`, never twice at once: the wait starts when the task has ended. The returned function stops it
 * and resolves when a run in progress has ended. A task that fails ends the repetition, and `onError` gets its error.
 */
export function repeat(
  clock: Clock,
  ms: number,
  task: () => Promise<void>,
  onError: (error: unknown) => void,
): () => Promise<void> {
  let stopped = false;
  let running: Promise<void> = Promise.resolve();
  let cancel: () => void;
  const wait = (): void => {
    if (stopped) return;
    cancel = clock.after(ms, () => {
      running = task().then(wait, onError);
    });
  };
  wait();
  return () => {
    stopped = true;
    cancel();
    return running;
  };
}
