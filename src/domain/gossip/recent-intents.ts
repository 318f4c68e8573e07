import type { LamportTime } from './message.js';

const lengthMax = 4096;

/** Joins and leaves of members that are not known yet: the intent may be faster than the news of the member. */
export class RecentIntents {
  readonly #byName = new Map<string, { type: 'join' | 'leave'; lTime: LamportTime; at: number }>();

  /** Whether this is the newest that was heard of `node`. Beyond 4096 names, more are not noted, and not news. */
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
