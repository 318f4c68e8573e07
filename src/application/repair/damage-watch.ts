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
 * Notes damage that is found while the node is a member, so that its next start knows of it, and removes the note once
 * nothing is damaged. If the damage prevents appends, the node must end: as a leader it would refuse every append and
 * keep leading, and its next start repairs the end of the log. Returns a function that stops the watch.
 */
export function watchDamage(options: DamageWatchOptions): () => Promise<void> {
  const { log, configuration, id, clock, onFatal } = options;
  const look = async (): Promise<void> => {
    if (repairersOf(configuration, id).length === 0) return;
    await note(options);
    if (log.quarantined.length > 0) log.assertAppendable();
  };
  return repeat(clock, lookEveryMs, look, onFatal);
}

async function note({ log, configuration, logger }: DamageWatchOptions): Promise<void> {
  const from = Math.min(...log.quarantined.map(({ fromIndex }) => fromIndex));
  const noted = configuration.stored?.damagedFrom ?? Infinity;
  if (from === noted) return;
  try {
    await configuration.noteDamage(from === Infinity ? {} : { damagedFrom: from });
  } catch (error) {
    if (!isNoSpaceError(error)) throw error;
    return;
  }
  if (from < noted)
    logger.error(
      'stored_entries_damaged',
      { fromIndex: from },
      'stored entries are damaged; repairing them from the peers',
    );
}
