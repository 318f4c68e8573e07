import { CachedFile, type Keep } from './cached-file.js';
import { randomInteger, type Random } from './seeded-random.js';

export type Entry = CachedFile | CachedDirectory;

type NameChange =
  | { readonly kind: 'add'; readonly name: string; readonly entry: Entry }
  | { readonly kind: 'rename'; readonly from: string; readonly to: string }
  | { readonly kind: 'remove'; readonly name: string };

/** A directory's entries in a write cache: what programs see, what the disk holds, and the changes in between. */
export class CachedDirectory {
  #cached = new Map<string, Entry>();
  #durable = new Map<string, Entry>();
  #unsynced: NameChange[] = [];

  get entries(): ReadonlyMap<string, Entry> {
    return this.#cached;
  }

  /** Bytes in all files of this directory and its subdirectories. */
  get bytes(): number {
    let sum = 0;
    for (const entry of this.#cached.values()) sum += entry instanceof CachedFile ? entry.length : entry.bytes;
    return sum;
  }

  add(name: string, entry: Entry): void {
    this.#do({ kind: 'add', name, entry });
  }

  rename(from: string, to: string): void {
    this.#do({ kind: 'rename', from, to });
  }

  remove(name: string): void {
    this.#do({ kind: 'remove', name });
  }

  sync(): void {
    for (const change of this.#unsynced) apply(this.#durable, change);
    this.#unsynced = [];
  }

  /** Returns another directory with copies of all files, everything synced. */
  copy(): CachedDirectory {
    const made = new CachedDirectory();
    for (const [name, entry] of this.#cached) made.add(name, entry.copy());
    made.sync();
    return made;
  }

  /** Simulates a failed sync: readers still see the changes, but they never become durable. */
  dropUnsynced(): void {
    this.#unsynced = [];
  }

  /**
   * Returns the directory as the next start finds it. Of the changes that were not synced, a prefix survives in each
   * directory independently, because the journal is in order.
   */
  afterCrash(keep: Keep, random: Random): CachedDirectory {
    const known = new Map<Entry, Entry>();
    const carry = (entry: Entry): Entry => {
      let carried = known.get(entry);
      if (!carried) known.set(entry, (carried = entry.afterCrash(keep, random)));
      return carried;
    };
    const carryAll = (entries: ReadonlyMap<string, Entry>): Map<string, Entry> =>
      new Map([...entries].map(([name, entry]) => [name, carry(entry)]));

    const found = new CachedDirectory();
    if (keep === 'all') {
      found.#cached = carryAll(this.#cached);
      found.#durable = carryAll(this.#durable);
      found.#unsynced = this.#unsynced.map((change) =>
        change.kind === 'add' ? { ...change, entry: carry(change.entry) } : change,
      );
      return found;
    }
    const survived = keep === 'none' ? 0 : randomInteger(random, 0, this.#unsynced.length);
    const entries = new Map(this.#durable);
    for (const change of this.#unsynced.slice(0, survived)) apply(entries, change);
    found.#durable = carryAll(entries);
    found.#cached = new Map(found.#durable);
    return found;
  }

  #do(change: NameChange): void {
    apply(this.#cached, change);
    this.#unsynced.push(change);
  }
}

function apply(entries: Map<string, Entry>, change: NameChange): void {
  if (change.kind === 'add') entries.set(change.name, change.entry);
  else if (change.kind === 'remove') entries.delete(change.name);
  else {
    const entry = entries.get(change.from);
    entries.delete(change.from);
    if (entry) entries.set(change.to, entry);
  }
}
