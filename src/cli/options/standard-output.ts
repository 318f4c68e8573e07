import type { Writable } from 'node:stream';

/** Whoever read this command's output has left; there is nothing more to do, and nothing wrong. */
export class ReaderLeftError extends Error {
  override readonly name = 'ReaderLeftError';
}

/** Writes data for the next command; each write resolves when it is taken, so a slow reader holds the writer back. */
export class DataOutput {
  #error: Error | undefined;

  constructor(private readonly stream: Writable) {
    stream.on('error', (error) => {
      this.#error = error;
    });
  }

  /** @throws ReaderLeftError when the pipe is closed at its other end */
  async write(bytes: Uint8Array | string): Promise<void> {
    const error =
      this.#error ??
      (await new Promise<Error | null | undefined>((resolve) => {
        this.stream.write(bytes, resolve);
      }));
    if (error === null || error === undefined) return;
    if ('code' in error && error.code === 'EPIPE') throw new ReaderLeftError('the reader left', { cause: error });
    throw error;
  }
}
