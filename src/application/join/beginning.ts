import { describeClusterId } from '../configuration/member-names.js';
import type { Joiner } from '../ports/join-transport.js';
import type { NodeAnswer } from './asked-nodes.js';

/** What a node in no cluster knows about the others. */
export interface Sighting {
  /** The UUIDs of the clusters that gossip tags name. */
  readonly clusterIds: readonly string[];
  /** The given addresses at which no node has answered through gossip yet. */
  readonly unanswered: readonly string[];
  /** Whether each given address was asked at least once. */
  readonly askedAll: boolean;
}

/** Whether a node begins a cluster now. If it would and has to wait, why. */
export type Beginning =
  | { readonly kind: 'begins' }
  /** It joins a cluster. `clusterId` is the UUID of one that exists; undefined: it knows of none yet. */
  | { readonly kind: 'joins'; readonly clusterId?: string }
  | { readonly kind: 'waits'; readonly reason: string };

/**
 * Decides whether a node begins a cluster. A cluster begins once, so nothing begins while a node that answers, or a
 * gossip tag, names a cluster: nodes with empty disks that see members of a cluster have lost their disks. `expects` is
 * the number of nodes that begin a cluster together; the one with the lowest UUID does. A node that begins one alone (1)
 * needs an answer from each address that it was given, and from each node that it knows; 0: it never begins one.
 */
export function beginningOf(
  { uuid, bootstrapExpect: expects }: Pick<Joiner, 'uuid' | 'bootstrapExpect'>,
  { clusterIds, unanswered, askedAll }: Sighting,
  answers: readonly NodeAnswer[],
): Beginning {
  const [clusterId] = [...clusterIds, ...answers.flatMap(clusterIn)];
  if (clusterId !== undefined) return { kind: 'joins', clusterId };
  if (expects === 0) return { kind: 'joins' };
  const waiting = new Set([uuid]);
  for (const answer of answers)
    if (answer.kind === 'waiting' && answer.joiner.bootstrapExpect === expects) waiting.add(answer.joiner.uuid);
  const missing = missingOf(expects === 1, unanswered, answers);
  if (missing.length > 0)
    return { kind: 'waits', reason: `these have not said yet that they are in no cluster: ${missing.join(', ')}` };
  if (!askedAll) return { kind: 'waits', reason: 'not all of the given addresses have been asked yet' };
  if (waiting.size < expects)
    return { kind: 'waits', reason: `${waiting.size} of the ${expects} nodes that begin the cluster are here` };
  const [first] = [...waiting].sort();
  return first === uuid ? { kind: 'begins' } : { kind: 'waits', reason: 'another node begins the cluster' };
}

/** Returns the nodes that may be in a cluster for all that this node knows. */
function missingOf(isAlone: boolean, unanswered: readonly string[], answers: readonly NodeAnswer[]): string[] {
  const unsure = answers.filter(({ kind }) => kind === 'retry' || (isAlone && kind !== 'waiting'));
  return [...(isAlone ? unanswered : []), ...unsure.map(({ address }) => address)];
}

function clusterIn(answer: NodeAnswer): string[] {
  const clusterId = 'clusterId' in answer ? answer.clusterId : undefined;
  return clusterId === undefined ? [] : [describeClusterId(clusterId)];
}
