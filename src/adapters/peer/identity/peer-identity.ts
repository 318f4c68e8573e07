import { Metadata } from '@grpc/grpc-js';
import { isMemberName, isRpcAddr } from '../../../application/configuration/member-names.js';

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
}

const Key = {
  clusterId: 'golog-cluster-id-bin',
  from: 'golog-from',
  to: 'golog-to',
  rpcAddr: 'golog-addr',
  name: 'golog-name',
} as const;

export function identityMetadata({ rpcAddr, clusterId, from, to, name }: PeerIdentity): Metadata {
  const metadata = new Metadata();
  if (clusterId.length > 0) metadata.set(Key.clusterId, Buffer.from(clusterId));
  metadata.set(Key.rpcAddr, rpcAddr);
  metadata.set(Key.from, String(from));
  metadata.set(Key.to, String(to));
  metadata.set(Key.name, name);
  return metadata;
}

/** Returns undefined if the metadata is missing or has an invalid id, name or address. */
export function identityOf(metadata: Metadata): PeerIdentity | undefined {
  const clusterId = metadata.get(Key.clusterId).at(0);
  const from = idOf(metadata.get(Key.from)[0]);
  const to = idOf(metadata.get(Key.to)[0]);
  const rpcAddr = String(metadata.get(Key.rpcAddr)[0] ?? '');
  const name = String(metadata.get(Key.name)[0] ?? '');
  if ((rpcAddr !== '' && !isRpcAddr(rpcAddr)) || (name !== '' && !isMemberName(name))) return undefined;
  const isReplica = from === 0;
  const isId = (id: number): boolean => Number.isSafeInteger(id) && (id > 0 || (isReplica && id === 0));
  if (typeof clusterId === 'string' || !isId(from) || !isId(to)) return undefined;
  if (clusterId === undefined && !isReplica) return undefined;
  return { clusterId: clusterId ?? new Uint8Array(0), from, to, rpcAddr, name };
}

/** Parses a decimal id; NaN for anything else. */
const idOf = (value: unknown): number =>
  typeof value === 'string' && /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
