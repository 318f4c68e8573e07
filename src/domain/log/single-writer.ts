import { LogClosedError, LogFailedError } from './errors.js';
import { invariant } from './invariant.js';

/**
 * The state of a log's only writer: it runs one operation at a time, and the first that fails is the last, because the
 * disk is then in an unknown state.
 */
export class SingleWriter {
  #operation: string | undefined;
  #failure: LogFailedError | undefined;
  #closed = false;

  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /** Throws the error with which the log failed, or `LogClosedError`. */
  assertOpen(): void {
    if (this.#failure) throw this.#failure;
    if (this.#closed) throw new LogClosedError();
  }

  /** Checks that no other operation runs, and that the log is open. */
  begin(operation: string): void {
    this.assertIdle(operation);
    this.assertOpen();
  }

  assertIdle(operation: string): void {
    invariant(
      this.#operation === undefined,
      () => `one writer calls one operation at a time: ${operation} began before ${this.#operation} settled`,
    );
  }

  /** Runs a task whose failure fails the log. */
  async run(operation: string, task: () => Promise<void>): Promise<void> {
    this.assertIdle(operation);
    this.#operation = operation;
    try {
      await task();
    } catch (cause) {
      this.#failure = new LogFailedError(operation, cause);
      throw this.#failure;
    } finally {
      this.#operation = undefined;
    }
  }

  /** Fails the log, and returns the error that it failed with first. */
  fail(operation: string, cause: unknown): LogFailedError {
    return (this.#failure ??= new LogFailedError(operation, cause));
  }

  close(): void {
    this.#closed = true;
  }
}
