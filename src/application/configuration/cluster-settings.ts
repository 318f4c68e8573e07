import type { Retention } from '../../domain/log/retention.js';

/**
 * The highest feature level that this release knows. Level 1: cluster settings, `TruncateLog`, and generations. A
 * cluster of releases without levels is at level 0.
 */
export const featureLevelKnown = 1;

/**
 * The level of exactly-once appends. Above `featureLevelKnown`, so that no node offers it and no cluster gets there,
 * until a node can also load what the log knows of producers when it starts, and after a reset.
 */
export const exactlyOnceLevel = 2;

/**
 * What the members have agreed on, besides who they are; part of the configuration. An absent field has its default.
 * Fields of a later release are kept.
 */
export interface ClusterSettings {
  /** What may be written to the log and sent between members; every member offers at least this level. Default 0. */
  readonly featureLevel?: number;
  /** Counts the histories of the log: `golog recover` begins the next one. Default 0. */
  readonly generation?: number;
  /** The log starts at this offset or later, on every node: see `golog truncate`. Default 0. */
  readonly startOffset?: number;
  /** Every node removes the oldest segments while its log is larger. Default: no limit. */
  readonly retentionBytes?: number;
  /** Every node removes the segments whose newest record is older. Default: no limit. */
  readonly retentionAgeMs?: number;
  /** The log remembers this many named producers at most. Default 10,000. No effect below `exactlyOnceLevel`. */
  readonly producersMax?: number;
  /** A named producer is forgotten after this long without a batch. Default 7 days. No effect below `exactlyOnceLevel`. */
  readonly producerExpiryMs?: number;
}

export const defaultProducersMax = 10_000;
export const ephemeralProducersMax = 50_000;
export const defaultProducerExpiryMs = 7 * 24 * 3_600_000;
export const ephemeralProducerExpiryMs = 15 * 60_000;

/** New values of settings. 0 removes a retention limit; a start offset below the present one changes nothing. */
export type SettingsChange = Pick<
  ClusterSettings,
  'startOffset' | 'retentionBytes' | 'retentionAgeMs' | 'producersMax' | 'producerExpiryMs'
>;

/** The cluster is at a feature level that this release does not know: the node must not start. */
export class UnknownFeatureLevelError extends Error {
  override readonly name = 'UnknownFeatureLevelError';
  constructor(readonly featureLevel: number) {
    super(
      `the cluster is at feature level ${featureLevel}, but this release knows only levels up to ${featureLevelKnown}: ` +
        'start the node with the release that the other members run',
    );
  }
}

/** @throws UnknownFeatureLevelError */
export function assertLevelKnown({ featureLevel = 0 }: ClusterSettings): void {
  if (featureLevel > featureLevelKnown) throw new UnknownFeatureLevelError(featureLevel);
}

/** Returns the settings after the change. */
export function settingsAfter(before: ClusterSettings, change: SettingsChange): ClusterSettings {
  const { retentionBytes, retentionAgeMs, ...rest } = { ...before, ...change };
  const startOffset = Math.max(before.startOffset ?? 0, change.startOffset ?? 0);
  return {
    ...rest,
    ...(startOffset > 0 && { startOffset }),
    ...(retentionBytes && { retentionBytes }),
    ...(retentionAgeMs && { retentionAgeMs }),
  };
}

/** Returns the retention of a node: the stricter of the cluster's limits and its own. */
export function stricterRetention(own: Retention, { retentionBytes, retentionAgeMs }: ClusterSettings): Retention {
  const bytesMax = smaller(own.bytesMax, retentionBytes);
  const ageMsMax = smaller(own.ageMsMax, retentionAgeMs);
  return { ...(bytesMax !== undefined && { bytesMax }), ...(ageMsMax !== undefined && { ageMsMax }) };
}

/** Returns the flags of a node by which its own retention differs from the cluster's. */
export function differingFlags(own: Retention, { retentionBytes, retentionAgeMs }: ClusterSettings): string[] {
  return [
    ...(own.bytesMax !== undefined && own.bytesMax !== retentionBytes ? ['--retention-bytes'] : []),
    ...(own.ageMsMax !== undefined && own.ageMsMax !== retentionAgeMs ? ['--retention-age'] : []),
  ];
}

function smaller(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || other === undefined ? (one ?? other) : Math.min(one, other);
}
