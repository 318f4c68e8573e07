import { eventually } from '../cluster/deadline.js';

/** For what gossip brings late, when it missed it at first. */
const patienceMs = 60_000;
/** For a test that waits for several such things. */
export const testMs = 240_000;

/** As `eventually`, with the patience that gossip needs. */
export function inTime<T>(
  what: string | (() => string),
  found: () => Promise<T | undefined> | T | undefined,
): Promise<T> {
  return eventually(what, found, patienceMs);
}

/** Waits until `statuses` are those that are wanted (`name status`, by name); else says what they were. */
export async function untilStatuses(
  of: string,
  wanted: readonly string[],
  statuses: () => Promise<readonly string[]> | readonly string[],
): Promise<void> {
  let last: readonly string[] = [];
  await inTime(
    () => `${of} to see ${wanted.join(', ')} instead of ${last.join(', ')}`,
    async () => {
      last = await statuses();
      return last.join() === wanted.join() ? true : undefined;
    },
  );
}
