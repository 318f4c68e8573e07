/** A node as gossip knows it. */
export interface GossipMember {
  readonly name: string;
  /** HOST:PORT of its gossip. */
  readonly addr: string;
  readonly tags: ReadonlyMap<string, string>;
  /** `failed`: it does not answer; `left`: it said goodbye; `leaving`: it is saying so. */
  readonly status: 'alive' | 'leaving' | 'left' | 'failed';
}

/**
 * Who is there, by gossip. A hint: it may be late, lost or forged, and decides nothing by itself.
 */
export interface Gossip {
  /** Listens, and resolves with the HOST:PORT; from then on the others may know this node. Rejects if it cannot. */
  start(): Promise<string>;
  /** Once started: HOST:PORT of those that lived when this node last ran, for it to join again. */
  readonly former: readonly string[];
  /** All that are known, this node among them, by name, ascending. */
  members(): readonly GossipMember[];
  /**
   * Exchanges all that is known with the nodes at these addresses (HOST:PORT; a host name stands for all its
   * addresses). Resolves with how many answered; rejects with `UnavailableError` when none did.
   */
  join(addrs: readonly string[], signal: AbortSignal): Promise<number>;
  /** Replaces the tags of this node; the others hear of it. Throws `RangeError` beyond 512 bytes, encoded. */
  setTags(tags: ReadonlyMap<string, string>): void;
  /** Calls `listener` after each change of `members()`, until the returned function is called. */
  onChange(listener: () => void): () => void;
  /** Says goodbye, so that the others do not take this node for failed; takes a few seconds at most. */
  leave(): Promise<void>;
  /** Ends without a goodbye. Idempotent. */
  close(): Promise<void>;
}

export const Gossip = Symbol('Gossip');
