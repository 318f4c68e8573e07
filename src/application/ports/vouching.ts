import type { Configuration } from '../configuration/configuration.js';
import type { EntryId } from '../../domain/raft/entry-id.js';

/** What a member has shown of itself to its peers under one Raft id. */
export interface MemberNote {
  /** The number of the start of its data directory, higher than that of any start before; 0: unknown. */
  readonly incarnation: number;
  /** The highest term of its messages. */
  readonly term: number;
  /** The last entry that it is known to have had on disk. */
  readonly durable: EntryId;
}

/** A note that a leader forwards, by the Raft id of the member. */
export interface PassedNote extends MemberNote {
  readonly id: number;
  /** The wall clock of the member, in milliseconds since the Unix epoch. */
  readonly clockMs?: number;
  /** True if the member that sends it accepts no entries because its disk is full. */
  readonly isDiskFull?: boolean;
}

/** A member that has started and asks its peers what they know about it before it runs Raft. */
export interface VouchRequest {
  /** The id of its log: 16 bytes. */
  readonly clusterId: Uint8Array;
  /** The UUID of its data directory. */
  readonly uuid: string;
  readonly name: string;
  /** Its Raft id. */
  readonly id: number;
  /** HOST:PORT where its peers reach it. */
  readonly rpcAddr: string;
  /** The generation of its log. */
  readonly generation: number;
  /** The index of the last configuration that it knows; undefined: its release understands none in the answer. */
  readonly configurationIndex?: number;
}

/** The most nodes that have asked which a node remembers. */
export const callersMax = 16;

/** The answer of a node of the same cluster. */
export interface Vouch {
  /** The UUID of the data directory of the node that answers, and its Raft id. */
  readonly uuid: string;
  readonly id: number;
  /** Its own term, and the last entry of its own log. */
  readonly term: number;
  readonly last: EntryId;
  /** What the member has shown of itself; undefined: nothing. */
  readonly note?: MemberNote;
  /** HOST:PORT where another process runs as the member now; that of the node that answers, if it is a copy of the member. */
  readonly aliveAt?: string;
  /** The Raft id under which the member's UUID has been admitted again since; undefined: none that this node knows. */
  readonly laterId?: number;
  /** The last committed configuration that it knows; undefined: none after the one that the member knows. */
  readonly configuration?: Configuration;
  /**
   * HOST:PORTs of other members that have asked it: members that moved at the same time find each other by the one that
   * stayed. At most `callersMax`.
   */
  readonly callers?: readonly string[];
  /** The node names in the certificate of the node that answers; undefined if it has shown none. */
  readonly certifiedAs?: readonly string[];
}

/** `unsupported`: the node is of a release that takes no notes of its peers. */
export type VouchAnswer = Vouch | 'unsupported';

/** Answers members that start, from the moment this node has opened its own files. */
export interface VouchHandler {
  /** Returns undefined if this node is not in that cluster. */
  vouch(request: VouchRequest): Vouch | undefined;
}
