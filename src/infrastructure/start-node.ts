import { randomInt } from 'node:crypto';
import { crc32c } from '../adapters/checksum/crc32c.js';
import {
  GrpcEntrySource,
  GrpcPeerTransport,
  GrpcReplicaUplink,
  type PeerCredentials,
  type PeerEndpoint,
} from '../adapters/peer/index.js';
import type { NodeDependencies, StartupGates } from '../application/node/node-dependencies.js';
import { startMember } from '../application/node/start-member.js';
import { startReplica } from '../application/node/start-replica.js';
import type { StartedNode } from '../application/node/started-node.js';
import type { Clock } from '../application/ports/clock.js';
import type { DataDirectory } from '../application/ports/data-directory.js';
import type { Gossip } from '../application/ports/gossip.js';
import type { JoinTransport } from '../application/ports/join-transport.js';
import type { Logger } from '../application/ports/logger.js';
import type { Readiness } from '../application/ports/readiness.js';
import { defaultTiming } from '../application/raft/raft-options.js';
import { advertisedAddr, advertisedHttpAddr, type Config, isAdvertisedChosen, retentionOf } from './config.js';
import type { Listening, OnFatal } from './node.js';
import { assertPeersProve } from './node-security.js';
import { packageVersion } from './package-files.js';

/** The parts that the container made for a node that is about to start. */
export interface NodeParts {
  readonly config: Config;
  /** The name of the node in its cluster. */
  readonly name: string;
  readonly directory: DataDirectory;
  readonly gossip: Gossip;
  readonly gates: StartupGates;
  readonly endpoint: PeerEndpoint;
  readonly credentials: PeerCredentials;
  readonly joinTransport: JoinTransport;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onFatal: OnFatal;
}

/** Starts a member or a replica, as configured, that talks to other nodes over gRPC. */
export function startNode(
  parts: NodeParts,
  { rpcPort, httpPort }: Listening,
  signal: AbortSignal,
  onReadiness: (ask: () => Readiness) => void,
): Promise<StartedNode> {
  const { config, name, directory, gossip, gates, endpoint, credentials, joinTransport, clock, logger, onFatal } =
    parts;
  const rpcAddr = advertisedAddr(config, rpcPort);
  const httpAddr = advertisedHttpAddr(config, httpPort);
  if (isAdvertisedChosen(config))
    logger.info(
      'advertise_addr_chosen',
      { rpcAddr, bindAddr: config['bind-addr'] },
      'listening on all addresses; other nodes are told this one, unless --advertise-addr names another',
    );
  const settings = {
    name,
    rpcAddr,
    httpAddr,
    version: packageVersion(),
    startJoinAddrs: config['start-join-addrs'],
    diskReserveBytes: config['disk-reserve-bytes'],
    retention: retentionOf(config),
    segmentBytesMax: config['segment-bytes'],
    scrubBytesPerSecond: config['scrub-bytes-per-second'],
  };
  const deps: NodeDependencies = {
    settings,
    directory,
    gossip,
    gates,
    peerService: endpoint,
    crc32c,
    clock,
    random: (n) => randomInt(n),
    logger,
    onFatal,
    onReadiness,
    signal,
    assertPeersProve: () => assertPeersProve(config),
  };
  if (config.replica) {
    const options = { self: { name, rpcAddr }, credentials, clock, random: Math.random, logger };
    return startReplica({
      ...deps,
      uplink: (checksum, generation) => new GrpcReplicaUplink({ checksum, generation, ...options }),
    });
  }
  const links = { name, endpoint, credentials, clock, random: Math.random, logger };
  return startMember({
    ...deps,
    settings: {
      ...settings,
      bootstrap: config.bootstrap,
      bootstrapExpect: config['bootstrap-expect'],
      timing: { ...defaultTiming, tickMs: config['tick-interval'] },
      deadMemberTimeoutMs: config['dead-member-timeout'],
    },
    joinTransport,
    peerTransport: (checksum) => new GrpcPeerTransport({ checksum, ...links }),
    entrySource: (id, checksum, generation) =>
      new GrpcEntrySource(checksum, { id, rpcAddr, name, uuid: directory.nodeId }, credentials, generation),
  });
}
