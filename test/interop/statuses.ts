import { eventually } from '../cluster/deadline.js';

/** Waits until `statuses` are those that are wanted (`name status`, by name); else says what they were. */
export async function untilStatuses(
  of: string,
  wanted: readonly string[],
  statuses: () => Promise<readonly string[]> | readonly string[],
): Promise<void> {
  let last: readonly string[] = [];
  await eventually(
    () => `${of} to see ${wanted.join(', ')} instead of ${last.join(', ')}`,
    async () => {
      last = await statuses();
      return last.join() === wanted.join() ? true : undefined;
    },
  );
}
