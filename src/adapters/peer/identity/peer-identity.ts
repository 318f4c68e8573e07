import { Metadata } from '@grpc/grpc-js';
import { isMemberName, isRpcAddr, isUuid } from '../../../application/configuration/member-names.js';

/** Who calls whom, in the metadata of each call between members. */
export interface PeerIdentity {
  /** HOST:PORT of the caller's gRPC, for answers where it is not known. */
  readonly rpcAddr: string;
  /** 16 bytes: the id of the log; none of a replica that does not know it yet. */
  readonly clusterId: Uint8Array;
  /** 0: a replica, which is no member. */
  readonly from: number;
  /** 0: whoever is there; of a replica only. */
  readonly to: number;
  /** The caller's `--node-name`, which its certificate must have; empty where it does not say. */
  readonly name: string;
  /** UUID of the caller's data directory; empty or left out where it does not say. */
  readonly uuid?: string;
  /** UUID of the data directory of whom it calls; empty or left out where it does not know. */
  readonly toUuid?: string;
}

const Key = {
  clusterId: 'golog-cluster-id-bin',
  from: 'golog-from',
  to: 'golog-to',
  rpcAddr: 'golog-addr',
  name: 'golog-name',
  uuid: 'golog-uuid',
  toUuid: 'golog-to-uuid',
} as const;

export function identityMetadata({ rpcAddr, clusterId, from, to, name, uuid, toUuid }: PeerIdentity): Metadata {
  const metadata = new Metadata();
  if (clusterId.length > 0) metadata.set(Key.clusterId, Buffer.from(clusterId));
  metadata.set(Key.rpcAddr, rpcAddr);
  metadata.set(Key.from, String(from));
  metadata.set(Key.to, String(to));
  metadata.set(Key.name, name);
  if (uuid) metadata.set(Key.uuid, uuid);
  if (toUuid) metadata.set(Key.toUuid, toUuid);
  return metadata;
}

/** Who answers, in the metadata of its answer, as far as it knows that itself. */
export function answerMetadata({
  clusterId,
  id,
  uuid,
}: {
  readonly clusterId: Uint8Array;
  readonly id: number;
  readonly uuid: string;
}): Metadata {
  const metadata = new Metadata();
  metadata.set(Key.clusterId, Buffer.from(clusterId));
  metadata.set(Key.from, String(id));
  if (uuid !== '') metadata.set(Key.uuid, uuid);
  return metadata;
}

/**
 * What in an answer shows that it is not of whom was called; undefined where nothing does. A node of an earlier release
 * only answers whoever calls it by its Raft id in its cluster, and says nothing more.
 */
export function contradictionIn(answer: Metadata, { clusterId, to, toUuid }: PeerIdentity): string | undefined {
  const [cluster] = answer.get(Key.clusterId);
  const [id] = answer.get(Key.from);
  const [uuid] = answer.get(Key.uuid);
  if (cluster !== undefined && clusterId.length > 0 && Buffer.compare(Buffer.from(cluster), clusterId) !== 0)
    return 'a node of another cluster answers there';
  if (id !== undefined && to !== 0 && String(id) !== String(to)) return `member ${String(id)} answers there, not ${to}`;
  if (uuid !== undefined && toUuid && uuid !== toUuid)
    return `the data directory there has the UUID ${String(uuid)}, not ${toUuid}`;
  return undefined;
}

/** Undefined where it is missing or none: an id, a name or an address that no node could have. */
export function identityOf(metadata: Metadata): PeerIdentity | undefined {
  const clusterId = metadata.get(Key.clusterId).at(0);
  const from = idOf(metadata.get(Key.from)[0]);
  const to = idOf(metadata.get(Key.to)[0]);
  const rpcAddr = String(metadata.get(Key.rpcAddr)[0] ?? '');
  const name = String(metadata.get(Key.name)[0] ?? '');
  const uuid = String(metadata.get(Key.uuid)[0] ?? '');
  const toUuid = String(metadata.get(Key.toUuid)[0] ?? '');
  if ((rpcAddr !== '' && !isRpcAddr(rpcAddr)) || (name !== '' && !isMemberName(name))) return undefined;
  if ([uuid, toUuid].some((each) => each !== '' && !isUuid(each))) return undefined;
  const isReplica = from === 0;
  const isId = (id: number): boolean => Number.isSafeInteger(id) && (id > 0 || (isReplica && id === 0));
  if (typeof clusterId === 'string' || !isId(from) || !isId(to)) return undefined;
  if (clusterId === undefined && !isReplica) return undefined;
  return { clusterId: clusterId ?? new Uint8Array(0), from, to, rpcAddr, name, uuid, toUuid };
}

/** Decimal, as it is written; NaN for anything else. */
const idOf = (value: unknown): number =>
  typeof value === 'string' && /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
