import type { Chance } from '../simulation/chance.js';

/** A decoder of input from outside, or from a possibly damaged disk. */
export interface Target {
  readonly name: string;
  /** Returns a valid encoding from the real encoder. */
  valid(chance: Chance): Uint8Array;
  /** Fixes what would make the decoder reject any change at once, such as a checksum, to reach the code after it. */
  reseal?(bytes: Uint8Array): Uint8Array;
  /** Wraps the bytes in one more layer. */
  wrap?(bytes: Uint8Array): Uint8Array;
  /** Words with a meaning for the decoder; if set, inputs are mutated as text. */
  readonly words?: readonly string[];
  /**
   * Returns the value, which stays referenced while memory is measured. Throws a `Refusal` or one of `refusals`; any
   * other error is a bug, including a `WrongValueError`.
   */
  decode(bytes: Uint8Array): unknown;
  readonly refusals: readonly ErrorClass[];
  /**
   * The fixed part of the memory limit of a decoded input (default: 4 MiB, since compiled code and garbage count too).
   */
  readonly heldBytesMax?: number;
  /** The memory limit per input byte (default: 64). An empty protobuf message has two bytes but is an object. */
  readonly heldBytesForEach?: number;
}

export type ErrorClass = abstract new (...args: never[]) => Error;

/** The rejection of a decoder that returns its faults as values. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
}

/** The decoder returned a wrong value. */
export class WrongValueError extends Error {
  override readonly name = 'WrongValueError';
}

export function expectEqual(found: unknown, expected: unknown, what: string): void {
  if (found !== expected) throw new WrongValueError(`${what}: expected ${String(expected)}, found ${String(found)}`);
}

export function expectSameBytes(found: Uint8Array, expected: Uint8Array, what: string): void {
  if (Buffer.compare(found, expected) !== 0) throw new WrongValueError(`${what}: the bytes differ`);
}
