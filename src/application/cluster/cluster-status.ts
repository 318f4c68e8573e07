import { toIndex, toTerm } from '../../domain/log/offsets.js';
import { majoritySize } from '../../domain/raft/quorum.js';
import { featureLevelKnown } from '../configuration/cluster-settings.js';
import { describeClusterId } from '../configuration/member-names.js';
import type { ClusterStatus, MemberRole, MemberState, MemberStatus, ScrubStatus } from '../ports/cluster.js';
import type { Gossip } from '../ports/gossip.js';
import { diskFull, diskStalled, type Readiness } from '../ports/readiness.js';
import type { Leadership } from '../raft/leadership.js';

const stateNames = { probe: 'probing', replicate: 'replicating', snapshot: 'catching-up' } as const;

interface Viewpoint {
  readonly leadership: Leadership;
  readonly self: { readonly name: string };
  readonly clusterId: Uint8Array;
  readonly gossip?: Pick<Gossip, 'members'>;
  /** Returns the feature level that another member has offered. */
  readonly featureLevelOf?: (id: number) => number | undefined;
  /** Returns what this node knows about damage to its log. */
  readonly scrub?: () => ScrubStatus;
  /** About a node that has another history. */
  readonly otherHistory?: string | undefined;
}

/** The cluster as this node sees it. */
export function clusterStatusOf(viewpoint: Viewpoint): ClusterStatus {
  const { leadership, self, clusterId, gossip, otherHistory } = viewpoint;
  const { hardState } = leadership.status;
  const leader = leadership.configuration.members.find(({ id }) => id === leadership.leaderId);
  const members = membersOf(viewpoint);
  const problem = otherHistory ?? readinessWith(viewpoint, members).problem;
  return {
    clusterId: describeClusterId(clusterId),
    answeredBy: self.name,
    term: toTerm(hardState.term),
    ...(leader !== undefined && { leader: leader.name }),
    commitIndex: toIndex(hardState.commit),
    lastIndex: toIndex(leadership.lastIndex),
    highWatermark: leadership.highWatermark,
    members,
    settings: leadership.configuration.settings,
    ...(problem !== undefined && { problem }),
    ...(viewpoint.scrub && { scrub: viewpoint.scrub() }),
    ...(gossip !== undefined && {
      gossip: gossip.members().map((member) => ({ ...member, tags: Object.fromEntries(member.tags) })),
    }),
  };
}

function membersOf({ leadership, featureLevelOf }: Viewpoint): MemberStatus[] {
  const { members } = leadership.configuration;
  const progress = new Map<number, { state: MemberState; match: number }>();
  leadership.visitProgress((id, { state, match }) => progress.set(id, { state: stateNames[state], match }));
  return members.map(({ id, name, uuid, rpcAddr }) => {
    const known = progress.get(id);
    const isSelf = id === leadership.status.id;
    const heardMsAgo = isSelf ? undefined : leadership.heardMsAgo(id);
    const featureLevel = isSelf ? featureLevelKnown : featureLevelOf?.(id);
    const silent = !isSelf && (heardMsAgo === undefined || heardMsAgo > leadership.electionTimeoutMs);
    return {
      id,
      name,
      uuid,
      rpcAddr,
      role: roleOf(leadership, id),
      state: isSelf ? 'self' : known === undefined ? 'unknown' : silent ? 'unreachable' : known.state,
      ...(known !== undefined && {
        matchIndex: toIndex(known.match),
        lagEntries: Math.max(0, leadership.lastIndex - known.match),
      }),
      ...(heardMsAgo !== undefined && { heardMsAgo }),
      ...(featureLevel !== undefined && { featureLevel }),
    };
  });
}

function roleOf(leadership: Leadership, id: number): MemberRole {
  if (id === leadership.leaderId) return 'leader';
  const { voters, votersOutgoing } = leadership.configuration.confState;
  return voters.includes(id) || votersOutgoing.includes(id) ? 'voter' : 'learner';
}

/** Whether the node that answers is ready, and what is wrong with the cluster as it sees it. */
export function readinessOf(viewpoint: Viewpoint): Readiness {
  return readinessWith(viewpoint, membersOf(viewpoint));
}

/** What an operator should know about damage that does not keep a node from its work; undefined without damage. */
export function damageProblem(name: string, scrub: ScrubStatus | undefined): string | undefined {
  const [first] = scrub?.damaged ?? [];
  if (first === undefined) return undefined;
  const what = first.to > first.from ? `records ${first.from} to ${first.to - 1}` : `the log near offset ${first.from}`;
  const more = (scrub?.damaged.length ?? 0) > 1 ? ' and others' : '';
  const repair = scrub?.repair === undefined ? '' : `; repair: ${scrub.repair}`;
  return `damaged on ${name} and not served by it: ${what}${more}${repair}`;
}

function readinessWith(viewpoint: Viewpoint, members: readonly MemberStatus[]): Readiness {
  const found = readinessAmong(viewpoint, members);
  if (found.problem !== undefined) return found;
  const problem = damageProblem(viewpoint.self.name, viewpoint.scrub?.());
  return problem === undefined ? found : { ...found, problem };
}

function readinessAmong({ leadership, self }: Viewpoint, members: readonly MemberStatus[]): Readiness {
  const { configuration, status, isLeader, leaderId, diskShortage } = leadership;
  if (!configuration.members.some(({ id }) => id === status.id))
    return { state: 'catching-up', problem: 'this node has not learned yet that it is a member of the cluster' };
  if (leadership.diskStalledMs !== undefined) return diskStalled(self.name, leadership.diskStalledMs);
  const { voters, learners } = configuration.confState;
  const voting = members.filter(({ id }) => voters.includes(id));
  const silent = voting.filter(
    ({ state, heardMsAgo = Infinity }) => state !== 'self' && heardMsAgo > leadership.electionTimeoutMs,
  );
  const causes = silent.map(({ name, heardMsAgo }) =>
    heardMsAgo === undefined
      ? `${name} never heard from`
      : `${name} unreachable for ${Math.round(heardMsAgo / 1000)} s`,
  );
  // They answer, but nothing gets on their disks.
  const stuck = voting.filter(
    (member) =>
      member.state !== 'self' &&
      !silent.includes(member) &&
      leadership.unacknowledgedMs(member.id) > leadership.electionTimeoutMs,
  );
  for (const { id, name } of stuck) {
    const seconds = Math.round(leadership.unacknowledgedMs(id) / 1000);
    causes.push(`${name} has acknowledged nothing for ${seconds} s: its disk may hang or be full`);
  }
  const reachableSpare = voting.length - silent.length - majoritySize(voters.length);
  const spare = reachableSpare - stuck.length;
  if (leaderId === 0 || (isLeader && spare < 0)) {
    const reachable = `${voting.length - silent.length} of ${voting.length} voters reachable from here, need ${majoritySize(voters.length)}`;
    const advice = reachableSpare < 0 ? ['start them; if a majority is lost for good, see golog recover'] : [];
    const what = leaderId === 0 ? 'no leader' : 'nothing commits';
    const full = diskShortage !== undefined ? [`the disk of ${self.name} is full: free space on it`] : [];
    return { state: 'no-leader', problem: [what, ...full, ...causes, reachable, ...advice].join('; ') };
  }
  if (diskShortage !== undefined) return diskFull(self.name, diskShortage.freeBytes, diskShortage.reserveBytes);
  if (learners.includes(status.id))
    return {
      state: 'catching-up',
      problem: `${self.name} is a learner: it becomes a voter once it has what the leader has committed`,
    };
  if (!leadership.isCaughtUp)
    return {
      state: 'catching-up',
      problem: `${self.name} does not have all that is committed yet: it fetches it from the leader`,
    };
  if (!isLeader || causes.length === 0) return { state: 'ready' };
  const further = spare === 0 ? 'no further failure' : `${spare} further failure${spare === 1 ? '' : 's'}`;
  return { state: 'ready', problem: `degraded: ${causes.join('; ')}; the cluster tolerates ${further}` };
}
