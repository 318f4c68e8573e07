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
 * A file with the last index known to be synced, written after each sync but not synced itself. It may lag, slightly
 * after a process crash and by unwritten pages after a power loss, but is never ahead. Recovery uses it to distinguish
 * acknowledged bytes from a torn write, of which a crash kept only some pages.
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

  /** Reads the index in the file; `undefined` when the file is missing or damaged. */
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
   * Opens or creates the file and durably sets it to `index`. An existing file is overwritten, so that no disk space is
   * needed; its name is durable once the directory is synced.
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

  /** Records that everything up to `index` is synced. Does not wait; calls during a write in flight are skipped. */
  note(index: Index, onFailure: (cause: unknown) => void): void {
    if (this.#writing || index <= this.#noted) return;
    this.#noted = index;
    this.#writing = this.file
      .write(0, [encode(index, this.checksum)])
      .catch(onFailure)
      .finally(() => (this.#writing = undefined));
  }

  /** Durably lowers the synced index to at most `index`, before later entries are cut. */
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
