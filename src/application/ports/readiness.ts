/**
 * What a node does, as `/readyz` names it. `docs/states.md` has a row for each: what a node in this state serves, and
 * what an operator does.
 */
export const nodeStates = [
  'ready',
  'starting',
  'joining',
  'unvouched',
  'running-elsewhere',
  'misnamed',
  'amnesiac',
  'superseded',
  'repairing',
  'damaged',
  'removed',
  'rejoining',
  'disk-stalled',
  'disk-full',
  'catching-up',
  'no-leader',
  'no-source',
  'stopping',
] as const;

export type NodeState = (typeof nodeStates)[number];

/** Whether a node is ready, and what an operator should know. */
export interface Readiness {
  readonly state: NodeState;
  /** What is wrong, since when if that is known, and what to do; a node that is ready may have a problem too. */
  readonly problem?: string;
}

/** Why a node is not ready. */
export interface Unready extends Readiness {
  readonly problem: string;
}

/** The readiness of a node whose member another process, at this address, runs as. */
export function runningElsewhere(rpcAddr: string): Unready {
  return {
    state: 'running-elsewhere',
    problem:
      `another process runs as this member at ${rpcAddr}: this data directory may be a copy; stop one of the two, and ` +
      'give a new node an empty data directory',
  };
}

/** The readiness of a node whose disk has hung for so long. */
export function diskStalled(name: string, ms: number): Unready {
  return {
    state: 'disk-stalled',
    problem:
      `the disk of ${name} hangs: it has not finished a write in time for ${Math.round(ms / 1000)} s; until it does, ` +
      `${name} acknowledges nothing itself, votes for nobody and shows nothing new; check that disk`,
  };
}

/** The readiness of a node whose disk has less free space than its reserve. */
export function diskFull(name: string, freeBytes: number, reserveBytes: number): Unready {
  return {
    state: 'disk-full',
    problem:
      `the disk of ${name} is full: ${Math.max(0, freeBytes)} bytes are free, and --disk-reserve-bytes is ` +
      `${reserveBytes}; until there is space, ${name} serves reads and writes nothing to the log`,
  };
}

/** What health checks ask; each answer is of this moment. */
export interface ReadinessProbe {
  /** Not ready whenever this node cannot do all that clients ask for, such as while there is no leader. */
  readonly strict: Readiness;
  /**
   * Ready from the first time on that `strict` was: what the whole cluster lacks then changes nothing. Otherwise all
   * nodes would lose their names when a quorum is lost, and could not find each other again.
   */
  readonly latched: Readiness;
}

/** Answers the same whenever it is asked. */
export function alwaysIn(readiness: Readiness): ReadinessProbe {
  return { strict: readiness, latched: readiness };
}
