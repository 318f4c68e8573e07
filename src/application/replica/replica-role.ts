import type { ConfigurationFile } from '../configuration/configuration-file.js';

/** The data directory belongs to a node of the other role; the message says what to do. */
export class WrongRoleError extends Error {
  override readonly name = 'WrongRoleError';
}

/** Throws `WrongRoleError` if a member is to start as a replica, or a replica as a member. */
export function assertRole({ stored }: Pick<ConfigurationFile, 'stored'>, replica: boolean): void {
  const was = stored?.replica === true;
  if (stored === undefined || was === replica) return;
  throw new WrongRoleError(
    was
      ? 'the data directory belongs to a replica, which is in no quorum: start it with --replica, or give a new ' +
          'member another directory'
      : 'the data directory belongs to a member: start it without --replica, or give the replica another directory',
  );
}
