import type { ConfigurationFile } from '../configuration/configuration-file.js';

/** The data directory is that of a node of the other kind; the message says what to do. */
export class WrongRoleError extends Error {
  override readonly name = 'WrongRoleError';
}

/** Throws `WrongRoleError` where a member is to start as a replica, or a replica as a member. */
export function assertRole({ stored }: Pick<ConfigurationFile, 'stored'>, replica: boolean): void {
  const was = stored?.replica === true;
  if (stored === undefined || was === replica) return;
  throw new WrongRoleError(
    was
      ? 'the data directory is a replica’s, which takes no part in any quorum: start it with --replica, or give a new ' +
          'member another one'
      : 'the data directory is a member’s: start it without --replica, or give the replica another one',
  );
}
