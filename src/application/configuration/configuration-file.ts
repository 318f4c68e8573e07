import type { Crc32c } from '../../domain/log/checksum.js';
import type { Directory } from '../../domain/log/directory.js';
import { readWhole, writeDurably } from '../../domain/log/durable-file.js';
import { InvalidInputError } from '../../domain/log/errors.js';
import { emptyConfiguration, type Configuration, type StoredConfiguration } from './configuration.js';
import { parseStoredConfiguration } from './configuration-json.js';

/** The file of the configuration is not what was written: the node no longer knows who its cluster is. */
export class CorruptConfigurationError extends Error {
  override readonly name = 'CorruptConfigurationError';
  constructor(reason: string) {
    super(
      `raft/snapshot ${reason}: this node no longer knows its cluster; restore the file, or empty the data directory ` +
        'and rejoin as a new member',
    );
  }
}

const fileName = 'snapshot';
const magic = 0x474c534e; // 'GLSN'
const version = 1;
const headerBytes = 12;
const nothingKept: StoredConfiguration = { id: 0, contacts: [], history: [] };

/**
 * The configurations that the log went through, as far back as the log is kept: the driver needs the one as of its
 * start, and a follower behind the log start the one as of there. And the one that the cluster began with: a node that
 * joins is given it, since it may follow a leader that keeps all of the log, whatever the one that let it in keeps.
 *
 * The file: magic `GLSN`, version (4 bytes each,
 * big-endian), CRC-32C of what follows, JSON. It is replaced as a whole.
 */
export class ConfigurationFile {
  #stored: StoredConfiguration | undefined;
  #writing: Promise<void> = Promise.resolve();

  private constructor(
    private readonly directory: Directory,
    private readonly crc32c: Crc32c,
    stored: StoredConfiguration | undefined,
  ) {
    this.#stored = stored;
  }

  /** Rejects with `CorruptConfigurationError`. */
  static async open(directory: Directory, crc32c: Crc32c): Promise<ConfigurationFile> {
    const bytes = await readWhole(directory, fileName);
    return new ConfigurationFile(directory, crc32c, bytes && decodeFile(bytes, crc32c));
  }

  /** Undefined: the node is in no cluster yet. */
  get stored(): StoredConfiguration | undefined {
    return this.#stored;
  }

  /** The newest. */
  get current(): Configuration {
    return this.#stored?.history.at(-1) ?? emptyConfiguration;
  }

  /** As of the entry at `index`. */
  at(index: number): Configuration {
    return this.#stored?.history.findLast((each) => each.index <= index) ?? emptyConfiguration;
  }

  /** Replaces everything. Durable when it resolves. */
  write(stored: StoredConfiguration): Promise<void> {
    return this.#change(() => stored);
  }

  /**
   * Adds the newest, and forgets those that only entries before `startIndex` went by, but for the first of all. Durable
   * when it resolves.
   */
  add(configuration: Configuration, startIndex: number): Promise<void> {
    return this.#change((stored = nothingKept) => {
      const older = stored.history.filter(({ index }) => index < configuration.index);
      const needed = older.findLastIndex(({ index }) => index < startIndex);
      const history = older.filter(({ index }, place) => index === 0 || place >= needed);
      return { ...stored, history: [...history, configuration] };
    });
  }

  /** Replaces what is known of damage to the log. Durable when it resolves. */
  noteDamage(damage: Pick<StoredConfiguration, 'damagedFrom' | 'repairing'>): Promise<void> {
    return this.#change((stored = nothingKept) => {
      const { id, contacts, history, replica, amnesiac } = stored;
      return { ...{ id, contacts, history }, ...(replica && { replica }), ...(amnesiac && { amnesiac }), ...damage };
    });
  }

  /** Notes that this node has lost entries that it acknowledged under its id. Durable when it resolves. */
  noteAmnesia(): Promise<void> {
    return this.#change((stored = nothingKept) => ({ ...stored, amnesiac: true }));
  }

  /** One change after the other: each is made to what the one before it left. */
  #change(change: (stored: StoredConfiguration | undefined) => StoredConfiguration): Promise<void> {
    const written = this.#writing.then(() => this.#write(change(this.#stored)));
    this.#writing = written.catch(() => undefined);
    return written;
  }

  async #write(stored: StoredConfiguration): Promise<void> {
    const json = new TextEncoder().encode(JSON.stringify(stored));
    const header = new DataView(new ArrayBuffer(headerBytes));
    header.setUint32(0, magic);
    header.setUint32(4, version);
    header.setUint32(8, this.crc32c(json) >>> 0);
    await writeDurably(this.directory, fileName, [new Uint8Array(header.buffer), json]);
    this.#stored = stored;
  }
}

function decodeFile(bytes: Uint8Array, crc32c: Crc32c): StoredConfiguration {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < headerBytes || view.getUint32(0) !== magic)
    throw new CorruptConfigurationError('is not such a file');
  const json = bytes.subarray(headerBytes);
  if (view.getUint32(8) !== crc32c(json) >>> 0) throw new CorruptConfigurationError('fails its checksum');
  if (view.getUint32(4) !== version)
    throw new CorruptConfigurationError(`has version ${view.getUint32(4)}, and this program knows ${version}`);
  try {
    return parseStoredConfiguration(json);
  } catch (cause) {
    if (!(cause instanceof InvalidInputError)) throw cause;
    throw new CorruptConfigurationError(`is not what this program writes: ${cause.message}`);
  }
}
