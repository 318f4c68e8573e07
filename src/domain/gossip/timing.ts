/** How often, how long and how many: memberlist's profiles. Times are in milliseconds. */
export interface GossipTiming {
  /** Between two probes of a member (SWIM's protocol period). */
  readonly probeIntervalMs: number;
  /** Until a direct ping counts as unanswered and others are asked to ping too. */
  readonly probeTimeoutMs: number;
  readonly gossipIntervalMs: number;
  /** How many members hear each round of gossip. */
  readonly gossipNodes: number;
  /** For so long a failed or left member still gets gossip, and can so refute its death. */
  readonly gossipToTheDeadMs: number;
  /** Between two exchanges of everything with a random member; longer in groups of more than 32. */
  readonly pushPullIntervalMs: number;
  /** How many members are asked for an indirect ping. */
  readonly indirectChecks: number;
  readonly retransmitMult: number;
  readonly suspicionMult: number;
  /** How much longer than the shortest the longest suspicion is (Lifeguard). */
  readonly suspicionMaxTimeoutMult: number;
  /** The worst health score is one less (Lifeguard). */
  readonly awarenessMax: number;
  /** The deadline of a stream: for the driver. */
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

/** Groups of more members exchange everything less often. */
const pushPullScaleThreshold = 32;

/** Serf's: a query waits for this many rounds of gossip, times the digits of the group's size. */
const queryTimeoutRounds = 16;

/** How often one message is passed on in a group of `memberCount`. */
export function retransmitLimit(timing: GossipTiming, memberCount: number): number {
  return timing.retransmitMult * Math.ceil(Math.log10(memberCount + 1));
}

export function pushPullIntervalMs(timing: GossipTiming, memberCount: number): number {
  if (memberCount <= pushPullScaleThreshold) return timing.pushPullIntervalMs;
  const doublings = Math.ceil(Math.log2(memberCount) - Math.log2(pushPullScaleThreshold));
  return (doublings + 1) * timing.pushPullIntervalMs;
}

/** The shortest suspicion in a group of `memberCount`: what is left when enough others suspect too. */
export function suspicionMinMs(timing: GossipTiming, memberCount: number): number {
  const scale = Math.max(1, Math.log10(Math.max(1, memberCount)));
  return (timing.suspicionMult * Math.trunc(scale * 1000) * timing.probeIntervalMs) / 1000;
}

export function queryTimeoutMs(timing: GossipTiming, memberCount: number): number {
  return timing.gossipIntervalMs * queryTimeoutRounds * Math.ceil(Math.log10(memberCount + 1));
}
