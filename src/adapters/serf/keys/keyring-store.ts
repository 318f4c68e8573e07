import { readKeyring, writeKeyring } from './keyring-file.js';
import { Keyring } from './keyring.js';

/** The keys of a node, and the file that keeps them. */
export class KeyringStore {
  /**
   * The keys of the file; where there is none, `encryptKey` (base64), for which the file is written then. Rejects with
   * `MalformedGossipError` for what are no keys, or with the system's error.
   */
  static async open(path: string | undefined, encryptKey: string | undefined): Promise<KeyringStore> {
    const found = path === undefined ? undefined : await readKeyring(path);
    if (found !== undefined || encryptKey === undefined) return new KeyringStore(path, found);
    const keyring = new Keyring([encryptKey]);
    if (path !== undefined) await writeKeyring(path, keyring);
    return new KeyringStore(path, keyring);
  }

  readonly #path: string | undefined;
  #saving: Promise<void> = Promise.resolve();

  private constructor(
    path: string | undefined,
    /** Undefined: nothing is encrypted. */
    readonly keyring: Keyring | undefined,
  ) {
    this.#path = path;
  }

  /** Resolves when the file has the keys as they are now, durably. Rejects with the system's error. */
  save(): Promise<void> {
    const [path, keyring] = [this.#path, this.keyring];
    if (path === undefined || keyring === undefined) return Promise.resolve();
    const saved = this.#saving.then(() => writeKeyring(path, keyring));
    this.#saving = saved.catch(() => undefined);
    return saved;
  }

  /** Resolves when nothing is being written. */
  async close(): Promise<void> {
    await this.#saving;
  }
}
