import { UnavailableError } from '../errors.js';

/** No other node was asked: the addresses are those of the node itself. */
export class OwnAddressError extends UnavailableError {}

/** A node as seen through gossip. */
export interface GossipMember {
  readonly name: string;
  /** HOST:PORT of its gossip. */
  readonly addr: string;
  readonly tags: ReadonlyMap<string, string>;
  /** `failed`: it does not answer; `left`: it has said that it leaves; `leaving`: it is announcing that. */
  readonly status: 'alive' | 'leaving' | 'left' | 'failed';
}

/** Tells which nodes exist. Gossip is only a hint: it may be late, lost or forged, and decides nothing by itself. */
export interface Gossip {
  /**
   * Listens, and resolves with its HOST:PORT; from then on other nodes may know this node. Rejects if it cannot listen.
   */
  start(): Promise<string>;
  /** After the start: HOST:PORT of the members that were alive when this node last ran, for it to join again. */
  readonly former: readonly string[];
  /** All known members including this node, by name, ascending. */
  members(): readonly GossipMember[];
  /**
   * Exchanges all state with the nodes at these addresses (HOST:PORT; a host name stands for all its addresses).
   * Resolves with how many answered; rejects with `UnavailableError` if none did, and with `OwnAddressError` if all
   * addresses are its own.
   */
  join(addrs: readonly string[], signal: AbortSignal): Promise<number>;
  /** Replaces the tags of this node and gossips them. Throws `RangeError` above 512 bytes, encoded. */
  setTags(tags: ReadonlyMap<string, string>): void;
  /** Calls `listener` after each change of `members()`, until the returned function is called. */
  onChange(listener: () => void): () => void;
  /** Announces that this node leaves, so that the others do not consider it failed; takes a few seconds at most. */
  leave(): Promise<void>;
  /** Ends without an announcement. Idempotent. */
  close(): Promise<void>;
}

export const Gossip = Symbol('Gossip');
