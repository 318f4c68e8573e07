import { removeIfThere } from '../../domain/log/durable-file.js';
import { MissingLogError } from '../../domain/log/errors.js';
import { logStartFileName, syncedIndexFileName } from '../../domain/log/file-names.js';
import { toIndex } from '../../domain/log/offsets.js';
import { isOnlyVoter } from '../configuration/configuration.js';
import { type NodeContext, type NodeStorage, openStorage } from './node-context.js';
import type { MemberDependencies } from './node-dependencies.js';

/**
 * Opens the log of a member. If all of its segments are missing and the cluster has other voters, the member is amnesiac
 * from then on, with an empty log. Each step is durable before the next, so that a start after a crash does the rest.
 * Without other voters nothing can replace the log: rejects with `MissingLogError`.
 */
export async function openMemberStorage(deps: MemberDependencies, context: NodeContext): Promise<NodeStorage> {
  try {
    return await openStorage(deps, context);
  } catch (error) {
    if (!(error instanceof MissingLogError) || !hasOtherVoters(context)) throw error;
    await beginEmptyLog(deps, context, error);
    return openStorage(deps, context);
  }
}

function hasOtherVoters({ configuration: { stored, current } }: NodeContext): boolean {
  return stored !== undefined && current.confState.voters.length > 0 && !isOnlyVoter(current, stored.id);
}

async function beginEmptyLog(
  { directory, logger }: MemberDependencies,
  { configuration, hardState }: NodeContext,
  { durableIndex }: MissingLogError,
): Promise<void> {
  logger.error(
    'log_missing',
    { durableIndex },
    'all segments of the log are missing; this node joins again under a new Raft id, with an empty log',
  );
  await configuration.noteAmnesia();
  for (const name of [syncedIndexFileName, logStartFileName]) await removeIfThere(directory.log, name);
  await directory.log.sync();
  await hardState.save({ ...hardState.current, commit: toIndex(0) });
}
