import Table from 'cli-table3';
import type { ClusterStatus, GossipMemberStatus, MemberStatus } from '../client/index.js';

/** A golog node as Raft and gossip know it, side by side; empty where the one or the other does not know it. */
export interface ServerRow {
  /** Its name. */
  readonly id: string;
  readonly rpcAddr: string;
  readonly isLeader: boolean;
  /** `leader`, `voter`, `learner`, `replica`, or `joining`: it wants to be one. */
  readonly role: string;
  /** How the leader's copy to it goes. */
  readonly state: string;
  /** How far it is behind the leader: a member in entries, a replica in records; undefined: not known. */
  readonly lag: number | undefined;
  /** `alive`, `leaving`, `left` or `failed`. */
  readonly gossip: string;
  readonly gossipAddr: string;
  readonly httpAddr: string;
  readonly version: string;
}

/** The members by Raft id, then who else there is by gossip; agents that are no golog nodes are left out. */
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

/** With the lag of the replicas, as far as `watermarkAt` has what they say at their gRPC addresses. */
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
): Pick<ServerRow, 'gossip' | 'gossipAddr' | 'httpAddr' | 'version'> {
  return {
    gossip: node?.status ?? '',
    gossipAddr: node?.addr ?? '',
    httpAddr: node?.tags['http_addr'] ?? '',
    version: node?.tags['version'] ?? '',
  };
}

/** For a person; ends with a newline. */
export function serversText(rows: readonly ServerRow[]): string {
  const head = ['node', 'role', 'raft', 'lag', 'gossip', 'gRPC address', 'HTTP address', 'gossip address', 'version'];
  const table = new Table({ head, style: { head: [], border: [] } });
  for (const { id, role, state, lag, gossip, rpcAddr, httpAddr, gossipAddr, version } of rows)
    table.push(
      [id, role, state, describeLag(role, lag), gossip, rpcAddr, httpAddr, gossipAddr, version].map(printable),
    );
  return `${table.toString()}\n`;
}

/** What others say of themselves by gossip must not paint on the terminal of who asks. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (each) => `\\u{${each.codePointAt(0)?.toString(16)}}`);
}

function describeLag(role: string, lag: number | undefined): string {
  return lag === undefined ? '' : `${lag} ${role === 'replica' ? 'records' : 'entries'}`;
}
