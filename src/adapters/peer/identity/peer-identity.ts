import { Metadata } from '@grpc/grpc-js';
import { featureLevelKnown } from '../../../application/configuration/cluster-settings.js';
import { isMemberName, isRpcAddr, isUuid } from '../../../application/configuration/member-names.js';

/** The caller and the callee, in the metadata of each call between members. */
export interface PeerIdentity {
  /** HOST:PORT of the caller's gRPC listener, for answers if the receiver does not know it. */
  readonly rpcAddr: string;
  /** 16 bytes: the id of the log. Empty for a replica that does not know it yet. */
  readonly clusterId: Uint8Array;
  /** 0: a replica, which is not a member. */
  readonly from: number;
  /** 0: any node; only replicas send this. */
  readonly to: number;
  /** The caller's `--node-name`, which its certificate must contain; empty if not sent. */
  readonly name: string;
  /** The UUID of the caller's data directory; empty or undefined if not sent. */
  readonly uuid?: string;
  /** The UUID of the callee's data directory; empty or undefined if the caller does not know it. */
  readonly toUuid?: string;
  /** The highest feature level that the caller knows: 0 for a release without levels. Default: that of this release. */
  readonly featureLevel?: number;
  /** The generation of the caller's log. Default: 0. */
  readonly generation?: number;
}

const Key = {
  clusterId: 'golog-cluster-id-bin',
  from: 'golog-from',
  to: 'golog-to',
  rpcAddr: 'golog-addr',
  name: 'golog-name',
  uuid: 'golog-uuid',
  toUuid: 'golog-to-uuid',
  featureLevel: 'golog-feature-level',
  generation: 'golog-generation',
} as const;

export function identityMetadata(identity: PeerIdentity): Metadata {
  const { rpcAddr, clusterId, from, to, name, uuid, toUuid, featureLevel = featureLevelKnown } = identity;
  const metadata = new Metadata();
  if (clusterId.length > 0) metadata.set(Key.clusterId, Buffer.from(clusterId));
  metadata.set(Key.rpcAddr, rpcAddr);
  metadata.set(Key.from, String(from));
  metadata.set(Key.to, String(to));
  metadata.set(Key.name, name);
  if (uuid) metadata.set(Key.uuid, uuid);
  if (toUuid) metadata.set(Key.toUuid, toUuid);
  metadata.set(Key.featureLevel, String(featureLevel));
  if (identity.generation) metadata.set(Key.generation, String(identity.generation));
  return metadata;
}

/** Returns the metadata that identifies the answering node, as far as it knows its own identity. */
export function answerMetadata({
  clusterId,
  id,
  uuid,
  generation = 0,
}: {
  readonly clusterId: Uint8Array;
  readonly id: number;
  readonly uuid: string;
  readonly generation?: number;
}): Metadata {
  const metadata = new Metadata();
  metadata.set(Key.clusterId, Buffer.from(clusterId));
  metadata.set(Key.from, String(id));
  if (uuid !== '') metadata.set(Key.uuid, uuid);
  if (generation > 0) metadata.set(Key.generation, String(generation));
  return metadata;
}

/** Returns the trailers by which a node tells a caller that its own generation is higher. */
export function generationMetadata(generation: number): Metadata {
  const metadata = new Metadata();
  metadata.set(Key.generation, String(generation));
  return metadata;
}

/** Returns the generation in the metadata of a peer; NaN if it is not valid. */
export function generationOf(metadata: Metadata): number {
  return numberOf(metadata.get(Key.generation)[0] ?? '0');
}

/**
 * Returns what in an answer shows that it is not from the called node; undefined if nothing does. A node of an earlier
 * release sends no metadata: it only answers a caller that has its Raft id and its cluster.
 */
export function contradictionIn(
  answer: Metadata,
  { clusterId, to, toUuid, generation = 0 }: PeerIdentity,
): string | undefined {
  const [cluster] = answer.get(Key.clusterId);
  const [id] = answer.get(Key.from);
  const [uuid] = answer.get(Key.uuid);
  if (cluster !== undefined && clusterId.length > 0 && Buffer.compare(Buffer.from(cluster), clusterId) !== 0)
    return 'a node of another cluster answers there';
  if (id !== undefined && to !== 0 && String(id) !== String(to)) return `member ${String(id)} answers there, not ${to}`;
  if (uuid !== undefined && toUuid && uuid !== toUuid)
    return `the data directory there has the UUID ${String(uuid)}, not ${toUuid}`;
  if (cluster !== undefined && generationOf(answer) !== generation)
    return `the node there has generation ${generationOf(answer)} of the log, this node generation ${generation}`;
  return undefined;
}

/** Returns undefined if the metadata is missing or has an invalid id, name, address, UUID or level. */
export function identityOf(metadata: Metadata): PeerIdentity | undefined {
  const clusterId = metadata.get(Key.clusterId).at(0);
  const from = numberOf(metadata.get(Key.from)[0]);
  const to = numberOf(metadata.get(Key.to)[0]);
  const rpcAddr = String(metadata.get(Key.rpcAddr)[0] ?? '');
  const name = String(metadata.get(Key.name)[0] ?? '');
  const uuid = String(metadata.get(Key.uuid)[0] ?? '');
  const toUuid = String(metadata.get(Key.toUuid)[0] ?? '');
  const featureLevel = numberOf(metadata.get(Key.featureLevel)[0] ?? '0');
  if ((rpcAddr !== '' && !isRpcAddr(rpcAddr)) || (name !== '' && !isMemberName(name))) return undefined;
  if ([uuid, toUuid].some((each) => each !== '' && !isUuid(each))) return undefined;
  const generation = generationOf(metadata);
  if (!Number.isSafeInteger(featureLevel) || !Number.isSafeInteger(generation)) return undefined;
  const isReplica = from === 0;
  const isId = (id: number): boolean => Number.isSafeInteger(id) && (id > 0 || (isReplica && id === 0));
  if (typeof clusterId === 'string' || !isId(from) || !isId(to)) return undefined;
  if (clusterId === undefined && !isReplica) return undefined;
  return { clusterId: clusterId ?? new Uint8Array(0), from, to, rpcAddr, name, uuid, toUuid, featureLevel, generation };
}

/** Parses a decimal number; NaN for anything else. */
const numberOf = (value: unknown): number =>
  typeof value === 'string' && /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
