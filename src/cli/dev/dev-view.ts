import type { MemberStatus } from '../../client/index.js';
import type { DevNode } from './dev-node.js';
import { tableText } from '../options/terminal.js';

/** A node as `golog dev` shows it; unknown values are undefined. */
export interface DevRow {
  readonly node: string;
  readonly pid: number | undefined;
  /** Its role as the leader sees it: `leader`, `voter`, `learner` or `joining`; or else `starting` or `down`. */
  readonly role: string;
  /** Its replication state as the leader sees it, or how its process ended. */
  readonly state: string | undefined;
  readonly term: number | undefined;
  readonly highWatermark: number | undefined;
  /** Entries that are not known to be on its disk yet. */
  readonly lag: number | undefined;
  readonly rpcAddr: string;
  readonly httpAddr: string;
}

export interface DevView {
  /** Whether all nodes are voters and in step with the leader. */
  readonly ready: boolean;
  readonly leader: string | undefined;
  readonly term: number | undefined;
  readonly problem: string | undefined;
  readonly nodes: readonly DevRow[];
}

/** The fields of a node that are shown. */
type Shown = Pick<DevNode, 'spec' | 'status' | 'end' | 'pid'>;

export function devView(nodes: readonly Shown[]): DevView {
  const seen = nodes.flatMap(({ status }) => status ?? []).sort((a, b) => b.term - a.term);
  const newest = seen.find(({ answeredBy, leader }) => answeredBy === leader) ?? seen[0];
  const leader = newest?.leader === newest?.answeredBy ? newest?.leader : undefined;
  const members = new Map(newest?.members.map((member) => [member.name, member]));
  const rows = nodes.map((node) => rowOf(node, members.get(node.spec.name)));
  const ready =
    leader !== undefined && nodes.every(({ spec, status }) => status !== undefined && isInStep(members.get(spec.name)));
  return { ready, leader, term: newest?.term, problem: newest?.problem, nodes: rows };
}

const isInStep = (member: MemberStatus | undefined): boolean =>
  member !== undefined && member.role !== 'learner' && (member.state === 'self' || member.state === 'replicating');

function rowOf({ spec, status, end, pid }: Shown, member: MemberStatus | undefined): DevRow {
  const { name: node, rpcAddr, httpAddr } = spec;
  const lag = member?.lagEntries;
  if (status === undefined) {
    const role = end === undefined ? 'starting' : 'down';
    return { node, pid, role, state: end, term: undefined, highWatermark: undefined, lag, rpcAddr, httpAddr };
  }
  const { term, highWatermark } = status;
  return {
    node,
    pid,
    role: member?.role ?? 'joining',
    state: member?.state,
    term,
    highWatermark,
    lag,
    rpcAddr,
    httpAddr,
  };
}

const columns = [
  { name: 'node' },
  { name: 'pid', align: 'right' },
  { name: 'role' },
  { name: 'state' },
  { name: 'term', align: 'right' },
  { name: 'watermark', align: 'right' },
  { name: 'lag', align: 'right' },
  { name: 'gRPC' },
  { name: 'HTTP' },
] as const;

const portOf = (address: string): string => address.slice(address.lastIndexOf(':'));

/** Formats the rows as a table, with the ports of the addresses, which are all of this machine; ends with a newline. */
export function devTable(rows: readonly DevRow[], width: number): string {
  const cells = rows.map(({ node, pid, role, state, term, highWatermark, lag, rpcAddr, httpAddr }) => {
    const progress = [term ?? '', highWatermark ?? '', lag ?? ''];
    return [node, pid ?? '', role, state ?? '', ...progress, portOf(rpcAddr), portOf(httpAddr)];
  });
  return tableText(columns, cells, width);
}
