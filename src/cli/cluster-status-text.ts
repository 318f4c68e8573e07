import { type ClusterStatus, type MemberStatus, type ScrubStatus, spanText } from '../client/index.js';
import { bytesText } from './options/counted.js';
import { printable } from './options/printable.js';
import { tableText, wrapped } from './options/terminal.js';

const columns = [
  { name: 'node' },
  { name: 'role' },
  { name: 'state' },
  { name: 'gRPC address' },
  { name: 'match index', align: 'right' },
  { name: 'lag', align: 'right' },
  { name: 'last heard', align: 'right' },
] as const;

/**
 * Formats a status as text: a headline, the problem if any, and a row per member, in lines of at most `width` where they
 * can be broken. Ends with a newline.
 */
export function clusterStatusText(status: ClusterStatus, width: number): string {
  const { clusterId, answeredBy, leader, term, commitIndex, lastIndex, highWatermark, problem, settings } = status;
  const lines = [
    `cluster ${clusterId}`,
    `${leader === undefined ? 'no leader' : `leader ${leader}`}, term ${term}, commit index ${commitIndex} of ${lastIndex}, high watermark ${highWatermark}`,
  ];
  const { featureLevel = 0, generation = 0 } = settings ?? {};
  const offers = status.members.filter((member) => (member.featureLevel ?? featureLevel) > featureLevel);
  const raised = offers.length === 0 ? '' : `; a higher one is offered by ${offers.map(({ name }) => name).join(', ')}`;
  lines.push(`feature level ${featureLevel}${raised}${generation === 0 ? '' : `, generation ${generation}`}`);
  if (leader !== answeredBy) lines.push(`view of ${answeredBy}, which is not the leader`);
  if (problem !== undefined) lines.push(`problem: ${problem}`);
  // Nothing is checked before there is a full segment.
  if (status.scrub !== undefined && status.scrub.totalBytes > 0) lines.push(scrubText(answeredBy, status.scrub));
  const rows = status.members.map((member) => [
    member.name,
    member.role,
    member.uuid === '' ? `${member.state}, not joined` : member.state,
    member.rpcAddr,
    member.matchIndex ?? '',
    member.lagEntries ?? '',
    lastHeard(member, leader === answeredBy),
  ]);
  const text = lines.flatMap((line) => wrapped(printable(line), width)).join('\n');
  return `${text}\n${tableText(columns, rows, width)}`;
}

function scrubText(name: string, { checkedBytes, totalBytes, bytesPerSecond, completedAtMs }: ScrubStatus): string {
  const share = Math.floor((checkedBytes * 100) / totalBytes);
  const last = completedAtMs === undefined ? 'none' : new Date(completedAtMs).toISOString();
  return `scrub of ${name}: ${share}% of ${bytesText(totalBytes)} checked, at ${bytesText(bytesPerSecond)}/s, last pass ended: ${last}`;
}

function lastHeard({ state, heardMsAgo }: MemberStatus, byLeader: boolean): string {
  if (heardMsAgo !== undefined && state !== 'self') return `${spanText(heardMsAgo)} ago`;
  return byLeader && state !== 'self' ? 'never' : '';
}
