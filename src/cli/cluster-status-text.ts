import Table from 'cli-table3';
import type { ClusterStatus, MemberStatus, ScrubStatus } from '../client/index.js';

/** Formats a status as text: a headline, the problem if any, and a row per member. Ends with a newline. */
export function clusterStatusText(status: ClusterStatus): string {
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
  if (status.scrub !== undefined) lines.push(scrubText(answeredBy, status.scrub));
  const table = new Table({
    head: ['node', 'role', 'state', 'gRPC address', 'match index', 'lag', 'last heard'],
    colAligns: ['left', 'left', 'left', 'left', 'right', 'right', 'right'],
    style: { head: [], border: [] },
  });
  for (const member of status.members)
    table.push([
      member.name,
      member.role,
      member.uuid === '' ? `${member.state}, not joined` : member.state,
      member.rpcAddr,
      member.matchIndex ?? '',
      member.lagEntries ?? '',
      lastHeard(member, leader === answeredBy),
    ]);
  return `${lines.join('\n')}\n${table.toString()}\n`;
}

function scrubText(name: string, { checkedBytes, totalBytes, bytesPerSecond, completedAtMs }: ScrubStatus): string {
  const share = totalBytes === 0 ? 100 : Math.floor((checkedBytes * 100) / totalBytes);
  const last = completedAtMs === undefined ? 'none' : new Date(completedAtMs).toISOString();
  return `scrub of ${name}: ${share}% of ${totalBytes} bytes checked, ${bytesPerSecond} bytes/s, last pass ended: ${last}`;
}

function lastHeard({ state, heardMsAgo }: MemberStatus, byLeader: boolean): string {
  if (heardMsAgo !== undefined && state !== 'self') return `${span(heardMsAgo)} ago`;
  return byLeader && state !== 'self' ? 'never' : '';
}

function span(ms: number): string {
  if (ms < 1_000) return `${ms} ms`;
  const seconds = Math.floor(ms / 1_000);
  if (seconds < 120) return `${seconds} s`;
  return seconds < 7_200 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3_600)} h`;
}
