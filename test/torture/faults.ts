import { directoryFaults } from './directory-faults.js';
import { diskFaults } from './disk-faults.js';
import type { Fault } from './fault.js';
import { memberFaults } from './member-faults.js';
import { networkFaults } from './network-faults.js';
import { processFaults } from './process-faults.js';

/** Every kind of fault, by family. */
export const allFaults: readonly Fault[] = [
  ...processFaults,
  ...networkFaults,
  ...diskFaults,
  ...directoryFaults,
  ...memberFaults,
];

/** The faults of these names, or all, without those of the others. Throws `RangeError` at a name that is no fault's. */
export function selectFaults(only: readonly string[] | undefined, without: readonly string[]): Fault[] {
  const known = allFaults.map(({ name }) => name);
  const unknown = [...(only ?? []), ...without].find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new RangeError(`unknown fault ${JSON.stringify(unknown)}: use --list to show all faults`);
  return allFaults.filter(({ name }) => (only?.includes(name) ?? true) && !without.includes(name));
}
