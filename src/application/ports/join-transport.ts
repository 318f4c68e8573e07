/** What a node that wants to be in a cluster says of itself. */
export interface Joiner {
  readonly name: string;
  /** UUID of its data directory: a wiped disk is a new node. */
  readonly uuid: string;
  /** HOST:PORT where its peers reach it. */
  readonly rpcAddr: string;
  /** `--bootstrap-expect`; 0 where it was not given. */
  readonly bootstrapExpect: number;
  /** Of the log that it keeps already, as the member that it was: 16 bytes. */
  readonly clusterId?: Uint8Array;
  /** The Raft id under which it acknowledged entries that it no longer has: it asks for another one. */
  readonly forgotAs?: number;
  /** The Raft id as which it takes part already: it only says where it is, and is let in under no other id. */
  readonly runsAs?: number;
}

/** A member whose link broke may be dialled again within this; after it, no process answers as the member. */
export const answeringMs = 3_000;

/** The last entry that a member has acknowledged to its leader. */
export interface Acknowledged {
  /** 0: none. */
  readonly index: number;
  /** Of that entry; 0: the leader does not know it. */
  readonly term: number;
}

/** What a leader says of itself, and of the member that asks. */
export interface LeaderView {
  readonly term: number;
  readonly leaderId: number;
  /** By the member, under the Raft id that it is told, in this term. */
  readonly acknowledged: Acknowledged;
  /** Whether the member votes under that id. */
  readonly votes: boolean;
}

export type JoinAnswer =
  /** It is a member now, under this Raft id. `configuration` is opaque here: see `decodeConfiguration`. */
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
   * Not now: ask again, at the leader where it is named. `aliveAt` is HOST:PORT where a process answers as the member
   * that the joiner says it is: until it ends, the joiner may not take part. It has been silent for `silentMs`, and
   * counts as ended after `answeringMs`.
   */
  | {
      readonly kind: 'retry';
      readonly reason: string;
      readonly leaderAddr?: string;
      readonly aliveAt?: string;
      readonly silentMs?: number;
    }
  /** Never as it stands, such as under another name than the member's; with the cluster whose leader says so for good. */
  | { readonly kind: 'refused'; readonly reason: string; readonly clusterId?: Uint8Array };

/** Where a question comes from, as the connection proves it. */
export interface JoinOrigin {
  /** Of the caller's certificate; `anonymous` without one. */
  readonly subject: string;
  /** The address that the connection comes from. */
  readonly address?: string;
}

/** Asks a node at an address to be let into its cluster. Rejects with `UnavailableError` when nobody answers there. */
export interface JoinTransport {
  ask(rpcAddr: string, joiner: Joiner, signal: AbortSignal): Promise<JoinAnswer>;
}

export const JoinTransport = Symbol('JoinTransport');

/** Who answers them: a member of a cluster, or a node that waits itself. Must not reject. */
export interface JoinHandler {
  admit(joiner: Joiner, origin?: JoinOrigin): Promise<JoinAnswer>;
}
