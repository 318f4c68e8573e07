import { readFileSync, statSync } from 'node:fs';
import type { Logger } from '../application/ports/logger.js';
import { type Config, ConfigError, expectedGossipKey, isGossipKey } from './config.js';

/** The permissions that nobody but the owner of a key should have; its group may read it, as with mounted secrets. */
const tooOpen = 0o037;

/**
 * Returns the gossip key of `--encrypt` or `--encrypt-file`, if there is one.
 *
 * @throws ConfigError, which shows neither the key nor the path: what is given as a path may be a key
 */
export function gossipKeyOf(config: Config): string | undefined {
  const path = config['encrypt-file'];
  if (path === undefined) return config.encrypt;
  let key: string;
  try {
    key = readFileSync(path, 'utf8').trim();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new ConfigError(`invalid --encrypt-file: cannot read it (${code}); expected the path of a file with the key`);
  }
  if (!isGossipKey(key)) throw new ConfigError(`invalid key in --encrypt-file: ${expectedGossipKey}`);
  return key;
}

/** Warns about files of keys that others than their owner can read or change. */
export function checkKeyFiles(config: Config, keyringPath: string | undefined, logger: Logger): void {
  const files = [
    ['--server-tls-key-file', config['server-tls-key-file']],
    ['--peer-tls-key-file', config['peer-tls-key-file']],
    ['--encrypt-file', config['encrypt-file']],
    ['keyring', keyringPath],
  ] as const;
  for (const [option, path] of files) {
    const mode = path === undefined ? undefined : statSync(path, { throwIfNoEntry: false })?.mode;
    if (mode === undefined || (mode & tooOpen) === 0) continue;
    const permissions = (mode & 0o777).toString(8).padStart(4, '0');
    logger.warn(
      'key_file_open_to_others',
      { option, path, mode: permissions },
      'other users can read or change a file with a key: use chmod 600',
    );
  }
}
