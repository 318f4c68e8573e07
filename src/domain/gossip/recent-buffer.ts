import type { LamportTime } from './message.js';

const slotCount = 512;

interface Slot<T> {
  readonly lTime: LamportTime;
  readonly items: T[];
  bytes: number;
}

interface RecentBufferOptions<T> {
  readonly same: (a: T, b: T) => boolean;
  readonly bytesOf: (item: T) => number;
  readonly itemsPerTimeMax: number;
  readonly bytesPerTimeMax: number;
}

/** The items seen in the last 512 Lamport times, to filter out duplicates. */
export class RecentBuffer<T> {
  readonly #options: RecentBufferOptions<T>;
  readonly #slots = new Array<Slot<T> | undefined>(slotCount);
  #minTime: LamportTime = 0;

  constructor(options: RecentBufferOptions<T>) {
    this.#options = options;
  }

  /** Rejects all items before `lTime` from now on. */
  ignoreBefore(lTime: LamportTime): void {
    this.#minTime = Math.max(this.#minTime, lTime);
  }

  /**
   * Adds `item` and returns true, unless it was seen, is too old, or exceeds the limits of its time.
   *
   * @param clockTime - The time of the clock that has witnessed `lTime`.
   */
  add(lTime: LamportTime, item: T, clockTime: LamportTime): boolean {
    if (lTime < this.#minTime) return false;
    if (clockTime > slotCount && lTime < clockTime - slotCount) return false;
    const index = lTime % slotCount;
    const { same, bytesOf, itemsPerTimeMax, bytesPerTimeMax } = this.#options;
    let slot = this.#slots[index];
    if (slot?.lTime !== lTime) {
      slot = { lTime, items: [], bytes: 0 };
      this.#slots[index] = slot;
    }
    if (slot.items.some((each) => same(each, item))) return false;
    const bytes = slot.bytes + bytesOf(item);
    if (slot.items.length >= itemsPerTimeMax || bytes > bytesPerTimeMax) return false;
    slot.items.push(item);
    slot.bytes = bytes;
    return true;
  }

  /** Returns the items by ascending time. */
  slots(): { readonly lTime: LamportTime; readonly items: readonly T[] }[] {
    return this.#slots.filter((slot) => slot !== undefined).toSorted((a, b) => a.lTime - b.lTime);
  }
}
