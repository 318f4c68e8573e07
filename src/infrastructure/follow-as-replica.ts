import { crc32c } from '../adapters/checksum/crc32c.js';
import { GrpcReplicaUplink, type PeerEndpoint } from '../adapters/peer/index.js';
import { Cluster } from '../application/cluster.js';
import { clusterIdInWords } from '../application/member-names.js';
import { CommitLog } from '../application/commit-log.js';
import { CommitLogService } from '../application/commit-log-service.js';
import { type ConfigurationFile, CorruptConfigurationError } from '../application/configuration-file.js';
import type { Discovery } from '../application/discovery.js';
import type { DiskReserve } from '../application/disk-reserve.js';
import type { ClusterGate, CommitLogGate } from '../application/gates.js';
import { watchDamage } from '../application/log-repair-watch.js';
import { Clock } from '../application/ports/clock.js';
import { DataDirectory } from '../application/ports/data-directory.js';
import { Logger } from '../application/ports/logger.js';
import type { Contact } from '../application/ports/replica-uplink.js';
import { ReplicaCluster } from '../application/replica-cluster.js';
import { askForCluster } from '../application/replica-introduction.js';
import { Replica } from '../application/replica.js';
import type { HardStateFile } from '../domain/log/hard-state.js';
import type { Log } from '../domain/log/log.js';
import type { Beginning, Taken } from './beginning.js';
import { Config, retentionOf } from './config.js';
import { OnFatal } from './node.js';
import type { NodeSecurity } from './node-security.js';
import { NodeDiskReserve, NodeHardState, NodeLog, NodePeers, Security } from './tokens.js';

/**
 * `takePart` of a node that is no member: it learns from the first source whose log to keep, and follows the cluster from
 * then on. What it opens goes to `opened`, for the caller to close where this rejects.
 */
export async function followAsReplica(beginning: Beginning): Promise<Taken> {
  const { container, self, configuration, discovery, signal, opened } = beginning;
  const config = container.get<Config>(Config);
  const logger = container.get<Logger>(Logger);
  const clock = container.get<Clock>(Clock);
  const directory = await container.getAsync<DataDirectory>(DataDirectory);
  const endpoint = await container.getAsync<PeerEndpoint>(NodePeers);
  const { credentials } = (await container.getAsync<NodeSecurity>(Security)).tls;
  const uplinkFor = (logId: Uint8Array): GrpcReplicaUplink =>
    new GrpcReplicaUplink({ seal: { crc32c, logId }, self, credentials, clock, random: Math.random, logger });

  const hardState = await container.getAsync<HardStateFile>(NodeHardState);
  opened.push(hardState);
  const sources = (): readonly Contact[] => knownMembers(configuration, discovery);
  if (configuration.kept === undefined) {
    if (hardState.current.term > 0) throw new CorruptConfigurationError('is missing');
    const uplink = uplinkFor(new Uint8Array(0));
    const { clusterId, members } = await askForCluster({ uplink, sources, clock, logger, signal });
    await directory.adoptLogId(clusterId);
    await configuration.write({ id: 0, contacts: members, history: [], replica: true });
    discovery.enter(clusterIdInWords(clusterId));
    logger.info({ members: members.map(({ name }) => name) }, 'is a replica of this cluster from now on');
  }
  signal.throwIfAborted();
  const log = await container.getAsync<Log>(NodeLog);
  opened.push(log);
  const diskReserve = await container.getAsync<DiskReserve>(NodeDiskReserve);
  opened.push(diskReserve);
  const onFatal = container.get<OnFatal>(OnFatal);
  const clusterId = directory.logId;
  const uplink = uplinkFor(clusterId);
  const replica = await Replica.start({
    ...{ log, hardState, configuration, clusterId, sources, uplink, diskReserve, clock, logger, onFatal },
    retention: retentionOf(config),
    random: (n) => Math.floor(Math.random() * n),
  });
  const cluster = new ReplicaCluster({ replica, uplink, log, self, clusterId });
  endpoint.setDesk(cluster);
  container.get<CommitLogGate>(CommitLog).open(new CommitLogService(replica, log));
  container.get<ClusterGate>(Cluster).open(cluster);
  const close = watchDamage({ log, configuration, id: 0, clock, logger, onFatal });
  return { hardState, log, consensus: replica, close };
}

/** Those that it was told of by the last source, and those that gossip knows. */
function knownMembers({ kept }: ConfigurationFile, discovery: Discovery): readonly Contact[] {
  const contacts: readonly Contact[] = kept?.contacts ?? [];
  const others = discovery.nodes().filter((node) => contacts.every(({ rpcAddr }) => rpcAddr !== node.rpcAddr));
  return [...contacts, ...others.map(({ name, rpcAddr }) => ({ name, rpcAddr }))];
}
