import { InvalidInputError } from '../../domain/log/errors.js';

/** A uint64 of the wire, which must be a safe integer here: throws `InvalidInputError` where it is none. */
export function safeNumber(value: bigint | string): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new InvalidInputError(`${value} is beyond 2^53 - 1`);
  return number;
}
