import type { LogNotice } from '../../domain/log/recovery.js';
import type { LogEvent } from '../ports/log-events.js';
import type { Logger } from '../ports/logger.js';

const lines: Record<LogNotice['kind'], readonly [event: LogEvent<'warn'>, message: string]> = {
  'damage found by a read': ['log_damage_found', 'a read found damaged entries'],
  'header damaged': ['log_damage_found', 'the header of a segment is damaged'],
  'index rebuilt': ['log_index_rebuilt', 'rebuilt an index file'],
  'leftover removed': ['log_leftover_removed', 'removed a file that a crash left behind'],
  'log start unknown': ['log_start_damaged', 'took the log start from its copy or from the segments'],
  quarantined: ['log_segment_quarantined', 'a range of a segment is damaged and is not served'],
  'retention waits for space': ['log_retention_stalled', 'no disk space to remove old segments; will retry'],
  'torn tail cut': ['log_torn_tail_cut', 'cut the incomplete end of the log'],
};

/** Logs what the log found or mended by itself. */
export function logNotice(logger: Logger, notice: LogNotice): void {
  const { kind, ...fields } = notice;
  const [event, message] = lines[kind];
  logger.warn(event, fields, message);
}
