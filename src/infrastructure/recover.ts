import { crc32c } from '../adapters/checksum/crc32c.js';
import { systemClock } from '../adapters/clock/system-clock.js';
import { openDataDirectory } from '../adapters/file-system/data-directory.js';
import { ConfigurationFile } from '../application/configuration/configuration-file.js';
import {
  planRecovery,
  type RecoveryPlan,
  recoverHistory,
  recoveryFileName,
} from '../application/repair/recover-history.js';
import { HardStateFile } from '../domain/log/hard-state-file.js';
import { Log } from '../domain/log/log.js';

export type { RecoveryPlan } from '../application/repair/recover-history.js';

/**
 * Begins the next generation of the log in a member's data directory, which no node has open, once `confirm` has
 * returned for the plan; see `recoverHistory`. Resolves with the path of the file that says what was done.
 */
export async function recover(path: string, confirm: (plan: RecoveryPlan) => Promise<void>): Promise<string> {
  const directory = await openDataDirectory(path, { create: false });
  const opened: { close(): Promise<void> }[] = [directory];
  try {
    const { raft, logId, nodeId: uuid } = directory;
    const configuration = await ConfigurationFile.open(raft, crc32c);
    const hardState = await HardStateFile.open(raft, crc32c);
    opened.push(hardState);
    const checksum = { crc32c, logId };
    const log = await Log.open(directory.log, { ...checksum, durableIndex: hardState.current.commit });
    opened.push(log);
    const parts = { raft, log, hardState, configuration, uuid, checksum };
    const plan = await planRecovery(parts);
    await confirm(plan);
    await recoverHistory(parts, plan, systemClock.wallClockMs());
    return `${raft.path}/${recoveryFileName(plan.generation)}`;
  } finally {
    for (const each of opened.reverse()) await each.close();
  }
}
