import type { EntryId } from '../../domain/raft/entry-id.js';
import type { Removal } from '../configuration/configuration.js';
import type { VouchAnswer, VouchRequest } from './vouching.js';

/** A node that asks to be admitted to a cluster, as it describes itself. */
export interface Joiner {
  readonly name: string;
  /** UUID of its data directory: a wiped disk is a new node. */
  readonly uuid: string;
  /** HOST:PORT where its peers reach it. */
  readonly rpcAddr: string;
  /** `--bootstrap-expect`; 0 if it was not given. */
  readonly bootstrapExpect: number;
  /** The id of the log that it already has as a former member: 16 bytes. */
  readonly clusterId?: Uint8Array;
  /** The Raft id under which it acknowledged entries that it no longer has: it asks for another id. */
  readonly forgotAs?: number;
  /** Entries that it knows to be committed: the last, and some where terms begin. */
  readonly committed?: readonly EntryId[];
  /** The Raft id as which it runs already: it only reports its address, and is admitted under no other id. */
  readonly runsAs?: number;
  /** The feature level that its release offers; undefined: 0. */
  readonly featureLevel?: number;
  /** The generation of the log that it stores; undefined: 0. */
  readonly generation?: number;
}

/** A broken link to a member may be dialed again within this time; after it, no process counts as the member. */
export const answeringMs = 3_000;

/** The last entry that a member has acknowledged to its leader. */
export interface Acknowledged {
  /** 0: no entry. */
  readonly index: number;
  /** The term of that entry; 0: the leader does not know it. */
  readonly term: number;
}

/** What a leader reports about itself and about the member that asks. */
export interface LeaderView {
  readonly term: number;
  readonly leaderId: number;
  /** The last entry that the member acknowledged in this term, under the Raft id that the answer assigns. */
  readonly acknowledged: Acknowledged;
  /** Whether the member votes under that id. */
  readonly votes: boolean;
}

export type JoinAnswer =
  /** The node is now a member, under this Raft id. `configuration` is opaque here: see `parseTransfer`. */
  | {
      readonly kind: 'joined';
      readonly clusterId: Uint8Array;
      readonly id: number;
      readonly configuration: Uint8Array;
      readonly view?: LeaderView;
    }
  /** The node asked is in no cluster either. */
  | { readonly kind: 'waiting'; readonly joiner: Joiner }
  /**
   * Not now: ask again, at the leader if one is named. `aliveAt` is HOST:PORT where another process answers as the
   * member that the joiner claims to be: until that process ends, the joiner may not run Raft. It has been silent for
   * `silentMs`, and counts as ended after `answeringMs`. `clusterId` is the cluster that the node asked is in or waits to
   * join; without one it does not know yet whether there is one.
   */
  | {
      readonly kind: 'retry';
      readonly reason: string;
      readonly clusterId?: Uint8Array;
      readonly leaderAddr?: string;
      readonly aliveAt?: string;
      readonly silentMs?: number;
    }
  /**
   * Not as the node is, for example because its name differs from the member's; `clusterId` is set if the answer is
   * final, and `removal` if the node asked as a member that was removed. `generation` is that of the cluster, if
   * the log of the joiner is of an earlier one.
   */
  | {
      readonly kind: 'refused';
      readonly reason: string;
      readonly clusterId?: Uint8Array;
      readonly removal?: Removal;
      readonly generation?: number;
    };

/** The origin of a request, as the connection proves it. */
export interface JoinOrigin {
  /** The subject of the caller's certificate; `anonymous` without one. */
  readonly subject: string;
  /** The address that the connection comes from. */
  readonly address?: string;
}

/** The calls of a node that does not run Raft yet. They reject with `UnavailableError` if no node answers there. */
export interface JoinTransport {
  /** Asks the node at an address for admission to its cluster. */
  ask(rpcAddr: string, joiner: Joiner, signal: AbortSignal): Promise<JoinAnswer>;
  /** Asks the node at an address what it knows about this node. Rejects too if that node is not in the cluster. */
  vouch(rpcAddr: string, request: VouchRequest, signal: AbortSignal): Promise<VouchAnswer>;
}

export const JoinTransport = Symbol('JoinTransport');

/** Answers joiners: a member of a cluster, or a node that is itself waiting for one. */
export interface JoinHandler {
  /** Must not reject. */
  admit(joiner: Joiner, origin?: JoinOrigin): Promise<JoinAnswer>;
  /** Answers a joiner whose certificate is not that of the node that it claims to be. Left out: refused, not finally. */
  distrust?(reason: string): JoinAnswer;
}
