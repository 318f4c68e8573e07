import { ConfigError } from './config-error.js';

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Decodes what an operator wrote: a byte that is not UTF-8 would become U+FFFD, and a path, a name or a rule another one.
 *
 * @param what names the bytes in the error
 * @param expected follows it there, and says what the bytes should be
 * @throws ConfigError unless they are UTF-8
 */
export function utf8Text(bytes: Uint8Array, what: string, expected = ''): string {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw new ConfigError(`${what} is not text in UTF-8${expected}`, { cause });
  }
}
