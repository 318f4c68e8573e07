import type { Crc32c } from '../domain/log/checksum.js';
import { InvalidInputError } from '../domain/log/errors.js';
import type { Directory } from '../domain/log/directory.js';
import { readWhole, writeDurably } from '../domain/log/durable-file.js';
import type { ConfChange, ConfChangeV2 } from '../domain/raft/conf-change.js';
import { asV2 } from '../domain/raft/conf-change.js';
import type { ConfState } from '../domain/raft/conf-state.js';
import { emptyConfState } from '../domain/raft/conf-state.js';
import { parseChangeContext, parseKeptConfiguration } from './configuration-json.js';

/** A node of the cluster. */
export interface Member {
  /** Its Raft id, given out in the log and never again. */
  readonly id: number;
  readonly name: string;
  /** UUID of its data directory; empty until it has joined. */
  readonly uuid: string;
  /** HOST:PORT of its gRPC. */
  readonly rpcAddr: string;
  /** The member of the same name whose disk is gone, and whose place it takes when it is promoted. */
  readonly replaces?: number;
}

/** Who is in the cluster as of an index of the log. */
export interface Configuration {
  /** The last entry that it takes in; 0: as the cluster began. */
  readonly index: number;
  readonly confState: ConfState;
  /** All that `confState` names, and nobody else; by id, ascending. */
  readonly members: readonly Member[];
  /** The highest id ever given out. */
  readonly lastId: number;
}

export const emptyConfiguration: Configuration = { index: 0, confState: emptyConfState, members: [], lastId: 0 };

/** The configuration of a cluster that begins with this one voter. */
export function firstConfiguration(member: Member): Configuration {
  return { index: 0, confState: { ...emptyConfState, voters: [member.id] }, members: [member], lastId: member.id };
}

/** Whether nobody else has a vote, nor had one in a change that is under way. */
export function isOnlyVoter({ confState }: Pick<Configuration, 'confState'>, id: number): boolean {
  const { voters, votersOutgoing } = confState;
  return voters.length === 1 && voters[0] === id && votersOutgoing.length === 0;
}

/** What a node keeps in `raft/snapshot`. */
export interface KeptConfiguration {
  /** This node's own Raft id. */
  readonly id: number;
  /** Who was in the cluster when this node joined: whom it may hear from before it has read so in the log. */
  readonly contacts: readonly Member[];
  /** It is a replica: no member, and it never will be. Its id is 0, and its history empty. */
  readonly replica?: true;
  /** By index, ascending; the first is as of the entry before the log start, or older. */
  readonly history: readonly Configuration[];
  /** From this entry on the log was found damaged, and nobody has repaired it yet: the next start does. */
  readonly damagedFrom?: number;
  /**
   * What this node acknowledged, all of it before entry `until`, may be missing in its log: until that is fetched again
   * from the peers, the node takes no part. Entries from `cutFrom` on go before that; left out once they are gone.
   */
  readonly repairing?: { readonly until: number; readonly cutFrom?: number };
}

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

/**
 * The configurations that the log went through, as far back as the log is kept: the driver needs the one as of its
 * start, and a follower behind the log start the one as of there. The file: magic `GLSN`, version (4 bytes each,
 * big-endian), CRC-32C of what follows, JSON. It is replaced as a whole.
 */
export class ConfigurationFile {
  #kept: KeptConfiguration | undefined;
  #writing: Promise<void> = Promise.resolve();

  private constructor(
    private readonly directory: Directory,
    private readonly crc32c: Crc32c,
    kept: KeptConfiguration | undefined,
  ) {
    this.#kept = kept;
  }

  /** Rejects with `CorruptConfigurationError`. */
  static async open(directory: Directory, crc32c: Crc32c): Promise<ConfigurationFile> {
    const bytes = await readWhole(directory, fileName);
    return new ConfigurationFile(directory, crc32c, bytes && decodeFile(bytes, crc32c));
  }

  /** Undefined: the node is in no cluster yet. */
  get kept(): KeptConfiguration | undefined {
    return this.#kept;
  }

  /** The newest. */
  get current(): Configuration {
    return this.#kept?.history.at(-1) ?? emptyConfiguration;
  }

  /** As of the entry at `index`. */
  at(index: number): Configuration {
    return this.#kept?.history.findLast((each) => each.index <= index) ?? emptyConfiguration;
  }

  /** Replaces everything. Durable when it resolves. */
  write(kept: KeptConfiguration): Promise<void> {
    return this.#change(() => kept);
  }

  /** Adds the newest, and forgets those that only entries before `startIndex` went by. Durable when it resolves. */
  add(configuration: Configuration, startIndex: number): Promise<void> {
    return this.#change((kept = { id: 0, contacts: [], history: [] }) => {
      const older = kept.history.filter(({ index }) => index < configuration.index);
      const first = older.findLastIndex(({ index }) => index < startIndex);
      return { ...kept, history: [...older.slice(Math.max(first, 0)), configuration] };
    });
  }

  /** Replaces what is known of damage to the log. Durable when it resolves. */
  noteDamage(damage: Pick<KeptConfiguration, 'damagedFrom' | 'repairing'>): Promise<void> {
    return this.#change(({ id, contacts, history, replica } = { id: 0, contacts: [], history: [] }) => ({
      ...{ id, contacts, history, ...(replica && { replica }) },
      ...damage,
    }));
  }

  /** One change after the other: each is made to what the one before it left. */
  #change(change: (kept: KeptConfiguration | undefined) => KeptConfiguration): Promise<void> {
    const written = this.#writing.then(() => this.#write(change(this.#kept)));
    this.#writing = written.catch(() => undefined);
    return written;
  }

  async #write(kept: KeptConfiguration): Promise<void> {
    const json = new TextEncoder().encode(JSON.stringify(kept));
    const header = new DataView(new ArrayBuffer(headerBytes));
    header.setUint32(0, magic);
    header.setUint32(4, version);
    header.setUint32(8, this.crc32c(json) >>> 0);
    await writeDurably(this.directory, fileName, [new Uint8Array(header.buffer), json]);
    this.#kept = kept;
  }
}

function decodeFile(bytes: Uint8Array, crc32c: Crc32c): KeptConfiguration {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < headerBytes || view.getUint32(0) !== magic)
    throw new CorruptConfigurationError('is not such a file');
  const json = bytes.subarray(headerBytes);
  if (view.getUint32(8) !== crc32c(json) >>> 0) throw new CorruptConfigurationError('fails its checksum');
  if (view.getUint32(4) !== version)
    throw new CorruptConfigurationError(`has version ${view.getUint32(4)}, and this program knows ${version}`);
  try {
    return parseKeptConfiguration(json);
  } catch (cause) {
    if (!(cause instanceof InvalidInputError)) throw cause;
    throw new CorruptConfigurationError(`is not what this program writes: ${cause.message}`);
  }
}

/**
 * The other members, by id, ascending; those that it was told of on joining as well, while it has not read in the log
 * that it is a member itself.
 */
export function peersOf({ kept, current }: Pick<ConfigurationFile, 'kept' | 'current'>, id: number): readonly Member[] {
  const isMember = current.members.some((member) => member.id === id);
  const contacts = isMember ? [] : (kept?.contacts ?? []);
  const known = new Map([...contacts, ...current.members].map((member) => [member.id, member]));
  const self = known.get(id);
  // It may have been a member under another id before.
  const others = [...known.values()].filter((member) => member !== self && member.uuid !== self?.uuid);
  return others.sort((a, b) => a.id - b.id);
}

/** What the context of a configuration change says to those who apply it. */
export interface ChangeContext {
  /** Tells the proposer its own change. */
  readonly nonce: number;
  /** Members that are added, or whose name, UUID or address changes. */
  readonly members: readonly Member[];
}

export function encodeChangeContext(context: ChangeContext): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(context));
}

/**
 * Without a context (the change by which a leader leaves a joint configuration) nobody is added. Throws
 * `InvalidInputError`.
 */
export function decodeChangeContext({ context }: ConfChange | ConfChangeV2): ChangeContext {
  if (context.length === 0) return { nonce: 0, members: [] };
  return parseChangeContext(context);
}

/** The configuration after a change whose effect on the votes is `confState`. */
export function configurationAfter(
  before: Configuration,
  index: number,
  change: ConfChange | ConfChangeV2,
  confState: ConfState,
): Configuration {
  const members = new Map(before.members.map((member) => [member.id, member]));
  for (const member of decodeChangeContext(change).members) members.set(member.id, member);
  const named = new Set([
    ...confState.voters,
    ...confState.votersOutgoing,
    ...confState.learners,
    ...confState.learnersNext,
  ]);
  const added = asV2(change).changes.map(({ nodeId }) => nodeId);
  return {
    index,
    confState,
    members: [...members.values()].filter(({ id }) => named.has(id)).sort((a, b) => a.id - b.id),
    lastId: Math.max(before.lastId, ...added),
  };
}

/** What a joining node is told, and what the snapshot for a follower behind the log start carries. */
export interface ConfigurationTransfer {
  readonly configuration: Configuration;
  /** The first offset behind the configuration's index; 0 for a joining node. */
  readonly offset: number;
  readonly contacts: readonly Member[];
}

export function encodeTransfer(transfer: ConfigurationTransfer): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(transfer));
}
