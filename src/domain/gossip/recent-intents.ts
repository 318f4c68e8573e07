import type { LamportTime } from './message.js';

const lengthMax = 4096;

/** The join and leave intents of unknown members: an intent may arrive before the member's alive message. */
export class RecentIntents {
  readonly #byName = new Map<string, { type: 'join' | 'leave'; lTime: LamportTime; at: number }>();

  /**
   * Records an intent; returns true if it is the newest one for `node`. Above 4096 names, ignores new ones and returns
   * false.
   */
  note(type: 'join' | 'leave', node: string, lTime: LamportTime, now: number): boolean {
    const known = this.#byName.get(node);
    if (known === undefined ? this.#byName.size >= lengthMax : lTime <= known.lTime) return false;
    this.#byName.set(node, { type, lTime, at: now });
    return true;
  }

  get(node: string): { readonly type: 'join' | 'leave'; readonly lTime: LamportTime } | undefined {
    return this.#byName.get(node);
  }

  forgetBefore(time: number): void {
    for (const [node, { at }] of this.#byName) if (at < time) this.#byName.delete(node);
  }
}
