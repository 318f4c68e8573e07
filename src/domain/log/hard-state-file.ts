import type { Crc32c } from './checksum.js';
import { FileNotFoundError, type Directory, type File } from './directory.js';
import { createOrReplace, openIfThere } from './durable-file.js';
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

/** Neither hard-state slot is valid: the node no longer knows how it voted and must not join Raft. */
export class CorruptHardStateError extends Error {
  override readonly name = 'CorruptHardStateError';
  constructor(
    readonly fileName: string,
    readonly reasons: readonly string[],
  ) {
    super(
      `${JSON.stringify(fileName)} has no valid slot (${reasons.join('; ')}), so this node has lost its term and vote; ` +
        `restore the file from a backup, or start with an empty data directory to rejoin as a new member`,
    );
  }
}

const fileName = 'hard-state';
const temporaryName = 'hard-state.tmp';

const magic = 0x474c4853; // "GLHS"
const version = 1;
const slotBytes = 44;
const crcPosition = slotBytes - 4;
/** Slots are a page apart: no disk sector (512 or 4,096 bytes) contains both, so a torn write damages only one. */
const slotSpacing = 4096;
const slotCount = 2;
const fileBytes = slotCount * slotSpacing;

interface Slot {
  readonly sequence: number;
  readonly state: HardState;
}

/**
 * The hard state on disk, in two slots that are written alternately:
 *
 * ```
 *      0  magic "GLHS"   4        slot 0 at 0, slot 1 at 4096; zeros up to 8192.
 *      4  version 1      2        Big-endian. The valid slot with the higher
 *      6  zero           2        sequence holds; the other one is written next,
 *      8  sequence       8        so a torn write leaves the state before it.
 *     16  term           8
 *     24  vote           8
 *     32  commit         8
 *     40  CRC-32C        4        over the 40 bytes before it
 * ```
 */
export class HardStateFile {
  #writing: Promise<void> = Promise.resolve();
  #failed: { readonly cause: unknown } | undefined;

  private constructor(
    private readonly file: File,
    private readonly crc32c: Crc32c,
    private slot: Slot,
    /** True if there was no file: the node is new or has lost its state. A caller that finds a log must tell which. */
    readonly created: boolean,
    /**
     * Set when one slot was neither blank nor valid. After a crash during `save`, that slot is the torn save; without a
     * crash, the medium is damaged and the state may be the next-to-last one.
     */
    readonly damage: string | undefined,
  ) {}

  /**
   * Reads the newest valid slot, or creates the file with term 0, vote 0, commit 0. The returned state is durable, even
   * if the process that wrote it died before its sync. Rejects with `CorruptHardStateError` when the file exists but
   * has no valid slot.
   */
  static async open(directory: Directory, crc32c: Crc32c): Promise<HardStateFile> {
    let file: File;
    try {
      file = await directory.open(fileName);
    } catch (error) {
      if (!(error instanceof FileNotFoundError)) throw error;
      const first: Slot = { sequence: 1, state: { term: toTerm(0), vote: 0, commit: toIndex(0) } };
      return new HardStateFile(await createFile(directory, first, crc32c), crc32c, first, true, undefined);
    }
    try {
      const { slot, damage } = await readNewest(file, crc32c);
      // The writer's sync may have failed: the kernel then treats pages as clean that never reached the disk, and a
      // sync alone would do nothing. So the slot is rewritten in place. If that write is torn, the other slot remains,
      // and no promise is broken.
      await file.write(slotPosition(slot.sequence), [encodeSlot(slot, crc32c)]);
      await file.sync();
      await directory.sync();
      return new HardStateFile(file, crc32c, slot, false, damage);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /**
   * Reads the file for inspection. Writes nothing, so the returned state may not be durable. Resolves to `undefined`
   * when there is no file. Rejects with `CorruptHardStateError`.
   */
  static async read(directory: Directory, crc32c: Crc32c): Promise<HardState | undefined> {
    const file = await openIfThere(directory, fileName);
    if (file === undefined) return undefined;
    try {
      return (await readNewest(file, crc32c)).slot.state;
    } finally {
      await file.close();
    }
  }

  /** The last durable state. */
  get current(): HardState {
    return this.slot.state;
  }

  /**
   * Writes the state, which is durable when this resolves. Concurrent saves are written in call order. The term must
   * not decrease and a vote must not change within its term (`RangeError`). After a failed save, that save and all
   * later ones reject with the cause: the state on disk is unknown, so the process must exit.
   */
  save(state: HardState): Promise<void> {
    const saved = this.#writing.then(() => this.#save(state));
    this.#writing = saved.catch(() => undefined);
    return saved;
  }

  /** Waits for the saves in flight, then closes the file. Idempotent. */
  async close(): Promise<void> {
    await this.#writing;
    await this.file.close();
  }

  async #save(state: HardState): Promise<void> {
    if (this.#failed) throw this.#failed.cause;
    assertFollows(this.current, state);
    const slot: Slot = { sequence: this.slot.sequence + 1, state: { ...state } };
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
    // Allocates both slots, so that a save never needs more disk space.
    const bytes = new Uint8Array(fileBytes);
    bytes.set(encodeSlot(first, crc32c), slotPosition(first.sequence));
    await file.write(0, [bytes]);
    await file.sync();
    await directory.rename(temporaryName, fileName);
    await directory.sync();
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function readNewest(file: File, crc32c: Crc32c): Promise<{ slot: Slot; damage: string | undefined }> {
  const bytes = await file.read(0, fileBytes);
  const slots: Slot[] = [];
  const flaws: Flaw[] = [];
  for (let i = 0; i < slotCount; i++) {
    const found = decodeSlot(bytes.subarray(i * slotSpacing, i * slotSpacing + slotBytes), crc32c);
    if ('kind' in found) flaws.push({ ...found, reason: `slot ${i} ${found.reason}` });
    else if (slotPosition(found.sequence) === i * slotSpacing) slots.push(found);
    else
      flaws.push({
        kind: 'damaged',
        reason: `slot ${i} holds sequence ${found.sequence}, which belongs in the other slot`,
      });
  }
  const [slot] = slots.sort((a, b) => b.sequence - a.sequence);
  // A slot written by a later version may be newer than the one this version can read.
  if (!slot || flaws.some(({ kind }) => kind === 'unknown version'))
    throw new CorruptHardStateError(
      fileName,
      flaws.map(({ reason }) => reason),
    );
  const blankIsFine = slot.sequence === 1;
  return { slot, damage: flaws.find(({ kind }) => !(blankIsFine && kind === 'blank'))?.reason };
}

function encodeSlot({ sequence, state }: Slot, crc32c: Crc32c): Uint8Array {
  const bytes = new Uint8Array(slotBytes);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, magic);
  view.setUint16(4, version);
  view.setBigUint64(8, BigInt(sequence));
  view.setBigUint64(16, BigInt(state.term));
  view.setBigUint64(24, BigInt(state.vote));
  view.setBigUint64(32, BigInt(state.commit));
  view.setUint32(crcPosition, crc32c(bytes.subarray(0, crcPosition)));
  return bytes;
}

interface Flaw {
  readonly kind: 'blank' | 'damaged' | 'unknown version';
  readonly reason: string;
}

function decodeSlot(bytes: Uint8Array, crc32c: Crc32c): Slot | Flaw {
  if (bytes.length < slotBytes) return { kind: 'damaged', reason: `is cut off after ${bytes.length} bytes` };
  if (bytes.every((byte) => byte === 0)) return { kind: 'blank', reason: 'is blank' };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0) !== magic) return { kind: 'damaged', reason: 'does not begin with "GLHS"' };
  if (view.getUint32(crcPosition) !== crc32c(bytes.subarray(0, crcPosition)))
    return { kind: 'damaged', reason: 'fails its checksum' };
  const found = view.getUint16(4);
  if (found !== version)
    return {
      kind: 'unknown version',
      reason: `has version ${found}, but this release supports only version ${version}`,
    };
  const number = (position: number): number => Number(view.getBigUint64(position));
  const [sequence, term, vote, commit] = [number(8), number(16), number(24), number(32)];
  if (![sequence, term, vote, commit].every(Number.isSafeInteger) || sequence === 0)
    return { kind: 'damaged', reason: 'contains a number out of range' };
  return { sequence, state: { term: toTerm(term), vote, commit: toIndex(commit) } };
}
