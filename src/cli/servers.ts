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

function memberRow({ name, rpcAddr, role, state }: MemberStatus, node: GossipMemberStatus | undefined): ServerRow {
  return { id: name, rpcAddr, isLeader: role === 'leader', role, state, ...gossipColumns(node) };
}

function otherRow(node: GossipMemberStatus): ServerRow {
  const role = node.tags['role'] === 'replica' ? 'replica' : 'joining';
  const rpcAddr = node.tags['rpc_addr'] ?? '';
  return { id: node.name, rpcAddr, isLeader: false, role, state: '', ...gossipColumns(node) };
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
  const head = ['node', 'role', 'raft', 'gossip', 'gRPC address', 'HTTP address', 'gossip address', 'version'];
  const table = new Table({ head, style: { head: [], border: [] } });
  for (const { id, role, state, gossip, rpcAddr, httpAddr, gossipAddr, version } of rows)
    table.push([id, role, state, gossip, rpcAddr, httpAddr, gossipAddr, version]);
  return `${table.toString()}\n`;
}
