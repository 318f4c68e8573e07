import { CorruptRangeError, InvalidInputError } from '../../domain/log/errors.js';
import type { HardStateFile } from '../../domain/log/hard-state-file.js';
import type { Log } from '../../domain/log/log.js';
import { toIndex } from '../../domain/log/offsets.js';
import { BatchKind, type RecordBatch } from '../../domain/log/record-batch.js';
import { InvalidConfChangeError } from '../../domain/raft/conf-changer.js';
import { confStateAfter } from '../../domain/raft/membership.js';
import type { Logger } from '../ports/logger.js';
import { entryOfBatch } from '../raft/batch-entry.js';
import { configurationAfter } from '../configuration/apply-change.js';
import { isOnlyVoter } from '../configuration/configuration.js';
import type { ConfigurationBase } from '../configuration/configuration-base.js';
import type { ConfigurationFile } from '../configuration/configuration-file.js';

const readBytes = 4 * 1024 * 1024;

/** The configuration file is older than the log, and the log cannot bring it up to date: the node does not start. */
export class OutdatedConfigurationError extends Error {
  override readonly name = 'OutdatedConfigurationError';
  constructor(
    /** The index of the configuration in the file. */
    readonly stored: number,
    reason: string,
  ) {
    super(
      `raft/snapshot is out of date: it holds the cluster configuration as of entry ${stored}, and ${reason}; ` +
        'this node does not know its cluster. If the other members have a quorum, move the data directory aside and ' +
        'start with an empty one: the node then joins as a new member',
    );
  }
}

export interface LoggedConfigurationsOptions {
  readonly configuration: ConfigurationFile;
  readonly hardState: Pick<HardStateFile, 'current' | 'configuration' | 'loss'>;
  readonly log: Pick<Log, 'startIndex' | 'lastIndex' | 'readEntries'>;
  readonly configurationBase: Pick<ConfigurationBase, 'index'>;
  readonly self: { readonly uuid: string };
  readonly logger: Logger;
}

/**
 * Applies the committed configuration entries of the log that the stored configuration does not have, because the file
 * is an older copy. The hard state names the newest one. A group of one has also committed all that it stores, up to the
 * entry that makes it larger.
 *
 * Where such a node finds that the cluster admitted it under a later Raft id than the file names, it has forgotten what
 * it promised under that id, and is amnesiac.
 *
 * @param state `'whole'`: what is missing must be in the log; `'damaged'`: a later call may apply the rest, after a repair
 * @throws OutdatedConfigurationError if the log does not have what is missing
 */
export async function applyLoggedConfigurations(
  options: LoggedConfigurationsOptions,
  state: 'whole' | 'damaged',
): Promise<void> {
  const { configuration, logger } = options;
  if (configuration.stored === undefined || configuration.stored.replica) return;
  assertBase(options);
  const { index: stored } = configuration.current;
  try {
    await applyFrom(firstToRead(options), options);
    if (state === 'whole') assertCurrent(options);
  } catch (error) {
    if (error instanceof CorruptRangeError && state === 'damaged') return;
    throw explained(error, configuration);
  } finally {
    const { index, members } = configuration.current;
    if (index > stored)
      logger.warn(
        'configuration_outdated',
        { storedIndex: stored, index, members: members.map(({ name }) => name) },
        'the stored cluster configuration was older than the log; applied the configuration entries of the log',
      );
  }
}

/** Asserts that the file has the configuration in force at the log start, which no entry of the log can tell. */
function assertBase({ configuration, configurationBase, log }: LoggedConfigurationsOptions): void {
  const { startIndex } = log;
  const { index: needed } = configurationBase;
  // A crash may have come between this note and the reset of the log.
  if (needed >= startIndex) return;
  const { index } = configuration.at(startIndex - 1);
  if (index < needed)
    throw new OutdatedConfigurationError(
      index,
      `the log starts at entry ${startIndex}, where that of entry ${needed} or a later one is in force`,
    );
}

/** A node that is not a voter may learn from a leader what its log has lost. */
function assertCurrent({ configuration, hardState, log }: LoggedConfigurationsOptions): void {
  const { index, confState } = configuration.current;
  const newest = hardState.configuration;
  const votes = [...confState.voters, ...confState.votersOutgoing].includes(configuration.stored?.id ?? 0);
  if (index >= newest || (newest > log.lastIndex && !votes)) return;
  throw new OutdatedConfigurationError(index, `that of entry ${newest} is committed, but the log does not have it`);
}

/** Returns the first entry that may hold a configuration that is committed and not stored. */
function firstToRead({ configuration, hardState, log }: LoggedConfigurationsOptions): number {
  const next = configuration.current.index + 1;
  const isOutdated = hardState.configuration >= next;
  if (isOutdated && log.startIndex > next)
    throw new OutdatedConfigurationError(
      next - 1,
      `that of entry ${hardState.configuration} is committed, but the log no longer has the entries from ${next} to ` +
        String(log.startIndex - 1),
    );
  // Without the hard state it is not known which configuration is the newest.
  const from = isOutdated || hardState.loss !== undefined ? next : Math.max(next, hardState.current.commit + 1);
  return Math.max(from, log.startIndex);
}

async function applyFrom(first: number, options: LoggedConfigurationsOptions): Promise<void> {
  const { configuration, hardState, log } = options;
  const isCommitted = (index: number): boolean =>
    index <= hardState.configuration || isOnlyVoter(configuration.current, configuration.stored?.id ?? 0);
  for (let next = first; next <= log.lastIndex && isCommitted(next);) {
    const until = toIndex(log.lastIndex + 1);
    const batches = await log.readEntries(toIndex(next), { until, bytesMax: readBytes });
    for (const batch of batches) {
      if (!isCommitted(batch.index)) return;
      if (batch.kind === BatchKind.configuration) await apply(batch, options);
    }
    next += batches.length;
  }
}

async function apply(batch: RecordBatch, { configuration, log, self }: LoggedConfigurationsOptions): Promise<void> {
  const { current } = configuration;
  const next = configurationAfter(current, entryOfBatch(batch), (change) => confStateAfter(current.confState, change));
  await configuration.add(next, log.startIndex);
  const { stored } = configuration;
  const own = next.members.findLast(({ uuid }) => uuid === self.uuid);
  if (stored === undefined || own === undefined || own.id <= stored.id) return;
  await configuration.write({ ...stored, id: own.id, amnesiac: true });
}

function explained(error: unknown, { current: { index: stored } }: ConfigurationFile): unknown {
  if (error instanceof CorruptRangeError)
    return new OutdatedConfigurationError(stored, `the log is damaged where later ones may be: ${error.message}`);
  if (error instanceof InvalidConfChangeError || error instanceof InvalidInputError)
    return new OutdatedConfigurationError(stored, `the log contradicts it: ${error.message}`);
  return error;
}
