import type { Crc32c } from './checksum.js';
import { FileNotFoundError, type Directory, type File } from './directory.js';
import { createOrReplace, openIfThere, unlessUnreadable } from './durable-file.js';
import { UnsupportedFormatError } from './errors.js';
import { toIndex, toTerm, type Index, type Term } from './offsets.js';

/**
 * The state that a voter must never lose (Raft §5.1, figure 2: "persistent state"), with the commit index to start
 * from.
 */
export interface HardState {
  /** The latest term seen. */
  readonly term: Term;
  /** The number of the node that got this node's vote in `term`; 0 for none. */
  readonly vote: number;
  /** Every entry up to this index is committed and was durable on this node when it was saved. */
  readonly commit: Index;
}

/** Why the state before is not known: there was no file although the node had one, or neither of its slots was valid. */
export type HardStateLoss = 'missing' | 'damaged';

/** Neither hard-state slot is valid: a node that opens the file has lost its term and vote. */
export class CorruptHardStateError extends Error {
  override readonly name = 'CorruptHardStateError';
  constructor(
    readonly fileName: string,
    readonly reasons: readonly string[],
  ) {
    super(
      `${JSON.stringify(fileName)} has no valid slot (${reasons.join('; ')}): this node has lost its term and vote; ` +
        'start it, and it replaces the file and joins its cluster again under a new Raft id',
    );
  }
}

const fileName = 'hard-state';
const temporaryName = 'hard-state.tmp';

const magic = 0x474c4853; // "GLHS"
const version = 2;
/** Version 1 ends after the first CRC. It is written while there is nothing that only version 2 has. */
const slotBytesOfVersion1 = 44;
const crcPosition = slotBytesOfVersion1 - 4;
const slotBytes = 56;
const wholeCrcPosition = slotBytes - 4;
const losses: readonly (HardStateLoss | undefined)[] = [undefined, 'missing', 'damaged'];
/** Slots are a page apart: no disk sector (512 or 4,096 bytes) contains both, so a torn write damages only one. */
const slotSpacing = 4096;
const slotCount = 2;
const fileBytes = slotCount * slotSpacing;

interface Slot {
  readonly sequence: number;
  readonly state: HardState;
  readonly configuration: Index;
  readonly loss: HardStateLoss | undefined;
}

/**
 * The hard state on disk, in two slots that are written alternately:
 *
 * ```
 *      0  magic "GLHS"   4        slot 0 at 0, slot 1 at 4096; zeros up to 8192.
 *      4  version 2      2        Big-endian. The valid slot with the higher
 *      6  loss           2        sequence holds; the other one is written next,
 *      8  sequence       8        so a torn write leaves the state before it.
 *     16  term           8
 *     24  vote           8        loss: 0 none, 1 missing, 2 damaged
 *     32  commit         8
 *     40  CRC-32C        4        over the 40 bytes before it, as in version 1
 *     44  configuration  8
 *     52  CRC-32C        4        over the 52 bytes before it
 * ```
 *
 * Version 1 ends after the first CRC. That CRC shows a release of version 1 that the slot is whole and of another
 * version, so that it does not go back to the slot before. A slot without a configuration and a loss is written as
 * version 1: while releases are mixed, a node must be able to return to the one before.
 */
export class HardStateFile {
  #writing: Promise<void> = Promise.resolve();
  #failed: { readonly cause: unknown } | undefined;

  private constructor(
    private readonly file: File,
    private readonly crc32c: Crc32c,
    private slot: Slot,
    /**
     * Set when one slot was neither blank nor valid. After a crash during `save`, that slot is the torn save; without a
     * crash, the medium is damaged and the state may be the next-to-last one. With `loss` 'damaged', what was wrong with
     * the file that this opening replaced.
     */
    readonly damage: string | undefined,
  ) {}

  /**
   * Reads the newest valid slot. Without one, writes a first state: term 0, vote 0, commit 0, and notes it as a `loss`,
   * unless there was no file and the node `isNew`. The returned state is durable, even if the process that wrote it died
   * before its sync. Rejects with `UnsupportedFormatError`.
   */
  static async open(directory: Directory, crc32c: Crc32c, { isNew = true } = {}): Promise<HardStateFile> {
    let file: File;
    try {
      file = await directory.open(fileName);
    } catch (error) {
      if (!(error instanceof FileNotFoundError)) throw error;
      const first = firstSlot(isNew ? undefined : 'missing');
      return new HardStateFile(await createFile(directory, first, crc32c), crc32c, first, undefined);
    }
    try {
      const { slot: found, flaws, isUnreadable } = await readNewest(file, crc32c);
      const slot = found ?? firstSlot('damaged');
      // The writer's sync may have failed: the kernel then treats pages as clean that never reached the disk, and a
      // sync alone would do nothing. So the slot is rewritten in place. If that write is torn, the other slot remains,
      // and no promise is broken.
      // A page that cannot be read can be written only as a whole: the disk then puts it elsewhere.
      if (found && !isUnreadable) await file.write(slotPosition(slot.sequence), [encodeSlot(slot, crc32c)]);
      else await file.write(0, [encodeFile(slot, crc32c)]);
      await file.sync();
      await directory.sync();
      return new HardStateFile(file, crc32c, slot, flaws.length > 0 ? flaws.join('; ') : undefined);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /**
   * Reads the file for inspection. Writes nothing, so the returned state may not be durable. Resolves to `undefined`
   * when there is no file. Rejects with `CorruptHardStateError` and `UnsupportedFormatError`.
   */
  static async read(directory: Directory, crc32c: Crc32c): Promise<HardState | undefined> {
    const file = await openIfThere(directory, fileName);
    if (file === undefined) return undefined;
    try {
      const { slot, flaws } = await readNewest(file, crc32c);
      if (slot === undefined) throw new CorruptHardStateError(fileName, flaws);
      return slot.state;
    } finally {
      await file.close();
    }
  }

  /** The last durable state. */
  get current(): HardState {
    return this.slot.state;
  }

  /** The index of the newest configuration that is known to be committed; 0: none noted. `raft/snapshot` has it. */
  get configuration(): Index {
    return this.slot.configuration;
  }

  /**
   * Set if the state before was lost, at this opening or at an earlier one, until `acceptLoss`: this node does not know
   * how it voted and must not vote under its Raft id.
   */
  get loss(): HardStateLoss | undefined {
    return this.slot.loss;
  }

  /**
   * Writes the state, which is durable when this resolves. Concurrent saves are written in call order. The term must
   * not decrease and a vote must not change within its term (`RangeError`). `configuration` never decreases. After a failed save, that save and all
   * later ones reject with the cause: the state on disk is unknown, so the process must exit.
   */
  save(state: HardState, configuration: number = this.configuration): Promise<void> {
    return this.#change(({ configuration: known, loss }) => ({
      state: { ...state },
      configuration: toIndex(Math.max(known, configuration)),
      loss,
    }));
  }

  /** Durably ends the `loss`: what the node voted before no longer counts. */
  acceptLoss(): Promise<void> {
    return this.#change((slot) => ({ ...slot, loss: undefined }));
  }

  /** Waits for the saves in flight, then closes the file. Idempotent. */
  async close(): Promise<void> {
    await this.#writing;
    await this.file.close();
  }

  #change(next: (slot: Slot) => Omit<Slot, 'sequence'>): Promise<void> {
    const saved = this.#writing.then(() => this.#save(next(this.slot)));
    this.#writing = saved.catch(() => undefined);
    return saved;
  }

  async #save(next: Omit<Slot, 'sequence'>): Promise<void> {
    if (this.#failed) throw this.#failed.cause;
    assertFollows(this.current, next.state);
    const slot: Slot = { ...next, sequence: this.slot.sequence + 1 };
    const bytes = encodeSlot(slot, this.crc32c);
    try {
      await this.file.write(slotPosition(slot.sequence), [bytes]);
      await this.file.sync();
    } catch (cause) {
      this.#failed = { cause };
      throw cause;
    }
    this.slot = slot;
  }
}

function assertFollows(previous: HardState, next: HardState): void {
  for (const [name, value] of Object.entries({ term: next.term, vote: next.vote, commit: next.commit }))
    if (!Number.isSafeInteger(value) || value < 0)
      throw new RangeError(`hard state: ${name} must be a safe integer >= 0, not ${value}`);
  if (next.term < previous.term)
    throw new RangeError(`hard state: term ${next.term} is lower than the saved term ${previous.term}`);
  if (next.term === previous.term && previous.vote !== 0 && next.vote !== previous.vote)
    throw new RangeError(
      `hard state: the vote in term ${next.term} was for ${previous.vote} and cannot change to ${next.vote}`,
    );
}

const slotPosition = (sequence: number): number => ((sequence - 1) % slotCount) * slotSpacing;

/** Writes under a temporary name, syncs and renames, so that the file exists either complete or not at all. */
async function createFile(directory: Directory, first: Slot, crc32c: Crc32c): Promise<File> {
  const file = await createOrReplace(directory, temporaryName);
  try {
    await file.write(0, [encodeFile(first, crc32c)]);
    await file.sync();
    await directory.rename(temporaryName, fileName);
    await directory.sync();
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Returns the newest valid slot, if there is one, and what is wrong with the others. */
async function readNewest(
  file: File,
  crc32c: Crc32c,
): Promise<{ slot: Slot | undefined; flaws: string[]; isUnreadable: boolean }> {
  let isUnreadable = false;
  const slots: Slot[] = [];
  const flaws: Flaw[] = [];
  for (let i = 0; i < slotCount; i++) {
    const bytes = await unlessUnreadable(() => file.read(i * slotSpacing, slotBytes), undefined);
    isUnreadable ||= bytes === undefined;
    const found = bytes ? decodeSlot(bytes, crc32c) : ({ kind: 'damaged', reason: 'cannot be read' } as const);
    if ('kind' in found) flaws.push({ ...found, reason: `slot ${i} ${found.reason}` });
    else if (slotPosition(found.sequence) === i * slotSpacing) slots.push(found);
    else
      flaws.push({
        kind: 'damaged',
        reason: `slot ${i} holds sequence ${found.sequence}, which belongs in the other slot`,
      });
  }
  const [slot] = slots.sort((a, b) => b.sequence - a.sequence);
  const blankIsFine = slots.length > 0 && slot.sequence === 1;
  const counted = flaws.filter(({ kind }) => !(blankIsFine && kind === 'blank'));
  return { slot: slots.length > 0 ? slot : undefined, flaws: counted.map(({ reason }) => reason), isUnreadable };
}

function firstSlot(loss: HardStateLoss | undefined): Slot {
  return { sequence: 1, state: { term: toTerm(0), vote: 0, commit: toIndex(0) }, configuration: toIndex(0), loss };
}

/** Has both slots, so that a save never needs more disk space; the other one is blank. */
function encodeFile(slot: Slot, crc32c: Crc32c): Uint8Array {
  const bytes = new Uint8Array(fileBytes);
  bytes.set(encodeSlot(slot, crc32c), slotPosition(slot.sequence));
  return bytes;
}

function encodeSlot({ sequence, state, configuration, loss }: Slot, crc32c: Crc32c): Uint8Array {
  const bytes = new Uint8Array(slotBytes);
  const view = new DataView(bytes.buffer);
  const isVersion1 = configuration === 0 && loss === undefined;
  view.setUint32(0, magic);
  view.setUint16(4, isVersion1 ? 1 : version);
  view.setUint16(6, losses.indexOf(loss));
  view.setBigUint64(8, BigInt(sequence));
  view.setBigUint64(16, BigInt(state.term));
  view.setBigUint64(24, BigInt(state.vote));
  view.setBigUint64(32, BigInt(state.commit));
  view.setUint32(crcPosition, crc32c(bytes.subarray(0, crcPosition)));
  if (isVersion1) return bytes;
  view.setBigUint64(slotBytesOfVersion1, BigInt(configuration));
  view.setUint32(wholeCrcPosition, crc32c(bytes.subarray(0, wholeCrcPosition)));
  return bytes;
}

interface Flaw {
  readonly kind: 'blank' | 'damaged';
  readonly reason: string;
}

/** Throws `UnsupportedFormatError`: a slot of a later version may be newer than one that this version can read. */
function decodeSlot(bytes: Uint8Array, crc32c: Crc32c): Slot | Flaw {
  const damaged = (reason: string): Flaw => ({ kind: 'damaged', reason });
  if (bytes.length < slotBytesOfVersion1) return damaged(`is cut off after ${bytes.length} bytes`);
  if (bytes.every((byte) => byte === 0)) return { kind: 'blank', reason: 'is blank' };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0) !== magic) return damaged('does not begin with "GLHS"');
  if (view.getUint32(crcPosition) !== crc32c(bytes.subarray(0, crcPosition))) return damaged('fails its checksum');
  const found = view.getUint16(4);
  if (found !== version && found !== 1) throw new UnsupportedFormatError(fileName, found, version);
  if (found === version && bytes.length < slotBytes) return damaged(`is cut off after ${bytes.length} bytes`);
  if (found === version && view.getUint32(wholeCrcPosition) !== crc32c(bytes.subarray(0, wholeCrcPosition)))
    return damaged('fails its checksum');
  const number = (position: number): number => Number(view.getBigUint64(position));
  const [sequence, term, vote, commit] = [number(8), number(16), number(24), number(32)];
  const [loss, configuration] = found === 1 ? [0, 0] : [view.getUint16(6), number(slotBytesOfVersion1)];
  const isSafe = [sequence, term, vote, commit, configuration].every(Number.isSafeInteger);
  if (!isSafe || sequence === 0 || loss >= losses.length) return damaged('contains a number out of range');
  const state = { term: toTerm(term), vote, commit: toIndex(commit) };
  return { sequence, state, configuration: toIndex(configuration), loss: losses[loss] };
}
