import { HardStateFile } from '../../domain/log/hard-state-file.js';
import { Log } from '../../domain/log/log.js';
import { describeClusterId } from '../configuration/member-names.js';
import { featureLevelKnown } from '../configuration/cluster-settings.js';
import { ConfigurationFile, InterruptedRecoveryError } from '../configuration/configuration-file.js';
import { Discovery } from '../join/discovery.js';
import { DiskReserve } from '../storage/disk-reserve.js';
import { assertRole } from '../replica/replica-role.js';
import type { Closeable } from './in-order.js';
import { logNotice } from './log-notices.js';
import type { NodeDependencies } from './node-dependencies.js';

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

  opened.push(gossip);
  const clusterId = configuration.stored === undefined ? {} : { clusterId: describeClusterId(directory.logId) };
  const tags = { role, uuid, rpcAddr, httpAddr, version, featureLevel: featureLevelKnown, ...clusterId };
  const discovery = await Discovery.start({ gossip, startJoinAddrs, tags, clock, logger, onFailure: onFatal });
  opened.push(discovery);

  const hardState = await HardStateFile.open(directory.raft, crc32c);
  opened.push(hardState);
  const { damage } = hardState;
  if (damage !== undefined)
    logger.warn('hard_state_slot_corrupt', { reason: damage }, 'one of the two hard-state slots is corrupt');
  return { self: { name, uuid, rpcAddr }, configuration, hardState, discovery, opened };
}

/** Opens the log of the node's cluster and checks the free disk space. */
export async function openStorage(deps: NodeDependencies, context: NodeContext): Promise<NodeStorage> {
  const { settings, directory, crc32c, clock, logger } = deps;
  const { openLog = (folder, options) => Log.open(folder, options) } = deps;
  const { segmentBytesMax, diskReserveBytes } = settings;
  const { hardState, opened } = context;
  const log = await openLog(directory.log, {
    logId: directory.logId,
    crc32c,
    ...(segmentBytesMax !== undefined && { segmentBytesMax }),
    durableIndex: hardState.current.commit,
    onNotice: (notice) => logNotice(logger, notice),
  });
  opened.push(log);
  const diskReserve = await DiskReserve.open(directory.log, diskReserveBytes, clock, (cause) =>
    logger.warn('disk_space_unknown', { error: cause }, 'could not read the free disk space'),
  );
  opened.push(diskReserve);
  return { log, diskReserve };
}
