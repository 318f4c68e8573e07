/**
 * The file operations of this process that have not ended. Node does not exit while one runs in its thread pool, so the code
 * that ends the process asks whether one hangs.
 */
class OperationsInFlight {
  /** When each began, the oldest first. */
  readonly #begun = new Set<{ readonly atMs: number }>();

  /** Milliseconds that the oldest has taken so far; 0 without one. */
  get oldestMs(): number {
    for (const { atMs } of this.#begun) return performance.now() - atMs;
    return 0;
  }

  async track<T>(act: () => Promise<T>): Promise<T> {
    const operation = { atMs: performance.now() };
    this.#begun.add(operation);
    try {
      return await act();
    } finally {
      this.#begun.delete(operation);
    }
  }
}

export const operationsInFlight = new OperationsInFlight();
