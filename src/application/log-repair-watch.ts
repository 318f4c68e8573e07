import { isNoSpaceError } from '../domain/log/directory.js';
import type { Log } from '../domain/log/log.js';
import type { ConfigurationFile } from './configuration-file.js';
import { repairersOf } from './log-repair-peers.js';
import type { Clock } from './ports/clock.js';
import type { Logger } from './ports/logger.js';
import { repeat } from './repeat.js';

const lookEveryMs = 1_000;

export interface DamageWatchOptions {
  readonly log: Pick<Log, 'quarantined'>;
  readonly configuration: ConfigurationFile;
  readonly id: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onFatal: (error: unknown) => void;
}

/** Notes damage that readers find while the node is a member, so that its next start repairs it. Returns how to stop. */
export function watchDamage(options: DamageWatchOptions): () => Promise<void> {
  const { log, configuration, id, clock, logger, onFatal } = options;
  const look = async (): Promise<void> => {
    const from = Math.min(...log.quarantined.map(({ fromIndex }) => fromIndex));
    const known = configuration.kept?.damagedFrom ?? Infinity;
    if (from >= known || repairersOf(configuration, id).length === 0) return;
    try {
      await configuration.noteDamage({ damagedFrom: from });
    } catch (error) {
      if (!isNoSpaceError(error)) throw error;
      return;
    }
    logger.error({ damagedFrom: from }, 'stored entries are damaged: restart this node to repair them from its peers');
  };
  return repeat(clock, lookEveryMs, look, onFatal);
}
