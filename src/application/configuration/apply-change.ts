import { asV2, type ConfChangeV2, decodeConfChange } from '../../domain/raft/conf-change.js';
import type { ConfState } from '../../domain/raft/conf-state.js';
import type { Entry } from '../../domain/raft/entry.js';
import type { Configuration } from './configuration.js';
import { decodeChangeContext } from './configuration-json.js';

/** The number of removed members that a configuration remembers: the last ones. */
const removedMax = 64;

/**
 * Returns the configuration after a committed configuration entry. Throws `InvalidInputError` for an entry that cannot
 * be decoded.
 *
 * @param change returns the effect of the change on the votes; throws if the change is not valid
 */
export function configurationAfter(
  before: Configuration,
  { index, type, data }: Entry,
  change: (change: ConfChangeV2) => ConfState,
): Configuration {
  const decoded = asV2(decodeConfChange(type, data));
  const { members: changed, removed: leaving = [], settings } = decodeChangeContext(decoded);
  const confState = change(decoded);
  const members = new Map([...before.members, ...changed].map((member) => [member.id, member]));
  const named = new Set([
    ...confState.voters,
    ...confState.votersOutgoing,
    ...confState.learners,
    ...confState.learnersNext,
  ]);
  const all = [...members.values()];
  const removed = [...(before.removed ?? []), ...leaving]
    .filter((each) => !all.some((member) => member.uuid === each.uuid && member.id > each.id))
    .slice(-removedMax);
  return {
    index,
    confState,
    members: all.filter(({ id }) => named.has(id)).sort((a, b) => a.id - b.id),
    lastId: Math.max(before.lastId, ...decoded.changes.map(({ nodeId }) => nodeId)),
    settings: settings ?? before.settings,
    ...(removed.length > 0 && { removed }),
  };
}
