import { isNoSpaceError } from '../../domain/log/directory.js';
import type { Log } from '../../domain/log/log.js';
import type { ConfigurationFile } from '../configuration/configuration-file.js';
import { repairersOf } from './repair-peers.js';
import type { Clock } from '../ports/clock.js';
import type { Logger } from '../ports/logger.js';
import { repeat } from '../waiting/repeat.js';

const lookEveryMs = 1_000;

export interface DamageWatchOptions {
  readonly log: Pick<Log, 'quarantined' | 'assertAppendable'>;
  readonly configuration: ConfigurationFile;
  readonly id: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onFatal: (error: unknown) => void;
}

/**
 * Notes damage that readers find while the node is a member, so that its next start repairs it. If the damage prevents
 * appends, the node must end: as a leader it would refuse every append and keep leading. Returns a function that stops
 * the watch.
 */
export function watchDamage(options: DamageWatchOptions): () => Promise<void> {
  const { log, configuration, id, clock, onFatal } = options;
  const look = async (): Promise<void> => {
    if (log.quarantined.length === 0 || repairersOf(configuration, id).length === 0) return;
    await note(options);
    log.assertAppendable();
  };
  return repeat(clock, lookEveryMs, look, onFatal);
}

async function note({ log, configuration, logger }: DamageWatchOptions): Promise<void> {
  const from = Math.min(...log.quarantined.map(({ fromIndex }) => fromIndex));
  if (from >= (configuration.stored?.damagedFrom ?? Infinity)) return;
  try {
    await configuration.noteDamage({ damagedFrom: from });
  } catch (error) {
    if (!isNoSpaceError(error)) throw error;
    return;
  }
  logger.error(
    'stored_entries_damaged',
    { fromIndex: from },
    'stored entries are damaged; restart this node to repair them from its peers',
  );
}
