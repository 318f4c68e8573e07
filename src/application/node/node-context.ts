import { HardStateFile } from '../../domain/log/hard-state-file.js';
import { Log } from '../../domain/log/log.js';
import { describeClusterId } from '../configuration/member-names.js';
import { featureLevelKnown } from '../configuration/cluster-settings.js';
import { ConfigurationBase } from '../configuration/configuration-base.js';
import {
  ConfigurationFile,
  CorruptConfigurationError,
  InterruptedRecoveryError,
} from '../configuration/configuration-file.js';
import { Discovery } from '../join/discovery.js';
import { DiskReserve } from '../storage/disk-reserve.js';
import type { DataDirectory } from '../ports/data-directory.js';
import { assertRole } from '../replica/replica-role.js';
import type { Closeable } from './in-order.js';
import { logNotice } from './log-notices.js';
import type { NodeDependencies, PeerService } from './node-dependencies.js';

/** What a node has before it is in its cluster: the state on its disk, and discovery of the other nodes. */
export interface NodeContext {
  readonly self: { readonly name: string; readonly uuid: string; readonly rpcAddr: string };
  readonly configuration: ConfigurationFile;
  readonly hardState: HardStateFile;
  readonly discovery: Discovery;
  /** Everything that is opened is added here, to be closed if the start fails. */
  readonly opened: Closeable[];
}

/** The log of a node that is in a cluster, and the guard of its disk space. */
export interface NodeStorage {
  readonly log: Log;
  readonly configurationBase: ConfigurationBase;
  readonly diskReserve: DiskReserve;
}

/** Opens everything but the log. Rejects with `WrongRoleError` if the data directory belongs to the other role. */
export async function openContext(
  deps: NodeDependencies,
  role: 'node' | 'replica',
  opened: Closeable[],
): Promise<NodeContext> {
  const { settings, directory, gossip, crc32c, clock, logger, onFatal } = deps;
  const { name, rpcAddr, httpAddr, version, startJoinAddrs } = settings;
  const uuid = directory.nodeId;
  const configuration = await ConfigurationFile.open(directory.raft, crc32c);
  assertRole(configuration, role === 'replica');
  if (configuration.stored?.recovery === 'interrupted') throw new InterruptedRecoveryError();
  if (configuration.current.members.length > 1) deps.assertPeersProve?.();

  // A member is in its cluster from its first moment on, even if that has no leader.
  if (configuration.stored !== undefined) answerAsMember(deps.peerService, directory.logId);
  opened.push(gossip);
  const clusterId = configuration.stored === undefined ? {} : { clusterId: describeClusterId(directory.logId) };
  const tags = { role, uuid, rpcAddr, httpAddr, version, featureLevel: featureLevelKnown, ...clusterId };
  const discovery = await Discovery.start({ gossip, startJoinAddrs, tags, clock, logger, onFailure: onFatal });
  opened.push(discovery);

  const isNew = configuration.stored === undefined || !(await holdsLog(directory));
  const hardState = await HardStateFile.open(directory.raft, crc32c, { isNew });
  opened.push(hardState);
  const { damage, loss } = hardState;
  if (loss !== undefined)
    logger.error('hard_state_lost', { loss, reason: damage }, 'the hard state was lost, and with it the term and vote');
  else if (damage !== undefined)
    logger.warn('hard_state_slot_corrupt', { reason: damage }, 'one of the two hard-state slots is corrupt');
  return { self: { name, uuid, rpcAddr }, configuration, hardState, discovery, opened };
}

/**
 * Rejects with `CorruptConfigurationError` if a node without a configuration was in a cluster: with that log it must not
 * bootstrap or join another one.
 */
export async function assertNeverInCluster(
  { directory }: Pick<NodeDependencies, 'directory'>,
  { hardState }: Pick<NodeContext, 'hardState'>,
): Promise<void> {
  if (hardState.current.term > 0 || hardState.loss !== undefined || (await holdsLog(directory)))
    throw new CorruptConfigurationError('is missing');
}

/** Whether a log was created in the directory, which happens once the node is in a cluster. */
async function holdsLog({ log }: Pick<DataDirectory, 'log'>): Promise<boolean> {
  return (await log.list()).length > 0;
}

/** Until the node has started, has it say to those that ask it that it is in a cluster. */
export function answerAsMember(peerService: Pick<PeerService, 'setJoinHandler'>, clusterId: Uint8Array): void {
  const answer = { kind: 'retry', reason: 'this node is starting', clusterId } as const;
  peerService.setJoinHandler({ admit: () => Promise.resolve(answer) });
}

/** Opens the log of the node's cluster and checks the free disk space. */
export async function openStorage(deps: NodeDependencies, context: NodeContext): Promise<NodeStorage> {
  const { settings, directory, crc32c, logger } = deps;
  const { openLog = (folder, options) => Log.open(folder, options) } = deps;
  const { segmentBytesMax } = settings;
  const { hardState, opened } = context;
  const log = await openLog(directory.log, {
    logId: directory.logId,
    crc32c,
    ...(segmentBytesMax !== undefined && { segmentBytesMax }),
    durableIndex: hardState.current.commit,
    onNotice: (notice) => logNotice(logger, notice),
  });
  opened.push(log);
  const configurationBase = await ConfigurationBase.open(directory.log, crc32c);
  const diskReserve = await openDiskReserve(deps);
  opened.push(diskReserve);
  return { log, configurationBase, diskReserve };
}

/** Checks the free disk space. */
export function openDiskReserve({ settings, directory, clock, logger }: NodeDependencies): Promise<DiskReserve> {
  return DiskReserve.open(directory.log, settings.diskReserveBytes, clock, (cause) =>
    logger.warn('disk_space_unknown', { error: cause }, 'could not read the free disk space'),
  );
}
