import { setTimeout as delay } from 'node:timers/promises';
import type { Certificates } from './certificates.js';
import type { Cluster } from './cluster.js';
import type { DirectoryCopies } from './directory-copies.js';
import type { Links } from './links.js';
import type { TortureNode } from './node.js';
import type { Random } from './random.js';

/** What faults happen to. */
export interface Stage {
  readonly cluster: Cluster;
  readonly links: Links;
  readonly copies: DirectoryCopies;
  readonly certificates: Certificates | undefined;
  /** Whether the nodes run with faulty systems. */
  readonly hasFaultySystems: boolean;
  /** Says something in the report. */
  readonly tell: (text: string) => void;
}

/** A fault that has begun. */
export interface BegunFault {
  /** Where and how, for the report: `n2, for 3 s`. */
  readonly what: string;
  /** Resolves when the fault has ended, and what is left for the nodes to do is to recover. */
  end(): Promise<void>;
}

/** One kind of fault. */
export interface Fault {
  readonly name: string;
  /** What it does, for `--list`. */
  readonly summary: string;
  /** Why it cannot happen here. */
  readonly lacks?: (stage: Stage) => string | undefined;
  /** How long it lasts, from and to, in milliseconds (default: 1 to 10 seconds). */
  readonly lastsMs?: readonly [number, number];
  /**
   * It begins only when the cluster is whole, and no other fault of this kind happens until it is whole again: such a fault
   * makes the disks of as many nodes false as a cluster must survive (I16 of docs/guarantees.md), or changes the members.
   */
  readonly needsWhole?: boolean;
  /** Appends go on while it lasts: a majority of the nodes is as before. `after`: they go on once it has ended. */
  readonly appendsGoOn?: boolean | 'after';
  /** A node may end by itself while the fault lasts, and start again. */
  readonly mayEndNodes?: boolean;
  /** Undefined: nothing to do it to is free. */
  begin(stage: Stage, random: Random): Promise<BegunFault | undefined>;
}

/** As many nodes as a cluster may lose and go on. */
export const minorityOf = ({ size }: Cluster): number => Math.floor((size - 1) / 2);

export const namesOf = (nodes: readonly TortureNode[]): string => nodes.map(({ name }) => name).join(' and ');

/** A fault of nodes that it has for itself. `begin` is given the nodes, and returns what ends the fault. */
export async function claiming(
  stage: Stage,
  random: Random,
  { count, which }: { readonly count: number; readonly which: 'any' | 'leader' | 'follower' },
  begin: (nodes: readonly TortureNode[]) => Promise<{ how?: string; end: () => Promise<void> }>,
): Promise<BegunFault | undefined> {
  const nodes = await stage.cluster.claim(random, count, which);
  if (nodes.length === 0) return undefined;
  const { how, end } = await begin(nodes);
  return {
    what: namesOf(nodes) + (how === undefined ? '' : `, ${how}`),
    end: async () => {
      await end();
      stage.cluster.release(nodes);
    },
  };
}

export const lacksFaultySystem = ({ hasFaultySystems }: Stage): string | undefined =>
  hasFaultySystems ? undefined : 'no gcc';

/** Resolves after so many milliseconds. */
export const lasting = (ms: number): Promise<void> => delay(ms);
