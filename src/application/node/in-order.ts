/** Runs all steps, one after the other, even those after one that fails. Rejects with the first failure. */
export async function inOrder(...steps: (() => unknown)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const step of steps) {
    try {
      await step();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}

export interface Closeable {
  close(): Promise<void> | void;
}

/** Runs `start`. Where it rejects, what it has pushed to `opened` is closed first, the last one first. */
export async function closingOnFailure<Started>(start: (opened: Closeable[]) => Promise<Started>): Promise<Started> {
  const opened: Closeable[] = [];
  try {
    return await start(opened);
  } catch (error) {
    // The failure of the start says more than one of closing after it.
    await inOrder(...opened.reverse().map((each) => () => each.close())).catch(() => undefined);
    throw error;
  }
}
