import type { NodeContext, NodeStorage } from './node-context.js';
import type { NodeDependencies } from './node-dependencies.js';
import { toIndex } from '../../domain/log/offsets.js';

/**
 * Sets the log of a node aside, because the cluster has a later generation: nothing of it is removed. The log is then
 * closed. Each step is durable before the next; `superseded` in the stored configuration has a start after a crash do
 * all of them again.
 */
export async function setLogAside(
  { directory, logger }: NodeDependencies,
  { hardState }: NodeContext,
  { log, diskReserve }: NodeStorage,
  generation: number,
): Promise<void> {
  const { startOffset, endOffset, lastIndex, startIndex } = log;
  await log.close();
  diskReserve.close();
  // An empty log must not be taken for one that was lost.
  await hardState.save({ ...hardState.current, commit: toIndex(0) });
  // A crash may have interrupted this before: an empty log is not worth a directory.
  if (lastIndex < startIndex) return;
  const path = await directory.setLogAside(`before-generation-${generation}`);
  logger.warn(
    'log_set_aside',
    { audit: 'recover', generation, startOffset, endOffset, lastIndex, path },
    'the cluster was recovered without this node; its log was set aside, and it joins again with an empty one',
  );
}
