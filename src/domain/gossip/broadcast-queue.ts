interface Broadcast {
  readonly id: number;
  readonly name: string | undefined;
  readonly message: Uint8Array;
  readonly onFinished: (() => void) | undefined;
}

/** The messages to gossip to all members, a few members at a time, until each was sent often enough (SWIM §4.1). */
export class BroadcastQueue {
  /** Indexed by the number of transmissions; within a tier, longest first, then newest first. */
  readonly #tiers: Broadcast[][] = [];
  readonly #tierOfName = new Map<string, { tier: number; broadcast: Broadcast }>();
  readonly #lengthMax: number;
  #length = 0;
  #lastId = 0;

  /** Above `lengthMax` messages, the most often sent one is dropped. */
  constructor(lengthMax: number) {
    this.#lengthMax = lengthMax;
  }

  get length(): number {
    return this.#length;
  }

  /**
   * @param name - The member that the message is about: it replaces the queued message of that name. Undefined: it
   * replaces none.
   * @param onFinished - Called once the message was sent often enough, replaced or dropped.
   */
  queue(message: Uint8Array, name?: string, onFinished?: () => void): void {
    const older = name === undefined ? undefined : this.#tierOfName.get(name);
    if (older !== undefined) this.#finish(older.tier, older.broadcast);
    this.#lastId += 1;
    this.#insert(0, { id: this.#lastId, name, message, onFinished });
    while (this.#length > this.#lengthMax) {
      const tier = this.#tiers.findLastIndex((each) => each.length > 0);
      const last = this.#tiers[tier]?.at(-1);
      if (last === undefined) return;
      this.#finish(tier, last);
    }
  }

  /**
   * Returns the messages to send now: the least sent first, among these the longest that fits. Counts each as sent once
   * more, and removes it after `transmitLimit` times.
   *
   * @param overhead - Bytes that each message adds to its own size.
   * @param limit - Maximum total size in bytes.
   */
  take(overhead: number, limit: number, transmitLimit: number): Uint8Array[] {
    if (this.#length === 0) return [];
    const taken: { tier: number; broadcast: Broadcast }[] = [];
    let free = limit;
    for (let tier = 0; tier < this.#tiers.length; tier += 1) {
      const broadcasts = this.#tiers[tier] ?? [];
      for (;;) {
        const found = broadcasts[firstFitting(broadcasts, free - overhead)];
        if (found === undefined) break;
        this.#remove(tier, found);
        taken.push({ tier, broadcast: found });
        free -= overhead + found.message.length;
      }
    }
    for (const { tier, broadcast } of taken) {
      if (tier + 1 < transmitLimit) this.#insert(tier + 1, broadcast);
      else broadcast.onFinished?.();
    }
    return taken.map(({ broadcast }) => broadcast.message);
  }

  #insert(tier: number, broadcast: Broadcast): void {
    while (this.#tiers.length <= tier) this.#tiers.push([]);
    const broadcasts = this.#tiers[tier] ?? [];
    broadcasts.splice(positionOf(broadcasts, broadcast), 0, broadcast);
    if (broadcast.name !== undefined) this.#tierOfName.set(broadcast.name, { tier, broadcast });
    this.#length += 1;
  }

  #remove(tier: number, broadcast: Broadcast): void {
    const broadcasts = this.#tiers[tier] ?? [];
    broadcasts.splice(positionOf(broadcasts, broadcast), 1);
    if (broadcast.name !== undefined) this.#tierOfName.delete(broadcast.name);
    this.#length -= 1;
  }

  #finish(tier: number, broadcast: Broadcast): void {
    this.#remove(tier, broadcast);
    broadcast.onFinished?.();
  }
}

function firstFitting(broadcasts: readonly Broadcast[], bytes: number): number {
  return lowest(broadcasts, (each) => each.message.length <= bytes);
}

/** Returns the index at which `broadcast` is, or must be inserted. */
function positionOf(broadcasts: readonly Broadcast[], { id, message }: Broadcast): number {
  return lowest(broadcasts, (each) =>
    each.message.length === message.length ? each.id <= id : each.message.length < message.length,
  );
}

/** Binary search: returns the first index whose broadcast matches, or the length. All after a match must match. */
function lowest(broadcasts: readonly Broadcast[], matches: (each: Broadcast) => boolean): number {
  let low = 0;
  let high = broadcasts.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const each = broadcasts[middle];
    if (each !== undefined && matches(each)) high = middle;
    else low = middle + 1;
  }
  return low;
}
