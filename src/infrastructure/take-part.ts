import type { Container } from 'inversify';
import { crc32c } from '../adapters/checksum/crc32c.js';
import { GrpcEntrySource, type PeerEndpoint } from '../adapters/peer/index.js';
import { Cluster } from '../application/cluster.js';
import { ClusterService } from '../application/cluster-service.js';
import { clusterStatusOf } from '../application/cluster-view.js';
import { clusterIdInWords } from '../application/member-names.js';
import { CommitLog } from '../application/commit-log.js';
import { CommitLogService } from '../application/commit-log-service.js';
import { firstConfiguration } from '../application/configuration.js';
import { ConfigurationFile, CorruptConfigurationError } from '../application/configuration-file.js';
import { DamagedNode, isDamaged } from '../application/damaged-log.js';
import { Discovery } from '../application/discovery.js';
import type { DiskReserve } from '../application/disk-reserve.js';
import type { ClusterGate, CommitLogGate } from '../application/gates.js';
import { joinCluster, type JoiningOptions } from '../application/joining.js';
import { leaveCluster } from '../application/leaving.js';
import { LogRepair } from '../application/log-repair.js';
import { CommittedEntries } from '../application/log-repair-desk.js';
import { watchDamage } from '../application/log-repair-watch.js';
import { Clock } from '../application/ports/clock.js';
import type { Consensus } from '../application/ports/consensus.js';
import { DataDirectory } from '../application/ports/data-directory.js';
import { Gossip } from '../application/ports/gossip.js';
import { JoinTransport, type Joiner } from '../application/ports/join-transport.js';
import type { EntrySource } from '../application/ports/entry-source.js';
import { Logger } from '../application/ports/logger.js';
import { PeerTransport } from '../application/ports/peer-transport.js';
import { RaftNode } from '../application/raft-node.js';
import { defaultTiming } from '../application/raft-options.js';
import { FollowedEntries } from '../application/replica-desk.js';
import { assertRole } from '../application/replica-role.js';
import { reconcile } from '../application/reconciliation.js';
import { rejoinCluster } from '../application/rejoining.js';
import type { HardStateFile } from '../domain/log/hard-state.js';
import type { Log } from '../domain/log/log.js';
import { advertisedAddr, Config, retentionOf } from './config.js';
import type { Beginning, Closeable, Taken } from './beginning.js';
import { followAsReplica } from './follow-as-replica.js';
import type { NodeSecurity } from './node-security.js';
import { packageVersion } from './package-version.js';
import { NodeDiskReserve, NodeHardState, NodeLog, NodePeers, Security } from './tokens.js';
import { type Listening, type Membership, OnFatal } from './node.js';

/** For the nodes that a bootstrapping one is given to say that they are in a cluster. */
const bootstrapLookMs = 2_000;

type Part = Pick<Taken, 'consensus' | 'close'>;

/**
 * Takes the node into its cluster: the one that its data directory knows, or the one that it joins, or a new one. Then
 * opens the gates that the listeners stand in front of. A member whose log is damaged serves what it can while the log
 * is repaired from its peers, and takes part after that. Where it rejects, what it opened is closed.
 */
export async function takePart(
  container: Container,
  { rpcPort, httpAddr }: Listening,
  signal: AbortSignal,
): Promise<Membership> {
  const config = container.get<Config>(Config);
  const logger = container.get<Logger>(Logger);
  const clock = container.get<Clock>(Clock);
  const directory = await container.getAsync<DataDirectory>(DataDirectory);
  const configuration = await ConfigurationFile.open(directory.raft, crc32c);
  assertRole(configuration, config.replica);
  const opened: Closeable[] = [];
  try {
    const gossip = await container.getAsync<Gossip>(Gossip);
    opened.push(gossip);
    const rpcAddr = advertisedAddr(config, rpcPort);
    const discovery = await Discovery.start({
      ...{ gossip, startJoinAddrs: config['start-join-addrs'], clock, logger },
      onFailure: container.get<OnFatal>(OnFatal),
      tags: {
        ...{ role: config.replica ? 'replica' : 'node', uuid: directory.nodeId, rpcAddr, httpAddr },
        version: packageVersion(),
        ...(configuration.kept !== undefined && { clusterId: clusterIdInWords(directory.logId) }),
      },
    });
    opened.push(discovery);
    const self = { name: config['node-name'], uuid: directory.nodeId, rpcAddr };
    const open = config.replica ? followAsReplica : openAndTakePart;
    const part = await open({ container, self, configuration, discovery, gossip, signal, opened });
    return {
      hardState: part.hardState,
      log: part.log,
      gossipAddr: discovery.addr,
      get consensus() {
        return part.consensus;
      },
      leave: async () => {
        if (!config.replica) await leave(container, self.name);
        await discovery.leave();
      },
      close: async () => {
        await part.close();
        await discovery.close();
      },
    };
  } catch (error) {
    await Promise.allSettled(opened.map(async (each) => each.close()));
    throw error;
  }
}

async function leave(container: Container, name: string): Promise<void> {
  try {
    await leaveCluster({ cluster: container.get<Cluster>(Cluster), name, clock: container.get<Clock>(Clock) });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const logger = container.get<Logger>(Logger);
    logger.warn({ reason }, 'this node stays a member for now: the leader takes it out when it can');
  }
}

async function openAndTakePart(beginning: Beginning): Promise<Taken> {
  const { container, self, configuration, discovery, gossip, signal, opened } = beginning;
  const config = container.get<Config>(Config);
  const logger = container.get<Logger>(Logger);
  const clock = container.get<Clock>(Clock);
  const directory = await container.getAsync<DataDirectory>(DataDirectory);
  const endpoint = await container.getAsync<PeerEndpoint>(NodePeers);
  const { credentials } = (await container.getAsync<NodeSecurity>(Security)).tls;
  const { rpcAddr } = self;
  const hardState = await container.getAsync<HardStateFile>(NodeHardState);
  opened.push(hardState);
  const onFatal = container.get<OnFatal>(OnFatal);
  /** The cluster knows this node by its name and address. */
  let isKnown = false;
  if (configuration.kept === undefined) {
    // It has voted, so it was in a cluster: on no account may it begin another one with that log.
    if (hardState.current.term > 0) throw new CorruptConfigurationError('is missing');
    await enterCluster();
    discovery.enter(clusterIdInWords(directory.logId));
    isKnown = true;
  } else if (hasOthers()) {
    isKnown = await rejoinCluster({ ...(await rejoining(signal)), kept: configuration.kept, configuration });
  }
  const id = configuration.kept?.id ?? 0;
  signal.throwIfAborted();
  const log = await container.getAsync<Log>(NodeLog);
  opened.push(log);

  const diskReserve = await container.getAsync<DiskReserve>(NodeDiskReserve);
  opened.push(diskReserve);
  const source: EntrySource = new GrpcEntrySource(
    { crc32c, logId: directory.logId },
    { id, rpcAddr, name: self.name },
    credentials,
  );
  const repair = await LogRepair.prepare({
    ...{ log, hardState, configuration, id, source, clock, logger, diskReserve },
  });
  signal.throwIfAborted();
  if (repair === undefined && !isDamaged(log)) return { hardState, log, ...(await startRaft()) };
  const damaged = new DamagedNode({
    ...{ log, configuration: configuration.current, id, self, clusterId: directory.logId },
    ...(repair && { repair }),
  });
  openGates(damaged, damaged);
  const stopping = new AbortController();
  let part: Part = { consensus: damaged, close: async () => diskReserve.close() };
  const repaired = repair === undefined ? Promise.resolve() : repairAndStart(repair).catch(onFailure);
  return {
    hardState,
    log,
    get consensus() {
      return part.consensus;
    },
    close: async () => {
      stopping.abort();
      await repaired;
      await part.close();
    },
  };

  async function repairAndStart(repair: LogRepair): Promise<void> {
    await repair.run(stopping.signal);
    part = await startRaft();
    await damaged.close();
  }

  function onFailure(error: unknown): void {
    if (!stopping.signal.aborted) onFatal(error);
  }

  function openGates(consensus: Consensus, cluster: Cluster): void {
    container.get<CommitLogGate>(CommitLog).open(new CommitLogService(consensus, log));
    container.get<ClusterGate>(Cluster).open(cluster);
  }

  async function startRaft(): Promise<Part> {
    const transport = await container.getAsync<PeerTransport>(PeerTransport);
    const node = await RaftNode.start({
      ...{ log, hardState, configuration, id, self, clock, transport, logger, onFatal, diskReserve },
      seal: { crc32c, logId: directory.logId },
      random: (n) => Math.floor(Math.random() * n),
      retention: retentionOf(config),
      timing: { ...defaultTiming, tickMs: config['tick-interval'] },
    });
    const cluster = new ClusterService({
      ...{ leadership: node.leadership, transport, clock, logger, self, gossip, clusterId: directory.logId },
    });
    endpoint.setDesk(cluster);
    endpoint.setEntries(new CommittedEntries({ node, log }));
    endpoint.setReplicas(new FollowedEntries({ node, log, id, clusterId: directory.logId, clock }));
    openGates(node, cluster);
    const stopWatching = watchDamage({ log, configuration, id, clock, logger, onFatal });
    const stopReconciling = reconcile({
      ...{ gossip, cluster, clock, logger, isLeader: () => node.leadership.isLeader },
      status: () => clusterStatusOf({ leadership: node.leadership, self, clusterId: directory.logId }),
      deadMemberTimeoutMs: config['dead-member-timeout'],
    });
    const moving = new AbortController();
    const moved = announceMove(moving.signal);
    const close = async (): Promise<void> => {
      moving.abort();
      await Promise.all([moved, cluster.close(), stopWatching(), stopReconciling()]);
    };
    return { consensus: node, close };
  }

  /** A node whose name or address has changed has the cluster know, as soon as there is a leader. */
  async function announceMove(stopped: AbortSignal): Promise<void> {
    const known = configuration.current.members.find((member) => member.id === id);
    const isAsBefore = known === undefined || (known.rpcAddr === rpcAddr && known.name === self.name);
    if (isKnown || (isAsBefore && !hasOthers())) return;
    try {
      const joined = await joinCluster(await rejoining(stopped));
      if (joined.kind === 'member' && joined.kept.id > id)
        logger.error(
          { id },
          'this node was taken out of the cluster while it was away: start it again to have it join',
        );
      else if (!isAsBefore) logger.info({ was: known.rpcAddr, rpcAddr }, 'the cluster knows where this node is now');
    } catch (error) {
      if (!stopped.aborted) logger.error({ error }, 'the cluster does not learn where this node is now');
    }
  }

  async function rejoining(stopped: AbortSignal): Promise<JoiningOptions> {
    return {
      transport: await container.getAsync<JoinTransport>(JoinTransport),
      addresses: () => [rpcAddr, ...new Set([...others(), ...rpcAddrs()])],
      joiner: { ...self, bootstrapExpect: 0, clusterId: directory.logId },
      ...{ clock, logger, signal: stopped },
    };
  }

  function hasOthers(): boolean {
    return others().length > 0;
  }

  /** Where the other members are, as far as this node knows by itself. */
  function others(): string[] {
    const { kept, current } = configuration;
    const known = [...(kept?.contacts ?? []), ...current.members];
    return known.filter(({ uuid }) => uuid !== self.uuid).map((member) => member.rpcAddr);
  }

  /** Of the nodes that gossip knows. */
  function rpcAddrs(): string[] {
    return discovery.nodes().map((node) => node.rpcAddr);
  }

  async function enterCluster(): Promise<void> {
    const joiner: Joiner = { ...self, bootstrapExpect: config['bootstrap-expect'] };
    const hasAddrs = config['start-join-addrs'].length > 0;
    if (config.bootstrap ? hasAddrs && (await isLate()) : hasAddrs || joiner.bootstrapExpect > 1) {
      endpoint.setDesk({ admit: () => Promise.resolve({ kind: 'waiting', joiner }) });
      const transport = await container.getAsync<JoinTransport>(JoinTransport);
      const joined = await joinCluster({ transport, addresses: rpcAddrs, joiner, clock, logger, signal });
      if (joined.kind === 'member') {
        await directory.adoptLogId(joined.clusterId);
        await configuration.write(joined.kept);
        logger.info({ id: joined.kept.id }, 'joined the cluster');
        return;
      }
    }
    await configuration.write({ id: 1, contacts: [], history: [firstConfiguration({ id: 1, ...self })] });
    logger.info({}, 'began a cluster of one');
  }

  /** A node that was to begin the cluster and lost its disk since must not begin another one beside it. */
  async function isLate(): Promise<boolean> {
    const finds = await discovery.findsCluster(bootstrapLookMs, signal);
    if (finds) logger.warn({}, '--bootstrap: there is a cluster already, and this node joins it');
    return finds;
  }
}
