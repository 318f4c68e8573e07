import { writeDurably } from '../../domain/log/durable-file.js';
import type { Directory } from '../../domain/log/directory.js';
import type { HardStateFile } from '../../domain/log/hard-state-file.js';
import type { Log } from '../../domain/log/log.js';
import { type EpochMs, toIndex, toTerm } from '../../domain/log/offsets.js';
import { type BatchChecksum, sealBatch } from '../../domain/log/record-batch.js';
import { type ConfChangeV2, confChangeV2, encodeConfChange } from '../../domain/raft/conf-change.js';
import type { Entry } from '../../domain/raft/entry.js';
import { confStateAfter } from '../../domain/raft/membership.js';
import { featureLevelKnown } from '../configuration/cluster-settings.js';
import { configurationAfter } from '../configuration/apply-change.js';
import type { ChangeContext, Configuration } from '../configuration/configuration.js';
import type { ConfigurationFile } from '../configuration/configuration-file.js';
import { encodeChangeContext } from '../configuration/configuration-json.js';
import { batchContentOf, entryOfBatch } from '../raft/batch-entry.js';
import { isDamaged } from './damaged-node.js';

const readBytes = 4 << 20;
/**
 * The terms between the last that this node knows and the first of the new generation: the lost members may have led in
 * some of them, and an index and a term must never stand for two entries.
 */
const termsSkipped = 1_024;

/** The directory cannot be recovered from; the message says why. Nothing was changed. */
export class RecoveryRefusedError extends Error {
  override readonly name = 'RecoveryRefusedError';
}

/** The open parts of the data directory of a member that does not run. */
export interface RecoveredParts {
  readonly raft: Directory;
  readonly log: Log;
  readonly hardState: HardStateFile;
  readonly configuration: ConfigurationFile;
  /** UUID of the data directory. */
  readonly uuid: string;
  readonly checksum: BatchChecksum;
}

/** What a recovery does: for the operator, and for the file that it leaves. */
export interface RecoveryPlan {
  /** The generation that it begins. */
  readonly generation: number;
  readonly name: string;
  readonly previousId: number;
  /** The Raft id of the only voter of the new generation. */
  readonly memberId: number;
  /** The members that are no longer members after it. */
  readonly removed: readonly { readonly name: string; readonly rpcAddr: string }[];
  /** The last entry that this node knows to be committed. */
  readonly commitIndex: number;
  /** The last entry that it stores. All are kept. */
  readonly lastIndex: number;
  readonly startOffset: number;
  /** One past the last record that is kept. Records after it, if any, are lost. */
  readonly endOffset: number;
  /** A repair was in progress: entries below this index, which this node acknowledged, may be missing. */
  readonly lacksBelow?: number;
}

/** Returns what a recovery would do. Changes nothing. Rejects with `RecoveryRefusedError`. */
export async function planRecovery(parts: RecoveredParts): Promise<RecoveryPlan> {
  const { log, hardState, configuration, uuid } = parts;
  const { stored, current } = configuration;
  if (stored === undefined) throw new RecoveryRefusedError('the node of this data directory is in no cluster');
  if (stored.replica)
    throw new RecoveryRefusedError('the data directory belongs to a replica: choose that of a member');
  if (isDamaged(log))
    throw new RecoveryRefusedError(
      'the end of the log is damaged: recover another member, or see golog verify and docs/storage-format.md',
    );
  const after = await configurationAtEnd(parts);
  const known = [...after.members, ...current.members].find((member) => member.uuid === uuid);
  if (known === undefined)
    throw new RecoveryRefusedError('the node of this data directory is not a member: choose that of a member');
  const others = after.members.filter((member) => member.uuid !== uuid);
  return {
    generation: Math.max(configuration.generation, after.settings.generation ?? 0) + 1,
    name: known.name,
    previousId: stored.id,
    memberId: Math.max(after.lastId, stored.id) + 1,
    removed: others.map(({ name, rpcAddr }) => ({ name, rpcAddr })),
    commitIndex: hardState.current.commit,
    lastIndex: log.lastIndex,
    startOffset: log.startOffset,
    endOffset: log.endOffset,
    ...(stored.repairing && { lacksBelow: stored.repairing.until }),
  };
}

/**
 * Begins the next generation of the log, in which this member is the only one. Everything in the log stays and counts
 * as committed. The new configuration is appended to the log, so that every node that reads the log finds the same.
 *
 * If this is interrupted, the node does not start until a recovery has finished: its new id is noted first, under which
 * it has no vote, so that the old members could never be led by a half-finished recovery.
 */
export async function recoverHistory(parts: RecoveredParts, plan: RecoveryPlan, now: EpochMs): Promise<void> {
  const { raft, log, hardState, configuration, uuid, checksum } = parts;
  const { memberId, generation } = plan;
  const { stored } = configuration;
  if (stored === undefined) throw new RecoveryRefusedError('the node of this data directory is in no cluster');
  const term = toTerm(Math.max(hardState.current.term, log.lastTerm) + termsSkipped);
  const all = await configurationsInTail(parts);
  const before = all.at(-1) ?? configuration.current;
  const self = [...before.members, ...configuration.current.members].find((member) => member.uuid === uuid);
  const { history } = stored;
  await configuration.write({ id: memberId, contacts: [], history, generation, recovery: 'interrupted' });
  await hardState.save({ term, vote: 0, commit: hardState.current.commit });

  let latest = before;
  const append = async (change: ConfChangeV2, context: ChangeContext): Promise<void> => {
    const index = toIndex(log.lastIndex + 1);
    const content = batchContentOf(encodeConfChange({ ...change, context: encodeChangeContext(context) }));
    const position = { index, term, baseOffset: log.endOffset, recordCount: 0, appendTimeMs: now };
    const batch = sealBatch({ ...content, ...position }, checksum);
    await log.append([batch]);
    latest = after(latest, entryOfBatch(batch));
    all.push(latest);
  };
  if (latest.confState.votersOutgoing.length > 0) await append(confChangeV2({}), { members: [] });
  const settings = { ...latest.settings, featureLevel: featureLevelKnown, generation };
  const members = self === undefined ? [] : [{ id: memberId, name: self.name, uuid, rpcAddr: self.rpcAddr }];
  await append(confChangeV2({ changes: [{ type: 'add-node', nodeId: memberId }] }), { members, settings });
  const { voters, learners } = latest.confState;
  for (const nodeId of [...voters, ...learners])
    if (nodeId !== memberId)
      await append(confChangeV2({ changes: [{ type: 'remove-node', nodeId }] }), { members: [] });
  await log.sync();

  for (const each of all) await configuration.add(each, log.startIndex);
  await hardState.save({ term, vote: 0, commit: log.lastIndex });
  const report = new TextEncoder().encode(`${JSON.stringify({ ...plan, at: new Date(now).toISOString() }, null, 2)}\n`);
  await writeDurably(raft, recoveryFileName(generation), [report]);
  const { recovery: _, ...rest } = configuration.stored ?? stored;
  await configuration.write({ ...rest, recovery: 'finished' });
}

/** The file in the folder `raft` that says what the recovery did which began this generation. */
export function recoveryFileName(generation: number): string {
  return `recovered-${generation}.json`;
}

async function configurationAtEnd(parts: RecoveredParts): Promise<Configuration> {
  return (await configurationsInTail(parts)).at(-1) ?? parts.configuration.current;
}

/** Returns the configurations of the changes in the log that are not in the stored file: they are not known to be committed. */
async function configurationsInTail({ log, hardState, configuration }: RecoveredParts): Promise<Configuration[]> {
  const found: Configuration[] = [];
  let latest = configuration.current;
  let next = Math.max(latest.index, hardState.current.commit, log.startIndex - 1) + 1;
  while (next <= log.lastIndex) {
    const batches = await log.readEntries(toIndex(next), { until: toIndex(log.lastIndex + 1), bytesMax: readBytes });
    for (const batch of batches) {
      const entry = entryOfBatch(batch);
      next = entry.index + 1;
      if (entry.type === 'normal') continue;
      latest = after(latest, entry);
      found.push(latest);
    }
  }
  return found;
}

function after(before: Configuration, entry: Entry): Configuration {
  return configurationAfter(before, entry, (change) => confStateAfter(before.confState, change));
}
