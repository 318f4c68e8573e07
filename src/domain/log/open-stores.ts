import type { Directory, File } from './directory.js';

interface OpenStore {
  readonly file: Promise<File>;
  users: number;
  /** Held open by the writer. */
  pinned: boolean;
  /** Out of the list: closed by its last user. */
  gone: boolean;
}

/**
 * The store files that are open: those in use, and of the others the ones used last, up to a number. A file is closed
 * only when nobody uses it, so a read that is under way outlives the removal of its segment.
 */
export class OpenStores {
  /** In order of use. */
  readonly #stores = new Map<string, OpenStore>();

  constructor(
    private readonly directory: Directory,
    private readonly idleMax: number,
  ) {}

  async use<T>(name: string, task: (file: File) => Promise<T>): Promise<T> {
    const store = this.#take(name);
    try {
      return await task(await store.file);
    } finally {
      this.#leave(store);
    }
  }

  /** Takes over an open file, which has the name from now on, and keeps it open until `release`. */
  adopt(name: string, file: File): void {
    this.forget(name);
    this.#stores.set(name, { file: Promise.resolve(file), users: 0, pinned: true, gone: false });
  }

  /** Undoes `adopt`: the file is now one of those that are open as long as they are used. */
  release(name: string): void {
    const store = this.#stores.get(name);
    if (store) store.pinned = false;
    this.#closeIdle();
  }

  /** The file was removed, or is opened anew: whoever uses it finishes, nobody gets it again. */
  forget(name: string): void {
    const store = this.#stores.get(name);
    if (!store) return;
    this.#stores.delete(name);
    store.gone = true;
    if (store.users === 0) void closeQuietly(store);
  }

  /** Closes everything; rejects with the first failure. */
  async close(): Promise<void> {
    const stores = [...this.#stores.values()];
    this.#stores.clear();
    await Promise.all(stores.map(async ({ file }) => (await file).close()));
  }

  #take(name: string): OpenStore {
    let store = this.#stores.get(name);
    if (store) this.#stores.delete(name);
    else {
      store = { file: this.directory.open(name), users: 0, pinned: false, gone: false };
      store.file.catch(() => {
        if (this.#stores.get(name) === store) this.#stores.delete(name);
      });
    }
    this.#stores.set(name, store);
    store.users++;
    return store;
  }

  #leave(store: OpenStore): void {
    store.users--;
    if (store.gone && store.users === 0) void closeQuietly(store);
    this.#closeIdle();
  }

  #closeIdle(): void {
    let over = this.#stores.size - this.idleMax;
    if (over <= 0) return;
    for (const [name, store] of this.#stores) {
      if (over <= 0) return;
      if (store.users > 0 || store.pinned) continue;
      this.#stores.delete(name);
      void closeQuietly(store);
      over--;
    }
  }
}

/** What was written was synced before this; what closing reports changes nothing any more. */
async function closeQuietly({ file }: OpenStore): Promise<void> {
  await file.then((opened) => opened.close()).catch(() => undefined);
}
