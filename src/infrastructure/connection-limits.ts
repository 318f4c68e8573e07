import { readFileSync } from 'node:fs';
import { defaultLimits } from '../adapters/listener/limits.js';

/** What is left for files, gossip and links to peers: at most, and at least. The log keeps up to 64 idle files open. */
const otherDescriptors = { max: 512, min: 192 };
/** The descriptors that are kept open for the files of the log. */
export const spareDescriptors = 32;

export interface ConnectionLimits {
  readonly connectionsMax: number;
  readonly connectionsPerAddressMax: number;
}

/**
 * Returns the limits of each of the two listeners in a process that may have that many descriptors: the defaults if
 * they fit, otherwise less.
 */
export function connectionLimits(descriptors: number): ConnectionLimits {
  const { connectionsMax, connectionsPerAddressMax } = defaultLimits;
  const { max, min } = otherDescriptors;
  const forClients = descriptors - Math.min(max, Math.max(min, Math.ceil(descriptors / 2)));
  const fitting = Math.min(connectionsMax, Math.max(1, Math.floor(forClients / 2)));
  return {
    connectionsMax: fitting,
    connectionsPerAddressMax: Math.min(connectionsPerAddressMax, Math.ceil(fitting / 2)),
  };
}

/** The number of descriptors that this process may have (RLIMIT_NOFILE); infinite where the system does not tell. */
export function descriptorLimit(): number {
  try {
    const [, soft] = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
    return soft === undefined ? Infinity : Number(soft);
  } catch {
    return Infinity;
  }
}
