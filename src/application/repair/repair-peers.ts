import { isOnlyVoter, type Member, peersOf } from '../configuration/configuration.js';
import type { ConfigurationFile } from '../configuration/configuration-file.js';

/** Returns the members that a member may ask for entries: none if it is the only voter. By id, ascending. */
export function repairersOf(file: Pick<ConfigurationFile, 'stored' | 'current'>, id: number): readonly Member[] {
  return isOnlyVoter(file.current, id) ? [] : peersOf(file, id);
}
