import { lstat, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { DataDirectoryError } from './data-directory-error.js';
import { errorCode } from './errors.js';

const parts = ['', 'raft', 'logs', join('logs', 'default'), 'serf'];
const writableByOthers = 0o022;

/**
 * Asserts that no user but the owner of this process and root can write to a data directory and to the folders in it.
 * Such a user might put a symbolic link there before golog runs as root, or replace a file. A link to a folder elsewhere
 * may only be of that owner or root.
 *
 * @throws DataDirectoryError
 */
export async function assertOwned(path: string): Promise<void> {
  const self = process.geteuid?.();
  if (self === undefined) return;
  const isTrusted = (uid: number): boolean => uid === self || uid === 0;
  for (const part of parts) {
    const folder = join(path, part);
    const link = await lstat(folder).catch(unlessMissing);
    const found = await stat(folder).catch(unlessMissing);
    if (link === undefined || found === undefined) continue;
    const { uid, mode } = isTrusted(link.uid) ? found : link;
    if (isTrusted(uid) && (mode & writableByOthers) === 0) continue;
    throw new DataDirectoryError(path, {
      kind: 'of others',
      what: relative(path, folder) || 'it',
      owner: uid,
      mode: (mode & 0o7777).toString(8).padStart(4, '0'),
    });
  }
}

function unlessMissing(error: unknown): undefined {
  if (errorCode(error) === 'ENOENT') return undefined;
  throw error;
}
