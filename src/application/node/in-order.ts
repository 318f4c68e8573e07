/** Runs all steps one after the other, even after one fails. Rejects with the first failure. */
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

/** Runs `start`. If it rejects, first closes whatever it has pushed to `opened`, in reverse order. */
export async function closingOnFailure<Started>(start: (opened: Closeable[]) => Promise<Started>): Promise<Started> {
  const opened: Closeable[] = [];
  try {
    return await start(opened);
  } catch (error) {
    // The start's own failure matters more than one from closing.
    await inOrder(...opened.reverse().map((each) => () => each.close())).catch(() => undefined);
    throw error;
  }
}
