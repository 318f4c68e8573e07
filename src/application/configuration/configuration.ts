import type { ConfChange, ConfChangeV2 } from '../../domain/raft/conf-change.js';
import { asV2 } from '../../domain/raft/conf-change.js';
import type { ConfState } from '../../domain/raft/conf-state.js';
import { emptyConfState } from '../../domain/raft/conf-state.js';

/** A node of the cluster. */
export interface Member {
  /** Its Raft id, given out in the log and never again. */
  readonly id: number;
  readonly name: string;
  /** UUID of its data directory; empty until it has joined. */
  readonly uuid: string;
  /** HOST:PORT of its gRPC. */
  readonly rpcAddr: string;
  /** The member of the same name whose disk is gone, and whose place it takes when it is promoted. */
  readonly replaces?: number;
}

/** Who is in the cluster as of an index of the log. */
export interface Configuration {
  /** The last entry that it takes in; 0: as the cluster began. */
  readonly index: number;
  readonly confState: ConfState;
  /** All that `confState` names, and nobody else; by id, ascending. */
  readonly members: readonly Member[];
  /** The highest id ever given out. */
  readonly lastId: number;
}

export const emptyConfiguration: Configuration = { index: 0, confState: emptyConfState, members: [], lastId: 0 };

/** The configuration of a cluster that begins with this one voter. */
export function firstConfiguration(member: Member): Configuration {
  return { index: 0, confState: { ...emptyConfState, voters: [member.id] }, members: [member], lastId: member.id };
}

/** Whether nobody else has a vote, nor had one in a change that is under way. */
export function isOnlyVoter({ confState }: Pick<Configuration, 'confState'>, id: number): boolean {
  const { voters, votersOutgoing } = confState;
  return voters.length === 1 && voters[0] === id && votersOutgoing.length === 0;
}

/** What a node keeps in `raft/snapshot`. */
export interface StoredConfiguration {
  /** This node's own Raft id. */
  readonly id: number;
  /** Who was in the cluster when this node joined: whom it may hear from before it has read so in the log. */
  readonly contacts: readonly Member[];
  /** It is a replica: no member, and it never will be. Its id is 0, and its history empty. */
  readonly replica?: true;
  /** By index, ascending: as the cluster began, and all from the one as of the entry before the log start. */
  readonly history: readonly Configuration[];
  /**
   * It acknowledged, under `id`, entries that it no longer has. It takes no part under that id any more, and asks to be
   * admitted under another one.
   */
  readonly amnesiac?: true;
  /** From this entry on the log was found damaged, and nobody has repaired it yet: the next start does. */
  readonly damagedFrom?: number;
  /**
   * What this node acknowledged, all of it before entry `until`, may be missing in its log: until that is fetched again
   * from the peers, the node takes no part. Entries from `cutFrom` on go before that; left out once they are gone.
   */
  readonly repairing?: { readonly until: number; readonly cutFrom?: number };
}

/**
 * The other members, by id, ascending; those that it was told of on joining as well, while it has not read in the log
 * that it is a member itself.
 */
export function peersOf(
  { stored, current }: { readonly stored: StoredConfiguration | undefined; readonly current: Configuration },
  id: number,
): readonly Member[] {
  const isMember = current.members.some((member) => member.id === id);
  const contacts = isMember ? [] : (stored?.contacts ?? []);
  // They are of a later time than a configuration that does not have this node.
  const known = new Map([...current.members, ...contacts].map((member) => [member.id, member]));
  const self = known.get(id);
  // It may have been a member under another id before.
  const others = [...known.values()].filter((member) => member !== self && member.uuid !== self?.uuid);
  return others.sort((a, b) => a.id - b.id);
}

/** What the context of a configuration change says to those who apply it. */
export interface ChangeContext {
  /** Members that are added, or whose name, UUID or address changes. */
  readonly members: readonly Member[];
}

/** The configuration after a change that says `context`, and whose effect on the votes is `confState`. */
export function configurationAfter(
  before: Configuration,
  index: number,
  change: ConfChange | ConfChangeV2,
  context: ChangeContext,
  confState: ConfState,
): Configuration {
  const members = new Map(before.members.map((member) => [member.id, member]));
  for (const member of context.members) members.set(member.id, member);
  const named = new Set([
    ...confState.voters,
    ...confState.votersOutgoing,
    ...confState.learners,
    ...confState.learnersNext,
  ]);
  const added = asV2(change).changes.map(({ nodeId }) => nodeId);
  return {
    index,
    confState,
    members: [...members.values()].filter(({ id }) => named.has(id)).sort((a, b) => a.id - b.id),
    lastId: Math.max(before.lastId, ...added),
  };
}

/** What a joining node is told, and what the snapshot for a follower behind the log start carries. */
export interface ConfigurationTransfer {
  readonly configuration: Configuration;
  /** The first offset behind the configuration's index; 0 for a joining node. */
  readonly offset: number;
  readonly contacts: readonly Member[];
}
