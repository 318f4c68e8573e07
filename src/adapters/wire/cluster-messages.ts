import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  type ClusterSettings,
  defaultProducerExpiryMs,
  defaultProducersMax,
} from '../../application/configuration/cluster-settings.js';
import type { ClusterStatus, ScrubStatus } from '../../application/ports/cluster.js';
import type {
  ClusterSettingsSchema,
  ClusterStatusSchema,
  ScrubStatusSchema,
} from '../../gen/golog/v1/cluster_service_pb.js';
import { GossipStatus, MemberRole, MemberState } from '../../gen/golog/v1/cluster_service_pb.js';

const roles = { leader: MemberRole.LEADER, voter: MemberRole.VOTER, learner: MemberRole.LEARNER } as const;
const states = {
  self: MemberState.SELF,
  probing: MemberState.PROBING,
  replicating: MemberState.REPLICATING,
  'catching-up': MemberState.CATCHING_UP,
  unreachable: MemberState.UNREACHABLE,
  unknown: MemberState.UNKNOWN,
} as const;

const gossipStatuses = {
  alive: GossipStatus.ALIVE,
  leaving: GossipStatus.LEAVING,
  left: GossipStatus.LEFT,
  failed: GossipStatus.FAILED,
} as const;

const whole = (value: number): bigint => BigInt(Math.max(0, Math.round(value)));

/** `golog.v1.ClusterStatus`. */
export function clusterStatusMessage({
  scrub,
  ...status
}: ClusterStatus): MessageInitShape<typeof ClusterStatusSchema> {
  return {
    ...status,
    term: BigInt(status.term),
    commitIndex: BigInt(status.commitIndex),
    lastIndex: BigInt(status.lastIndex),
    highWatermark: BigInt(status.highWatermark),
    members: status.members.map(({ matchIndex, lagEntries, heardMsAgo, featureLevel, ...member }) => ({
      ...member,
      id: BigInt(member.id),
      role: roles[member.role],
      state: states[member.state],
      ...(matchIndex !== undefined && { matchIndex: BigInt(matchIndex) }),
      ...(lagEntries !== undefined && { lagEntries: whole(lagEntries) }),
      ...(heardMsAgo !== undefined && { heardMsAgo: whole(heardMsAgo) }),
      ...(featureLevel !== undefined && { featureLevel: BigInt(featureLevel) }),
    })),
    settings: clusterSettingsMessage(status.settings),
    ...(scrub && { scrub: scrubMessage(scrub) }),
    gossip: status.gossip?.map((member) => ({ ...member, status: gossipStatuses[member.status] })) ?? [],
  };
}

/** `golog.v1.ScrubStatus`. */
function scrubMessage(scrub: ScrubStatus): MessageInitShape<typeof ScrubStatusSchema> {
  const { completedAtMs, repair } = scrub;
  return {
    checkedBytes: whole(scrub.checkedBytes),
    totalBytes: whole(scrub.totalBytes),
    bytesPerSecond: whole(scrub.bytesPerSecond),
    ...(completedAtMs !== undefined && { completedAtMs: whole(completedAtMs) }),
    damaged: scrub.damaged.map(({ from, to, reason }) => ({ fromOffset: whole(from), toOffset: whole(to), reason })),
    ...(repair !== undefined && { repair }),
  };
}

/** `golog.v1.ClusterSettings`. */
export function clusterSettingsMessage(settings: ClusterSettings): MessageInitShape<typeof ClusterSettingsSchema> {
  const { retentionBytes, retentionAgeMs, featureLevel = 0, generation = 0, startOffset = 0 } = settings;
  const { producersMax = defaultProducersMax, producerExpiryMs = defaultProducerExpiryMs } = settings;
  return {
    ...(retentionBytes !== undefined && { retentionBytes: BigInt(retentionBytes) }),
    ...(retentionAgeMs !== undefined && { retentionAgeMs: BigInt(retentionAgeMs) }),
    producersMax: BigInt(producersMax),
    producerExpiryMs: BigInt(producerExpiryMs),
    featureLevel: BigInt(featureLevel),
    generation: BigInt(generation),
    startOffset: BigInt(startOffset),
  };
}
