import type { Crc32c } from '../../domain/log/checksum.js';
import type { Directory } from '../../domain/log/directory.js';
import { readWholeOrThrow, unlessUnreadable, writeDurably } from '../../domain/log/durable-file.js';
import { InvalidInputError } from '../../domain/log/errors.js';
import { decodeJsonFile, encodeJsonFile, type JsonFileFormat } from '../../domain/log/json-file.js';
import { assertLevelKnown } from './cluster-settings.js';
import { emptyConfiguration, type Configuration, type StoredConfiguration } from './configuration.js';
import { parseStoredConfiguration } from './configuration-json.js';

/** The configuration file is corrupt: the node no longer knows its cluster. */
export class CorruptConfigurationError extends Error {
  override readonly name = 'CorruptConfigurationError';
  constructor(reason: string) {
    super(
      `raft/snapshot ${reason}: this node no longer knows its cluster. If the other members have a quorum, move the data ` +
        'directory aside and start with an empty one: the node then joins as a new member. Without other members, ' +
        '"golog dump" shows the records of each segment in logs/default of the old directory',
    );
  }
}

/** `golog recover` did not finish: the node has no vote until it has. */
export class InterruptedRecoveryError extends Error {
  override readonly name = 'InterruptedRecoveryError';
  constructor() {
    super('golog recover was interrupted in this data directory: run it again, with the same directory');
  }
}

const fileName = 'snapshot';
const format: JsonFileFormat = { magic: 0x474c534e /* 'GLSN' */, version: 1 };
const nothingStored: StoredConfiguration = { id: 0, contacts: [], history: [] };

/**
 * The configurations in force along the log, as far back as the log is stored. The driver needs the one as of the log
 * start, and a follower whose log ends before the log start needs the one as of there. Also keeps the cluster's first
 * configuration: a joining node receives it, since it may later follow a leader that stores the whole log.
 *
 * The file holds JSON, with the magic `GLSN` in its header. It is replaced as a whole.
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

  /** Rejects with `CorruptConfigurationError` or `UnknownFeatureLevelError`. */
  static async open(directory: Directory, crc32c: Crc32c): Promise<ConfigurationFile> {
    const bytes = await unlessUnreadable(() => readWholeOrThrow(directory, fileName), 'unreadable');
    if (bytes === 'unreadable') throw new CorruptConfigurationError('cannot be read from the disk');
    const opened = new ConfigurationFile(directory, crc32c, bytes && decodeFile(bytes, crc32c));
    assertLevelKnown(opened.current.settings);
    return opened;
  }

  /** Undefined while the node is in no cluster. */
  get stored(): StoredConfiguration | undefined {
    return this.#stored;
  }

  /** The newest configuration. */
  get current(): Configuration {
    return this.#stored?.history.at(-1) ?? emptyConfiguration;
  }

  /** The generation of the log that this node stores or follows. */
  get generation(): number {
    return Math.max(this.#stored?.generation ?? 0, this.current.settings.generation ?? 0);
  }

  /** Returns the configuration as of the entry at `index`. */
  at(index: number): Configuration {
    return this.#stored?.history.findLast((each) => each.index <= index) ?? emptyConfiguration;
  }

  /** Replaces everything. Durable when it resolves. */
  write(stored: StoredConfiguration): Promise<void> {
    return this.#change(() => stored);
  }

  /**
   * Adds the newest configuration and drops those that applied only to entries before `startIndex`, except for the
   * first of all. Durable when it resolves.
   */
  add(configuration: Configuration, startIndex: number): Promise<void> {
    return this.#change((stored = nothingStored) => {
      const older = stored.history.filter(({ index }) => index < configuration.index);
      const needed = older.findLastIndex(({ index }) => index < startIndex);
      const history = older.filter(({ index }, i) => index === 0 || i >= needed);
      return { ...stored, history: [...history, configuration] };
    });
  }

  /** Replaces the note about damage to the log. Durable when it resolves. */
  noteDamage(damage: Pick<StoredConfiguration, 'damagedFrom' | 'repairing'>): Promise<void> {
    return this.#change(({ damagedFrom: _from, repairing: _range, ...rest } = nothingStored) => ({
      ...rest,
      ...damage,
    }));
  }

  /** Notes that this node has lost entries that it acknowledged under its id. Durable when it resolves. */
  noteAmnesia(): Promise<void> {
    return this.#change((stored = nothingStored) => ({ ...stored, amnesiac: true }));
  }

  /** Notes that the cluster has a later generation of the log. Durable when it resolves. */
  noteSuperseded(generation: number): Promise<void> {
    return this.#change((stored = nothingStored) => ({ ...stored, superseded: generation }));
  }

  /** Makes one change at a time: each is applied to the result of the previous one. */
  #change(change: (stored: StoredConfiguration | undefined) => StoredConfiguration): Promise<void> {
    const written = this.#writing.then(() => this.#write(change(this.#stored)));
    this.#writing = written.catch(() => undefined);
    return written;
  }

  async #write(stored: StoredConfiguration): Promise<void> {
    for (const { settings } of stored.history) assertLevelKnown(settings);
    await writeDurably(this.directory, fileName, encodeJsonFile(format, stored, this.crc32c));
    this.#stored = stored;
  }
}

function decodeFile(bytes: Uint8Array, crc32c: Crc32c): StoredConfiguration {
  const decoded = decodeJsonFile(format, bytes, crc32c);
  if ('fault' in decoded) throw new CorruptConfigurationError(decoded.fault);
  try {
    return parseStoredConfiguration(decoded.json);
  } catch (cause) {
    if (!(cause instanceof InvalidInputError)) throw cause;
    throw new CorruptConfigurationError(`has unexpected contents: ${cause.message}`);
  }
}
