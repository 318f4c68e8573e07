/** The timing parameters of memberlist's profiles. Times are in milliseconds. */
export interface GossipTiming {
  /** The time between two probes (SWIM's protocol period). */
  readonly probeIntervalMs: number;
  /** The time after which a direct ping counts as unanswered and indirect pings are sent. */
  readonly probeTimeoutMs: number;
  readonly gossipIntervalMs: number;
  /** The number of members that get each round of gossip. */
  readonly gossipNodes: number;
  /** The time for which a failed or left member still gets gossip, so that it can refute its death. */
  readonly gossipToTheDeadMs: number;
  /** The time between two push/pulls with a random member; longer in groups of more than 32. */
  readonly pushPullIntervalMs: number;
  /** The number of members asked for an indirect ping. */
  readonly indirectChecks: number;
  readonly retransmitMult: number;
  readonly suspicionMult: number;
  /** The ratio of the maximum to the minimum suspicion timeout (Lifeguard). */
  readonly suspicionMaxTimeoutMult: number;
  /** The health score stays below it (Lifeguard). */
  readonly awarenessMax: number;
  /** The timeout of a stream, for the driver. */
  readonly streamTimeoutMs: number;
}

export const lanTiming: GossipTiming = {
  probeIntervalMs: 1000,
  probeTimeoutMs: 500,
  gossipIntervalMs: 200,
  gossipNodes: 3,
  gossipToTheDeadMs: 30_000,
  pushPullIntervalMs: 30_000,
  indirectChecks: 3,
  retransmitMult: 4,
  suspicionMult: 4,
  suspicionMaxTimeoutMult: 6,
  awarenessMax: 8,
  streamTimeoutMs: 10_000,
};

export const wanTiming: GossipTiming = {
  ...lanTiming,
  probeIntervalMs: 5000,
  probeTimeoutMs: 3000,
  gossipIntervalMs: 500,
  gossipNodes: 4,
  gossipToTheDeadMs: 60_000,
  pushPullIntervalMs: 60_000,
  suspicionMult: 6,
  streamTimeoutMs: 30_000,
};

export const localTiming: GossipTiming = {
  ...lanTiming,
  probeTimeoutMs: 200,
  gossipIntervalMs: 100,
  gossipToTheDeadMs: 15_000,
  pushPullIntervalMs: 15_000,
  indirectChecks: 1,
  retransmitMult: 2,
  suspicionMult: 3,
  streamTimeoutMs: 1000,
};

/** Larger groups use a longer push/pull interval. */
const pushPullScaleThreshold = 32;

/** A query waits for this many gossip rounds, times the number of digits of the group's size, as in Serf. */
const queryTimeoutRounds = 16;

/** Returns how often one message is sent in a group of `memberCount`. */
export function retransmitLimit(timing: GossipTiming, memberCount: number): number {
  return timing.retransmitMult * Math.ceil(Math.log10(memberCount + 1));
}

export function pushPullIntervalMs(timing: GossipTiming, memberCount: number): number {
  if (memberCount <= pushPullScaleThreshold) return timing.pushPullIntervalMs;
  const doublings = Math.ceil(Math.log2(memberCount) - Math.log2(pushPullScaleThreshold));
  return (doublings + 1) * timing.pushPullIntervalMs;
}

/** Returns the minimum suspicion timeout in a group of `memberCount`, reached with enough confirmations. */
export function suspicionMinMs(timing: GossipTiming, memberCount: number): number {
  const scale = Math.max(1, Math.log10(Math.max(1, memberCount)));
  return (timing.suspicionMult * Math.trunc(scale * 1000) * timing.probeIntervalMs) / 1000;
}

export function queryTimeoutMs(timing: GossipTiming, memberCount: number): number {
  return timing.gossipIntervalMs * queryTimeoutRounds * Math.ceil(Math.log10(memberCount + 1));
}
