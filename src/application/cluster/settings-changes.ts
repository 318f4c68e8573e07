import { InvalidInputError } from '../../domain/log/errors.js';
import { confChangeV2 } from '../../domain/raft/conf-change.js';
import {
  type ClusterSettings,
  featureLevelKnown,
  type SettingsChange,
  settingsAfter,
} from '../configuration/cluster-settings.js';
import { encodeChangeContext } from '../configuration/configuration-json.js';
import { UnavailableError } from '../errors.js';
import { assertFeatureLevel } from '../ports/cluster.js';
import type { Logger } from '../ports/logger.js';
import type { PeerTransport } from '../ports/peer-transport.js';
import type { Leadership } from '../raft/leadership.js';

/** The feature level that has settings. */
const settingsLevel = 1;

/** @throws FeatureNotEnabledError */
export function assertSettingsEnabled(settings: ClusterSettings): void {
  assertFeatureLevel(settings, settingsLevel);
}

/** Implements `Cluster.changeSettings` on the leader. */
export async function changeSettings(leadership: Leadership, change: SettingsChange): Promise<ClusterSettings> {
  const { settings } = leadership.configuration;
  const { startOffset = 0 } = change;
  if (startOffset > leadership.highWatermark)
    throw new InvalidInputError(
      `the log cannot start at offset ${startOffset}: expected at most its end, ${leadership.highWatermark}`,
    );
  const after = settingsAfter(settings, change);
  await propose(leadership, after);
  return after;
}

export interface LevelRaising {
  readonly leadership: Leadership;
  readonly transport: Pick<PeerTransport, 'unansweredMs' | 'featureLevelOf'>;
  readonly logger: Logger;
}

/** Raises the feature level, on the leader, once every member is connected and has offered a higher one. */
export async function maybeRaiseFeatureLevel({ leadership, transport, logger }: LevelRaising): Promise<void> {
  if (!leadership.isLeader) return;
  const { members, settings } = leadership.configuration;
  const { featureLevel: from = 0 } = settings;
  if (from >= featureLevelKnown) return;
  const offers = members.map(({ id }) => {
    if (id === leadership.status.id) return featureLevelKnown;
    return transport.unansweredMs(id) === 0 ? (transport.featureLevelOf(id) ?? 0) : 0;
  });
  const featureLevel = Math.min(featureLevelKnown, ...offers);
  if (featureLevel <= from) return;
  try {
    await propose(leadership, { ...settings, featureLevel });
  } catch (error) {
    if (!(error instanceof UnavailableError)) throw error;
    return;
  }
  logger.info('feature_level_raised', { from, featureLevel }, 'raised the feature level of the cluster');
}

/**
 * Makes these the settings. A change without members would leave a joint configuration, so this one updates the leader
 * to what it is: a change that every release applies, and that changes nothing but the settings.
 */
function propose(leadership: Leadership, settings: ClusterSettings): Promise<void> {
  const context = encodeChangeContext({ members: [], settings });
  const changes = [{ type: 'update-node', nodeId: leadership.status.id }] as const;
  return leadership.proposeChange(confChangeV2({ changes, context }));
}
