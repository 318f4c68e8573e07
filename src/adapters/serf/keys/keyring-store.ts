import { ifSpace } from '../../../domain/log/durable-file.js';
import { readKeyring, writeKeyring } from './keyring-file.js';
import { Keyring } from './keyring.js';

/** The keys of a node and the file that stores them. */
export class KeyringStore {
  /**
   * Loads the keys from the file. If the file is missing and `encryptKey` (base64) is given, starts with that key and
   * writes the file, if the disk has space. Rejects with `MalformedGossipError` for invalid keys, otherwise with the system's error.
   */
  static async open(path: string | undefined, encryptKey: string | undefined): Promise<KeyringStore> {
    const found = path === undefined ? undefined : await readKeyring(path);
    if (found !== undefined || encryptKey === undefined) return new KeyringStore(path, found);
    const keyring = new Keyring([encryptKey]);
    if (path !== undefined) await ifSpace(() => writeKeyring(path, keyring));
    return new KeyringStore(path, keyring);
  }

  readonly #path: string | undefined;
  #saving: Promise<void> = Promise.resolve();

  private constructor(
    path: string | undefined,
    /** If undefined, nothing is encrypted. */
    readonly keyring: Keyring | undefined,
  ) {
    this.#path = path;
  }

  /** Whether the key decrypts what others send; a file of an earlier start may lack it. */
  has(key: string): boolean {
    return this.keyring?.keys.includes(key) ?? false;
  }

  /** Resolves when the current keys are durable in the file. Rejects with the system's error. */
  save(): Promise<void> {
    const [path, keyring] = [this.#path, this.keyring];
    if (path === undefined || keyring === undefined) return Promise.resolve();
    const saved = this.#saving.then(() => writeKeyring(path, keyring));
    this.#saving = saved.catch(() => undefined);
    return saved;
  }

  /** Resolves when no write is in progress. */
  async close(): Promise<void> {
    await this.#saving;
  }
}
