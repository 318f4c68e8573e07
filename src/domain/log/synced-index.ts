import { readUint32, readUint64, writeUint32, writeUint64 } from './big-endian.js';
import type { Directory, File } from './directory.js';
import { createDurably, openIfThere, unlessUnreadable } from './durable-file.js';
import { syncedIndexFileName } from './file-names.js';
import type { Index, Offset } from './offsets.js';
import { logIdBytes, type BatchChecksum } from './record-batch.js';
import { sameBytes } from './store-header.js';

const magic = 0x474c5931; // 'GLY1'
const version = 2;
const indexAt = 8 + logIdBytes;
const offsetAt = indexAt + 8;
const crcAt = offsetAt + 8;
const fileBytes = crcAt + 4;
/** Version 1 has no offset. */
const fileBytesOfVersion1 = offsetAt + 4;
const unknownOffset = Number.MAX_SAFE_INTEGER;

/** The end of what is known to be synced. */
export interface SyncedEnd {
  /** The last synced index. */
  readonly index: Index;
  /** The offset after that entry; undefined: not known. */
  readonly offset: Offset | undefined;
}

/**
 * A file with the last index known to be synced and the offset after it, written after each sync and synced itself now
 * and then. It may lag, slightly after a process crash and by what was not synced after a power loss, but is never ahead.
 * Recovery uses it to distinguish acknowledged bytes from a torn write, of which a crash kept only some pages, and to
 * tell how much is lost when the end of the log is missing.
 */
export class SyncedIndexFile {
  #noted: SyncedEnd;
  /** The end that is known to be on the disk. */
  #durable: SyncedEnd;
  #writing: Promise<void> | undefined;

  private constructor(
    private readonly file: File,
    end: SyncedEnd,
    private readonly checksum: BatchChecksum,
  ) {
    this.#noted = this.#durable = end;
  }

  /** Reads the file; `undefined` when it is missing or damaged. */
  static async read(directory: Directory, checksum: BatchChecksum): Promise<SyncedEnd | undefined> {
    const file = await openReadable(directory);
    if (!file) return undefined;
    try {
      return decode(await contentOf(file), checksum);
    } finally {
      await file.close();
    }
  }

  /**
   * Opens or creates the file and durably sets it to `end`. An existing file is overwritten, so that no disk space is
   * needed, unless the disk cannot read it; its name is durable once the directory is synced.
   */
  static async open(directory: Directory, end: SyncedEnd, checksum: BatchChecksum): Promise<SyncedIndexFile> {
    const bytes = encode(end, checksum);
    const file = await openReadable(directory);
    const stored = file && (await contentOf(file));
    if (file === undefined || stored?.length === 0) {
      await file?.close();
      return new SyncedIndexFile(await createDurably(directory, syncedIndexFileName, [bytes]), end, checksum);
    }
    try {
      if (stored === undefined || !sameBytes(stored, bytes)) {
        await file.write(0, [bytes]);
        await file.truncate(fileBytes);
      }
      await file.sync();
      return new SyncedIndexFile(file, end, checksum);
    } catch (error) {
      await file.close().catch(() => undefined);
      throw error;
    }
  }

  /** Records that everything up to `end` is synced. Does not wait; a call during a write in flight is written after it. */
  note(end: SyncedEnd, onFailure: (cause: unknown) => void): void {
    if (end.index <= this.#noted.index) return;
    this.#noted = end;
    this.#writing ??= this.#writeNoted()
      .catch(onFailure)
      .finally(() => (this.#writing = undefined));
  }

  /** Durably lowers the synced end to at most `end`, before later entries are cut. */
  async lower(end: SyncedEnd): Promise<void> {
    await this.#writing;
    if (end.index < this.#noted.index) await this.#writeDurably(end);
  }

  /** Makes what was noted durable. Rejects with the error of the file. */
  async sync(): Promise<void> {
    await this.#writing;
    const noted = this.#noted;
    if (noted === this.#durable) return;
    await this.file.sync();
    this.#durable = noted;
  }

  async noteDurably(end: SyncedEnd): Promise<void> {
    await this.#writing;
    await this.#writeDurably(end);
  }

  async close(): Promise<void> {
    await this.#writing;
    await this.file.close();
  }

  async #writeNoted(): Promise<void> {
    let written: SyncedEnd;
    do {
      written = this.#noted;
      await this.file.write(0, [encode(written, this.checksum)]);
    } while (written !== this.#noted);
  }

  async #writeDurably(end: SyncedEnd): Promise<void> {
    this.#noted = end;
    await this.file.write(0, [encode(end, this.checksum)]);
    await this.file.sync();
    this.#durable = end;
  }
}

function openReadable(directory: Directory): Promise<File | undefined> {
  return unlessUnreadable(() => openIfThere(directory, syncedIndexFileName), undefined);
}

/** Returns nothing if the disk cannot read it. */
function contentOf(file: File): Promise<Uint8Array> {
  return unlessUnreadable(() => file.read(0, fileBytes + 1), new Uint8Array(0));
}

function encode({ index, offset = unknownOffset as Offset }: SyncedEnd, { crc32c, logId }: BatchChecksum): Uint8Array {
  const bytes = new Uint8Array(fileBytes);
  writeUint32(bytes, 0, magic);
  bytes[4] = version;
  bytes.set(logId, 8);
  writeUint64(bytes, indexAt, index);
  writeUint64(bytes, offsetAt, offset);
  writeUint32(bytes, crcAt, crc32c(bytes.subarray(0, crcAt)));
  return bytes;
}

function decode(bytes: Uint8Array, { crc32c, logId }: BatchChecksum): SyncedEnd | undefined {
  const isVersion1 = bytes.length === fileBytesOfVersion1;
  if (!isVersion1 && bytes.length !== fileBytes) return undefined;
  if (readUint32(bytes, 0) !== magic || bytes[4] !== (isVersion1 ? 1 : version)) return undefined;
  const checked = bytes.length - 4;
  if (readUint32(bytes, checked) !== crc32c(bytes.subarray(0, checked)) >>> 0) return undefined;
  if (!sameBytes(bytes.subarray(8, indexAt), logId)) return undefined;
  const index = readUint64(bytes, indexAt);
  if (!Number.isSafeInteger(index)) return undefined;
  const offset = isVersion1 ? unknownOffset : readUint64(bytes, offsetAt);
  return { index: index as Index, offset: offset < unknownOffset ? (offset as Offset) : undefined };
}
