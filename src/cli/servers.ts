import type { ClusterStatus, GossipMemberStatus, MemberStatus } from '../client/index.js';
import { counted } from './options/counted.js';
import { tableText } from './options/terminal.js';

/** The Raft and gossip state of a golog node; columns are empty when Raft or gossip does not know the node. */
export interface ServerRow {
  /** The name of the node. */
  readonly id: string;
  readonly rpcAddr: string;
  readonly isLeader: boolean;
  /** `leader`, `voter`, `learner`, `replica` or `joining`. */
  readonly role: string;
  /** The state of replication to it, as the leader sees it. */
  readonly state: string;
  /** How far it is behind the leader, in entries for a member and in records for a replica; undefined when unknown. */
  readonly lag: number | undefined;
  /** `alive`, `leaving`, `left` or `failed`. */
  readonly gossip: string;
  readonly gossipAddr: string;
  readonly httpAddr: string;
  readonly version: string;
  /** The feature level that it offers; empty for a release without levels. */
  readonly featureLevel: string;
}

/** Lists the members by Raft id, then the other golog nodes in gossip; Serf agents are omitted. */
export function serverRows({ clusterId, members, gossip }: ClusterStatus): ServerRow[] {
  const nodes = gossip.filter(({ tags }) => tags['id'] !== undefined && tags['rpc_addr'] !== undefined);
  const known = new Map(nodes.map((node) => [node.tags['id'], node]));
  const others = nodes.filter(({ tags }) => !members.some(({ uuid }) => uuid === tags['id']));
  const ofThisCluster = others.filter(
    ({ status, tags }) =>
      (tags['cluster'] ?? clusterId) === clusterId && (status === 'alive' || tags['role'] === 'replica'),
  );
  return [
    ...members.map((member) => memberRow(member, known.get(member.uuid))),
    ...ofThisCluster.map((node) => otherRow(node)),
  ];
}

/** Adds the lag of the replicas; `watermarkAt` asks the node at a gRPC address for its watermark. */
export async function withReplicaLag(
  rows: readonly ServerRow[],
  highWatermark: number,
  watermarkAt: (rpcAddr: string) => Promise<number | undefined>,
): Promise<ServerRow[]> {
  return Promise.all(
    rows.map(async (row) => {
      if (row.role !== 'replica' || row.gossip !== 'alive') return row;
      const watermark = await watermarkAt(row.rpcAddr);
      return { ...row, lag: watermark === undefined ? undefined : Math.max(0, highWatermark - watermark) };
    }),
  );
}

function memberRow(member: MemberStatus, node: GossipMemberStatus | undefined): ServerRow {
  const { name, rpcAddr, role, state, lagEntries: lag } = member;
  return { id: name, rpcAddr, isLeader: role === 'leader', role, state, lag, ...gossipColumns(node) };
}

function otherRow(node: GossipMemberStatus): ServerRow {
  const role = node.tags['role'] === 'replica' ? 'replica' : 'joining';
  const rpcAddr = node.tags['rpc_addr'] ?? '';
  return { id: node.name, rpcAddr, isLeader: false, role, state: '', lag: undefined, ...gossipColumns(node) };
}

function gossipColumns(
  node: GossipMemberStatus | undefined,
): Pick<ServerRow, 'gossip' | 'gossipAddr' | 'httpAddr' | 'version' | 'featureLevel'> {
  return {
    gossip: node?.status ?? '',
    gossipAddr: node?.addr ?? '',
    httpAddr: node?.tags['http_addr'] ?? '',
    version: node?.tags['version'] ?? '',
    featureLevel: node?.tags['level'] ?? '',
  };
}

const names = ['node', 'role', 'raft', 'lag', 'gossip', 'version', 'level'];
const addressNames = ['gRPC address', 'HTTP address', 'gossip address'];

/** Formats the rows as a table of at most `width` columns, if they fit; ends with a newline. */
export function serversText(rows: readonly ServerRow[], width: number): string {
  const columns = [...names, ...addressNames].map((name) => ({ name }));
  const cells = rows.map(
    ({ id, role, state, lag, gossip, version, featureLevel, rpcAddr, httpAddr, gossipAddr }) =>
      [id, role, state, describeLag(role, lag), gossip, version, featureLevel, rpcAddr, httpAddr, gossipAddr] as const,
  );
  return tableText(columns, cells, width);
}

function describeLag(role: string, lag: number | undefined): string {
  if (lag === undefined) return '';
  return role === 'replica' ? counted(lag, 'record') : `${lag} ${lag === 1 ? 'entry' : 'entries'}`;
}
