import type { Directory, File } from './directory.js';

interface OpenStore {
  readonly file: Promise<File>;
  users: number;
  /** The writer keeps it open. */
  pinned: boolean;
  /** No longer in the map: its last user closes it. */
  removed: boolean;
}

/**
 * The open store files: those in use, and a bounded number of the most recently used idle ones. A file is closed only
 * when it is idle, so a read in flight survives the removal of its segment.
 */
export class OpenStores {
  /** In order of use, least recent first. */
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

  /** Takes ownership of an open file under `name` and keeps it open until `release`. */
  adopt(name: string, file: File): void {
    this.forget(name);
    this.#stores.set(name, { file: Promise.resolve(file), users: 0, pinned: true, removed: false });
  }

  /** Undoes `adopt`: the file may now be closed when it is idle. */
  release(name: string): void {
    const store = this.#stores.get(name);
    if (store) store.pinned = false;
    this.#closeIdle();
  }

  /** Drops a file that was removed or is reopened: operations in flight finish, later ones do not use it. */
  forget(name: string): void {
    const store = this.#stores.get(name);
    if (!store) return;
    this.#stores.delete(name);
    store.removed = true;
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
      store = { file: this.directory.open(name), users: 0, pinned: false, removed: false };
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
    if (store.removed && store.users === 0) void closeQuietly(store);
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

/** Ignores errors: all writes were synced before, so a failed close loses nothing. */
async function closeQuietly({ file }: OpenStore): Promise<void> {
  await file.then((opened) => opened.close()).catch(() => undefined);
}
