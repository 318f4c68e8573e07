import { isMemberName, isRpcAddr, isUuid } from '../configuration/member-names.js';
import type { GossipMember } from '../ports/gossip.js';

/** What a golog node publishes about itself in gossip, as Serf tags. */
export interface NodeTags {
  /** `node`: runs Raft, or wants to; `replica`: only reads. */
  readonly role: 'node' | 'replica';
  /** UUID of its data directory. */
  readonly uuid: string;
  /** HOST:PORT of its gRPC. */
  readonly rpcAddr: string;
  /** HOST:PORT of Connect, gRPC-Web and JSON. */
  readonly httpAddr: string;
  /** UUID of the log that it stores; undefined while it is in no cluster. */
  readonly clusterId?: string;
  /** The golog version. */
  readonly version: string;
  /** The highest feature level that it knows; undefined for a release without levels. */
  readonly featureLevel?: number;
}

/** Encodes the tags. Serf allows 512 bytes in all, including the tag names, so these are short. */
export function encodeNodeTags(tags: NodeTags): ReadonlyMap<string, string> {
  const { role, uuid, rpcAddr, httpAddr, clusterId, version, featureLevel } = tags;
  return new Map([
    ['role', role],
    ['id', uuid],
    ['rpc_addr', rpcAddr],
    ['http_addr', httpAddr],
    ...(clusterId === undefined ? [] : [['cluster', clusterId] as const]),
    ['version', version],
    ...(featureLevel === undefined ? [] : [['level', String(featureLevel)] as const]),
  ]);
}

/** Returns undefined for a member that is not a golog node (such as a plain Serf agent) or whose tags are invalid. */
export function decodeNodeTags(tags: ReadonlyMap<string, string>): NodeTags | undefined {
  const role = tags.get('role');
  const uuid = tags.get('id');
  const rpcAddr = tags.get('rpc_addr');
  if ((role !== 'node' && role !== 'replica') || !uuid || !rpcAddr) return undefined;
  const clusterId = tags.get('cluster');
  const httpAddr = tags.get('http_addr') ?? '';
  const version = tags.get('version') ?? '';
  const level = tags.get('level');
  if (!isUuid(uuid) || !isRpcAddr(rpcAddr) || (httpAddr !== '' && !isRpcAddr(httpAddr))) return undefined;
  if ((clusterId !== undefined && !isUuid(clusterId)) || !/^[\w.+-]{0,64}$/.test(version)) return undefined;
  if (level !== undefined && !/^\d{1,4}$/.test(level)) return undefined;
  return {
    role,
    uuid,
    rpcAddr,
    httpAddr,
    ...(clusterId !== undefined && { clusterId }),
    version,
    ...(level !== undefined && { featureLevel: Number(level) }),
  };
}

/**
 * Whether two members may gossip with each other: members of two clusters may not. A member of no cluster, such as a
 * plain Serf agent, may.
 */
export function mayGossip(one: ReadonlyMap<string, string>, other: ReadonlyMap<string, string>): boolean {
  const [ours, theirs] = [one.get('cluster'), other.get('cluster')];
  return ours === undefined || theirs === undefined || ours === theirs;
}

/** A golog node as seen through gossip. */
export type GossipNode = NodeTags & Pick<GossipMember, 'name' | 'addr' | 'status'>;

/** Returns the golog nodes among the members, without members whose name is not a valid node name. */
export function gossipNodes(members: readonly GossipMember[]): GossipNode[] {
  return members.flatMap(({ name, addr, status, tags }) => {
    const node = decodeNodeTags(tags);
    return node === undefined || !isMemberName(name) ? [] : [{ ...node, name, addr, status }];
  });
}
