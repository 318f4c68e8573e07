import { InvalidInputError } from '../../domain/log/errors.js';

/** Converts a uint64 from the wire to a safe integer. Throws `InvalidInputError` if it is too large. */
export function safeNumber(value: bigint | string): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new InvalidInputError(`${value} is too large: expected at most 2^53 - 1`);
  return number;
}
