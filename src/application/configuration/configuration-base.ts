import type { Crc32c } from '../../domain/log/checksum.js';
import type { Directory } from '../../domain/log/directory.js';
import { ifSpace, openIfThere, readWhole, writeDurably } from '../../domain/log/durable-file.js';

const fileName = 'configuration-base';
const magic = 0x474c4342; // 'GLCB'
const version = 1;
const crcAt = 16;
const fileBytes = crcAt + 4;

/**
 * The index of the configuration that is in force where the log starts. The entries before the log start are removed,
 * and with them those that made this configuration: only `raft/snapshot` has it. The index lies beside the log, so that a
 * node notices when one of the two directories is an older copy and the other is not.
 *
 * The file is written in place, so that retention on a full disk needs no space. It may lag by what a crash interrupted.
 */
export class ConfigurationBase {
  private constructor(
    private readonly directory: Directory,
    private readonly crc32c: Crc32c,
    private stored: number | undefined,
  ) {}

  /** Opens the file in the directory of an open log. A file that is missing or damaged says 0: nothing is known. */
  static async open(directory: Directory, crc32c: Crc32c): Promise<ConfigurationBase> {
    const bytes = await readWhole(directory, fileName);
    const opened = new ConfigurationBase(directory, crc32c, bytes && decode(bytes, crc32c));
    if (opened.stored === undefined) await ifSpace(() => opened.#create(0));
    return opened;
  }

  /** The log starts after an entry at which the configuration of this index, or a later one, is in force. */
  get index(): number {
    return this.stored ?? 0;
  }

  /** Raises the index; a lower one changes nothing. Durable when it resolves, unless the disk has no space for the file. */
  async raise(index: number): Promise<void> {
    if (index <= this.index) return;
    await ifSpace(() => (this.stored === undefined ? this.#create(index) : this.#overwrite(index)));
  }

  async #create(index: number): Promise<void> {
    await writeDurably(this.directory, fileName, [encode(index, this.crc32c)]);
    this.stored = index;
  }

  async #overwrite(index: number): Promise<void> {
    const file = await openIfThere(this.directory, fileName);
    if (file === undefined) return this.#create(index);
    try {
      await file.write(0, [encode(index, this.crc32c)]);
      await file.sync();
    } finally {
      await file.close();
    }
    this.stored = index;
  }
}

/** Magic, version (4 bytes each), index (8), and the CRC-32C of all that (4), big-endian. */
function encode(index: number, crc32c: Crc32c): Uint8Array {
  const bytes = new Uint8Array(fileBytes);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, magic);
  view.setUint32(4, version);
  view.setBigUint64(8, BigInt(index));
  view.setUint32(crcAt, crc32c(bytes.subarray(0, crcAt)) >>> 0);
  return bytes;
}

function decode(bytes: Uint8Array, crc32c: Crc32c): number | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length !== fileBytes || view.getUint32(0) !== magic || view.getUint32(4) !== version) return undefined;
  if (view.getUint32(crcAt) !== crc32c(bytes.subarray(0, crcAt)) >>> 0) return undefined;
  const index = Number(view.getBigUint64(8));
  return Number.isSafeInteger(index) ? index : undefined;
}
