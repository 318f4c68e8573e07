import { isOnlyVoter, type Member, peersOf } from '../configuration/configuration.js';
import type { ConfigurationFile } from '../configuration/configuration-file.js';

/** Whom a member may ask for entries: nobody where it is the only voter. By id, ascending. */
export function repairersOf(file: Pick<ConfigurationFile, 'stored' | 'current'>, id: number): readonly Member[] {
  return isOnlyVoter(file.current, id) ? [] : peersOf(file, id);
}
