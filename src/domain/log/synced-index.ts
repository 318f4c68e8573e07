import { readUint32, readUint64, writeUint32, writeUint64 } from './big-endian.js';
import type { Directory, File } from './directory.js';
import { createDurably, openIfThere } from './durable-file.js';
import { syncedIndexFileName } from './file-names.js';
import type { Index } from './offsets.js';
import { logIdBytes, type BatchChecksum } from './record-batch.js';
import { sameBytes } from './store-header.js';

const syncedIndexBytes = 36;
const magic = 0x474c5931; // 'GLY1'
const version = 1;
const indexAt = 8 + logIdBytes;
const crcAt = indexAt + 8;

/**
 * A note of the last index known to be synced, written after each sync and not synced itself: it may lag, by a moment
 * when the process was killed and by what the kernel had not written yet when the power went, but it never leads. By it
 * recovery tells bytes that were acknowledged from bytes of which a crash kept some pages and not others.
 */
export class SyncedIndexFile {
  #noted: number;
  #writing: Promise<void> | undefined;

  private constructor(
    private readonly file: File,
    index: number,
    private readonly checksum: BatchChecksum,
  ) {
    this.#noted = index;
  }

  /** The index in the file; `undefined` when there is no file or it is damaged. */
  static async read(directory: Directory, checksum: BatchChecksum): Promise<Index | undefined> {
    const file = await openIfThere(directory, syncedIndexFileName);
    if (!file) return undefined;
    try {
      return decode(await file.read(0, syncedIndexBytes + 1), checksum);
    } finally {
      await file.close();
    }
  }

  /**
   * Makes the note say `index`, durably. A file that is there is overwritten, so that no new space is needed; its name
   * is durable once the directory is synced.
   */
  static async open(directory: Directory, index: Index, checksum: BatchChecksum): Promise<SyncedIndexFile> {
    const file = await openIfThere(directory, syncedIndexFileName);
    if (!file)
      return new SyncedIndexFile(
        await createDurably(directory, syncedIndexFileName, [encode(index, checksum)]),
        index,
        checksum,
      );
    try {
      if (decode(await file.read(0, syncedIndexBytes + 1), checksum) !== index) {
        await file.write(0, [encode(index, checksum)]);
        await file.truncate(syncedIndexBytes);
      }
      await file.sync();
      return new SyncedIndexFile(file, index, checksum);
    } catch (error) {
      await file.close().catch(() => undefined);
      throw error;
    }
  }

  /** Everything up to `index` is synced. Does not wait; while one note is being written the next ones are left out. */
  note(index: Index, onFailure: (cause: unknown) => void): void {
    if (this.#writing || index <= this.#noted) return;
    this.#noted = index;
    this.#writing = this.file
      .write(0, [encode(index, this.checksum)])
      .catch(onFailure)
      .finally(() => (this.#writing = undefined));
  }

  /** Before entries are cut: durably takes back what is beyond `index`. */
  async lower(index: Index): Promise<void> {
    await this.#writing;
    if (index < this.#noted) await this.#writeDurably(index);
  }

  async noteDurably(index: Index): Promise<void> {
    await this.#writing;
    await this.#writeDurably(index);
  }

  async close(): Promise<void> {
    await this.#writing;
    await this.file.close();
  }

  async #writeDurably(index: Index): Promise<void> {
    this.#noted = index;
    await this.file.write(0, [encode(index, this.checksum)]);
    await this.file.sync();
  }
}

function encode(index: Index, { crc32c, logId }: BatchChecksum): Uint8Array {
  const bytes = new Uint8Array(syncedIndexBytes);
  writeUint32(bytes, 0, magic);
  bytes[4] = version;
  bytes.set(logId, 8);
  writeUint64(bytes, indexAt, index);
  writeUint32(bytes, crcAt, crc32c(bytes.subarray(0, crcAt)));
  return bytes;
}

function decode(bytes: Uint8Array, { crc32c, logId }: BatchChecksum): Index | undefined {
  if (bytes.length !== syncedIndexBytes || readUint32(bytes, 0) !== magic || bytes[4] !== version) return undefined;
  if (readUint32(bytes, crcAt) !== crc32c(bytes.subarray(0, crcAt)) >>> 0) return undefined;
  if (!sameBytes(bytes.subarray(8, indexAt), logId)) return undefined;
  const index = readUint64(bytes, indexAt);
  return Number.isSafeInteger(index) ? (index as Index) : undefined;
}
