import { producerIdBytesMax } from './batch-prefix.js';
import { InvalidInputError } from './errors.js';

const encoder = new TextEncoder();
const loneSurrogate = /\p{Surrogate}/u;

/** Throws `InvalidInputError` for an id that is not 1 to 128 bytes of UTF-8. */
export function producerIdOrThrow(id: string): string {
  const bytes = encoder.encode(id).length;
  if (bytes < 1 || bytes > producerIdBytesMax)
    throw new InvalidInputError(`the id of a producer has ${bytes} bytes: expected 1 to ${producerIdBytesMax}`);
  if (loneSurrogate.test(id))
    throw new InvalidInputError('the id of a producer has half a surrogate pair, which no UTF-8 can hold');
  return id;
}
