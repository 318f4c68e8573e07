import { toIndex, toTerm } from '../domain/log/offsets.js';
import { majoritySize } from '../domain/raft/quorum.js';
import { clusterIdInWords } from './member-names.js';
import type { ClusterStatus, MemberRole, MemberState, MemberStatus } from './cluster.js';
import type { Gossip } from './ports/gossip.js';
import type { RaftNode } from './raft-node.js';

const stateNames = { probe: 'probing', replicate: 'replicating', snapshot: 'catching-up' } as const;

interface Viewpoint {
  readonly node: RaftNode;
  readonly self: { readonly name: string };
  readonly clusterId: Uint8Array;
  readonly gossip?: Pick<Gossip, 'members'>;
}

/** The cluster as this node sees it. */
export function clusterStatusOf({ node, self, clusterId, gossip }: Viewpoint): ClusterStatus {
  const { hardState } = node.status;
  const leader = node.configuration.members.find(({ id }) => id === node.leaderId);
  const members = membersOf(node);
  const problem = problemOf(node, members);
  return {
    clusterId: clusterIdInWords(clusterId),
    answeredBy: self.name,
    term: toTerm(hardState.term),
    ...(leader !== undefined && { leader: leader.name }),
    commitIndex: toIndex(hardState.commit),
    lastIndex: toIndex(node.lastIndex),
    highWatermark: node.highWatermark,
    members,
    ...(problem !== undefined && { problem }),
    ...(gossip !== undefined && {
      gossip: gossip.members().map((member) => ({ ...member, tags: Object.fromEntries(member.tags) })),
    }),
  };
}

function membersOf(node: RaftNode): MemberStatus[] {
  const { members } = node.configuration;
  const progress = new Map<number, { state: MemberState; match: number }>();
  node.visitProgress((id, { state, match }) => progress.set(id, { state: stateNames[state], match }));
  return members.map(({ id, name, uuid, rpcAddr }) => {
    const known = progress.get(id);
    const isSelf = id === node.status.id;
    const heardMsAgo = isSelf ? undefined : node.heardMsAgo(id);
    const silent = !isSelf && (heardMsAgo === undefined || heardMsAgo > node.electionTimeoutMs);
    return {
      id,
      name,
      uuid,
      rpcAddr,
      role: roleOf(node, id),
      state: isSelf ? 'self' : known === undefined ? 'unknown' : silent ? 'unreachable' : known.state,
      ...(known !== undefined && {
        matchIndex: toIndex(known.match),
        lagEntries: Math.max(0, node.lastIndex - known.match),
      }),
      ...(heardMsAgo !== undefined && { heardMsAgo }),
    };
  });
}

function roleOf(node: RaftNode, id: number): MemberRole {
  if (id === node.leaderId) return 'leader';
  const { voters, votersOutgoing } = node.configuration.confState;
  return voters.includes(id) || votersOutgoing.includes(id) ? 'voter' : 'learner';
}

/** Why nothing commits, if nothing does. */
function problemOf(node: RaftNode, members: readonly MemberStatus[]): string | undefined {
  if (!node.configuration.members.some(({ id }) => id === node.status.id))
    return 'this node is not, or not yet, a member of the cluster';
  const { voters } = node.configuration.confState;
  const voting = members.filter(({ id }) => voters.includes(id));
  const need = majoritySize(voters.length);
  const silent = voting.filter(
    ({ state, heardMsAgo = Infinity }) => state !== 'self' && heardMsAgo > node.electionTimeoutMs,
  );
  const causes = silent.map(({ name, heardMsAgo }) =>
    heardMsAgo === undefined ? `${name} not heard of` : `${name} unreachable for ${Math.round(heardMsAgo / 1000)} s`,
  );
  if (node.leaderId === 0) {
    const reachable = voting.length - silent.length;
    return [`no leader`, ...causes, `${reachable} of ${voting.length} voters reachable from here, need ${need}`].join(
      '; ',
    );
  }
  if (!node.isLeader || node.status.hardState.commit === node.lastIndex || causes.length === 0) return undefined;
  const synced = voting.filter(({ matchIndex = 0 }) => matchIndex >= node.lastIndex).length;
  if (synced >= need) return undefined;
  return [...causes, `${synced} of ${voting.length} voters synced, need ${need}`].join('; ');
}
