import type { Readable } from 'node:stream';
import { messageOf } from '../options/exit-codes.js';

/** The input of a command cannot be read; the message names it. */
export class UnreadableInputError extends Error {
  override readonly name = 'UnreadableInputError';
  constructor(file: string, cause: unknown) {
    super(`cannot read ${file === '-' ? 'standard input' : file}: ${messageOf(cause)}`, { cause });
  }
}

/**
 * Yields what the input has, and throws `UnreadableInputError` where reading it fails: the system's error does not say
 * which file it is about.
 *
 * @param file the file, or `-` for standard input
 */
export async function* namedInput(input: Readable, file: string): AsyncGenerator<Buffer, void> {
  try {
    yield* input as AsyncIterable<Buffer>;
  } catch (error) {
    throw new UnreadableInputError(file, error);
  }
}
