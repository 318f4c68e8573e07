import type { FileIdentity } from '../../domain/log/directory.js';

let made = 0;

/** Returns an identity that no other file in memory has. All are of one length, so that no file's length depends on it. */
export function nextIdentity(): FileIdentity {
  made += 1;
  return { inode: String(made).padStart(12, '0') };
}
