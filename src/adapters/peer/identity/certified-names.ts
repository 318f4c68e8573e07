import type { Caller } from '../../../application/access/access.js';

type NodeIdentity = NonNullable<Caller['node']>;

/**
 * Returns the names under which one node knows another, by the certificates of both: if both name clusters, only the
 * names in a cluster that both name count. `foreign` says which are named if there is no such cluster.
 */
export function namesFor(
  own: NodeIdentity | undefined,
  peer: NodeIdentity,
): { readonly names: readonly string[]; readonly foreign?: string } {
  if (own?.cluster === undefined || peer.cluster === undefined) return { names: peer.names };
  const expected = namesByCluster(own);
  const found = namesByCluster(peer);
  const names = [...found].filter(([cluster]) => expected.has(cluster)).flatMap(([, each]) => each);
  if (names.length > 0) return { names };
  const list = (clusters: ReadonlyMap<string, unknown>): string => [...clusters.keys()].join(', ');
  return { names, foreign: `the certificate is for cluster ${list(found)}; expected ${list(expected)}` };
}

function namesByCluster({ cluster = '', names, others = [] }: NodeIdentity): ReadonlyMap<string, readonly string[]> {
  return new Map([[cluster, names], ...others.map((other) => [other.cluster, other.names] as const)]);
}
