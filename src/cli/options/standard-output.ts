import type { Writable } from 'node:stream';

/** The reader of the output has closed the pipe; the command ends without an error. */
export class ReaderLeftError extends Error {
  override readonly name = 'ReaderLeftError';
}

/** Writes data to a stream; each write resolves when the stream has accepted it, so that a slow reader slows it down. */
export class DataOutput {
  #error: Error | undefined;

  constructor(private readonly stream: Writable) {
    stream.on('error', (error) => {
      this.#error = error;
    });
  }

  /** @throws ReaderLeftError when the reader has closed the pipe */
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
