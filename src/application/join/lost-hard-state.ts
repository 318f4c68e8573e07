import type { HardStateFile } from '../../domain/log/hard-state-file.js';
import type { Log } from '../../domain/log/log.js';
import { isOnlyVoter } from '../configuration/configuration.js';
import type { ConfigurationFile } from '../configuration/configuration-file.js';

export interface LostHardStateOptions {
  readonly hardState: HardStateFile;
  readonly configuration: ConfigurationFile;
  readonly log: Pick<Log, 'lastIndex' | 'lastTerm' | 'quarantined'>;
}

/**
 * Decides what becomes of a node that does not know how it voted. The only voter has voted for no other node, and has
 * committed what it stores. Any other node is amnesiac: it joins again under a new Raft id, which has not voted yet.
 */
export async function settleLostHardState({ hardState, configuration, log }: LostHardStateOptions): Promise<void> {
  if (hardState.loss === undefined) return;
  if (!isOnlyVoter(configuration.current, configuration.stored?.id ?? 0)) {
    await configuration.noteAmnesia();
    return;
  }
  const { current } = hardState;
  const commit = log.quarantined.length > 0 ? current.commit : log.lastIndex;
  await hardState.save({ ...current, term: log.lastTerm, commit }, configuration.current.index);
  await hardState.acceptLoss();
}
