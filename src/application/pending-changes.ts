import { UnavailableError } from './errors.js';

interface PendingChange {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
  /** The core has given its entry out. */
  placed: boolean;
}

/** Membership changes that this node, as the leader, has proposed; each knows its own entry by a nonce. */
export class PendingChanges {
  readonly #changes = new Map<number, PendingChange>();

  /** Waits for what `propose` hands to the core. When that throws nothing waits, and this rejects. */
  add(nonce: number, propose: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      // A throw rejects.
      propose();
      this.#changes.set(nonce, { resolve, reject, placed: false });
    });
  }

  place(nonce: number): void {
    const change = this.#changes.get(nonce);
    if (change !== undefined) change.placed = true;
  }

  /** The core puts an empty entry in the place of a change that cannot be made now: what has no place was refused. */
  refuseUnplaced(): void {
    for (const [nonce, change] of this.#changes) {
      if (change.placed) continue;
      this.#changes.delete(nonce);
      change.reject(new UnavailableError('another change of the membership is under way'));
    }
  }

  /** The change is committed and in effect. */
  settle(nonce: number): void {
    this.#changes.get(nonce)?.resolve();
    this.#changes.delete(nonce);
  }

  rejectAll(error: unknown): void {
    for (const { reject } of this.#changes.values()) reject(error);
    this.#changes.clear();
  }
}
