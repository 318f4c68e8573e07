import type { Clock } from '../ports/clock.js';
import { UnavailableError } from '../errors.js';

/**
 * Runs `task` with a signal that aborts after `ms` with an `UnavailableError`, or when `signal` does. The signal also
 * aborts when the task has ended, so that nothing the task has started outlives it.
 */
export async function withDeadline<Value>(
  clock: Clock,
  ms: number,
  signal: AbortSignal | undefined,
  task: (signal: AbortSignal) => Promise<Value>,
): Promise<Value> {
  const deadline = new AbortController();
  const late = new UnavailableError(`no answer within ${ms} ms`);
  const cancel = clock.after(ms, () => deadline.abort(late));
  try {
    return await task(signal === undefined ? deadline.signal : AbortSignal.any([signal, deadline.signal]));
  } finally {
    cancel();
    deadline.abort(late);
  }
}
