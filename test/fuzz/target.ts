import type { Chance } from '../simulation/chance.js';

/** One decoder of bytes from outside, or from a disk that may be damaged. */
export interface Target {
  readonly name: string;
  /** A valid encoding, as the real encoder makes it. */
  valid(chance: Chance): Uint8Array;
  /** Puts right what would refuse any change at once, such as a checksum, so that what lies behind it is reached. */
  reseal?(bytes: Uint8Array): Uint8Array;
  /** The bytes within one more layer of themselves. */
  wrap?(bytes: Uint8Array): Uint8Array;
  /** Words that mean something to the decoder; with them the bytes are taken for text. */
  readonly words?: readonly string[];
  /**
   * Gives the value, which is then still held while memory is looked at. Throws a `Refusal`, or one of `refusals`; any
   * other error is a bug, also where it says that the value is not what it must be.
   */
  decode(bytes: Uint8Array): unknown;
  readonly refusals: readonly ErrorClass[];
  /** What a decoded input may hold beyond those for each of its bytes (default: 4 MiB: what the engine compiles and throws away counts, too). */
  readonly heldBytesMax?: number;
  /** What may be held for each byte (default: 64). An empty message of protobuf takes two bytes, and is an object. */
  readonly heldBytesForEach?: number;
}

export type ErrorClass = abstract new (...args: never[]) => Error;

/** For decoders that say what is wrong by a value. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
}

/** The value is none that the decoder may give. */
export class WrongValueError extends Error {
  override readonly name = 'WrongValueError';
}

export function expectEqual(found: unknown, expected: unknown, what: string): void {
  if (found !== expected) throw new WrongValueError(`${what}: ${String(found)}, not ${String(expected)}`);
}

export function expectSameBytes(found: Uint8Array, expected: Uint8Array, what: string): void {
  if (Buffer.compare(found, expected) !== 0) throw new WrongValueError(`${what}: other bytes`);
}
