import type { ConfState } from '../../domain/raft/conf-state.js';
import { emptyConfState } from '../../domain/raft/conf-state.js';
import { type ClusterSettings, featureLevelKnown } from './cluster-settings.js';

/** A node of the cluster. */
export interface Member {
  /** Its Raft id, assigned through the log and never reused. */
  readonly id: number;
  readonly name: string;
  /** UUID of its data directory; empty until it has joined. */
  readonly uuid: string;
  /** HOST:PORT of its gRPC. */
  readonly rpcAddr: string;
  /** The id of the member that it replaces when it is promoted: the same name or UUID under an earlier id. */
  readonly replaces?: number;
}

/**
 * Why a member was removed: an administrator or the member itself asked for it, or it was silent for too long. `unknown`:
 * the configuration does not name it any more.
 */
export type Removal = 'on request' | 'as dead' | 'unknown';

/** A member that was removed, as the configuration remembers it until its UUID is a member again. */
export interface RemovedMember {
  readonly id: number;
  readonly uuid: string;
  readonly removal: Exclude<Removal, 'unknown'>;
}

/** The members and the settings of the cluster as of an index of the log. */
export interface Configuration {
  /** The index of the last entry that it covers; 0: the cluster's first configuration. */
  readonly index: number;
  readonly confState: ConfState;
  /** Exactly the members that `confState` names; by id, ascending. */
  readonly members: readonly Member[];
  /** The highest id ever assigned. */
  readonly lastId: number;
  /** The members that were removed last; left out if there are none. */
  readonly removed?: readonly RemovedMember[];
  readonly settings: ClusterSettings;
}

export const emptyConfiguration: Configuration = {
  index: 0,
  confState: emptyConfState,
  members: [],
  lastId: 0,
  settings: {},
};

/** The configuration of a cluster that begins with this one voter. */
export function firstConfiguration(member: Member): Configuration {
  const { id } = member;
  const confState = { ...emptyConfState, voters: [id] };
  return { index: 0, confState, members: [member], lastId: id, settings: { featureLevel: featureLevelKnown } };
}

/** Returns why the member with this id was removed; undefined if it is a member, or has not been one yet. */
export function removalOf({ members, lastId, removed = [] }: Configuration, id: number): Removal | undefined {
  if (id > lastId || members.some((member) => member.id === id)) return undefined;
  return removed.find((each) => each.id === id)?.removal ?? 'unknown';
}

/** Whether this member is the only voter, also in the outgoing half of a joint configuration. */
export function isOnlyVoter({ confState }: Pick<Configuration, 'confState'>, id: number): boolean {
  const { voters, votersOutgoing } = confState;
  return voters.length === 1 && voters[0] === id && votersOutgoing.length === 0;
}

/** Returns the Raft ids of the voters, in a joint configuration of both halves. */
export function votersOf({ confState }: Pick<Configuration, 'confState'>): readonly number[] {
  const { voters, votersOutgoing } = confState;
  return votersOutgoing.length === 0 ? voters : [...new Set([...voters, ...votersOutgoing])];
}

/** The contents of `raft/snapshot`. */
export interface StoredConfiguration {
  /** This node's own Raft id. */
  readonly id: number;
  /** The members when this node joined: it accepts their messages before it has read about them in the log. */
  readonly contacts: readonly Member[];
  /** This node is a replica, which never becomes a member. Its id is 0, and its history has only the settings. */
  readonly replica?: true;
  /**
   * By index, ascending: the cluster's first configuration, and all from the one as of the entry before the log start.
   */
  readonly history: readonly Configuration[];
  /**
   * The node lacks entries that it acknowledged under `id`. It no longer runs Raft under that id, and asks to be
   * admitted under another one.
   */
  readonly amnesiac?: true;
  /** The generation of the log that this node learned when it joined: the log itself says so further on. */
  readonly generation?: number;
  /** The cluster has this later generation: the node does not run Raft until it has set its log aside and joined again. */
  readonly superseded?: number;
  /** `golog recover` is changing this directory: `interrupted` until it has finished, then `finished` until a start. */
  readonly recovery?: 'interrupted' | 'finished';
  /** The first entry that was found damaged and is not repaired yet; the next start repairs it. */
  readonly damagedFrom?: number;
  /**
   * Entries before `until` that this node acknowledged may be missing from its log: the node does not run Raft until it
   * has fetched them from its peers. Entries from `cutFrom` on are removed before that; the field is absent once they
   * are removed.
   */
  readonly repairing?: { readonly until: number; readonly cutFrom?: number };
}

/**
 * Returns the other members, by id, ascending. Includes the contacts that this node received on joining until it has
 * read in the log that it is a member.
 */
export function peersOf(
  { stored, current }: { readonly stored: StoredConfiguration | undefined; readonly current: Configuration },
  id: number,
): readonly Member[] {
  const isMember = current.members.some((member) => member.id === id);
  const contacts = isMember ? [] : (stored?.contacts ?? []);
  // The contacts are newer than a configuration that does not name this node.
  const known = new Map([...current.members, ...contacts].map((member) => [member.id, member]));
  const self = known.get(id);
  // The node may have been a member under another id.
  const others = [...known.values()].filter((member) => member !== self && member.uuid !== self?.uuid);
  return others.sort((a, b) => a.id - b.id);
}

/** The context of a configuration change: data for the nodes that apply it. */
export interface ChangeContext {
  /** Members that are added or whose name, UUID or address changes. */
  readonly members: readonly Member[];
  /** Members that are removed, as far as the configuration is to remember them. */
  readonly removed?: readonly RemovedMember[];
  /** All settings after the change; absent: the same as before. */
  readonly settings?: ClusterSettings;
}

/** What a joining node receives, and what the snapshot for a follower whose log ends before the log start carries. */
export interface ConfigurationTransfer {
  readonly configuration: Configuration;
  /** The first offset after the configuration's index; 0 for a joining node. */
  readonly offset: number;
  readonly contacts: readonly Member[];
  /** The generation of the log, for a joining node; absent: 0. */
  readonly generation?: number;
}
