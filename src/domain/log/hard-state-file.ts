import type { Crc32c } from './checksum.js';
import { FileNotFoundError, type Directory, type File } from './directory.js';
import { createAfresh, openIfThere } from './durable-file.js';
import { toIndex, toTerm, type Index, type Term } from './offsets.js';

/** What a voter must never forget (Raft §5.1, figure 2: "persistent state"), with the commit index to start from. */
export interface HardState {
  /** The latest term seen. */
  readonly term: Term;
  /** The node voted for in `term`, by its number; 0 for none. */
  readonly vote: number;
  /** Everything up to this index is committed and was durable here when it was saved. */
  readonly commit: Index;
}

/** Neither slot of the hard state can be trusted: the node no longer knows how it voted and must not take part. */
export class CorruptHardStateError extends Error {
  override readonly name = 'CorruptHardStateError';
  constructor(
    readonly fileName: string,
    readonly reasons: readonly string[],
  ) {
    super(
      `no valid slot in ${JSON.stringify(fileName)} (${reasons.join('; ')}): this node no longer knows its term and vote; ` +
        `restore the file, or empty the data directory and rejoin as a new member`,
    );
  }
}

const fileName = 'hard-state';
const temporaryName = 'hard-state.tmp';

const magic = 0x474c4853; // "GLHS"
const version = 1;
const slotBytes = 44;
const crcPosition = slotBytes - 4;
/** Slots lie a page apart, so that no disk's sector (512 or 4,096 bytes) holds both and a torn write spares one. */
const slotSpacing = 4096;
const slotCount = 2;
const fileBytes = slotCount * slotSpacing;

interface Slot {
  readonly sequence: number;
  readonly state: HardState;
}

/**
 * The hard state on disk, in two slots that are written in turn:
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
    /** True if there was no file: the node has no past, or has lost it. A caller with a log in hand must ask which. */
    readonly created: boolean,
    /**
     * Set when one slot was neither blank nor valid. After a crash during `save` that is the save that was torn; with
     * no crash it is damage to the medium, and the state may be the one before the last.
     */
    readonly damage: string | undefined,
  ) {}

  /**
   * Reads the newest valid slot, or makes the file with term 0, vote 0, commit 0. What is returned is durable, even if
   * the process that wrote it died before its sync. Rejects with `CorruptHardStateError` when there is a file without
   * a valid slot.
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
      // The sync of the process that wrote it may have failed: then the system takes for clean what never reached the
      // disk, and a sync by itself would do nothing. In its own place: torn, it leaves the other slot, and nothing that
      // was ever promised.
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
   * What the file holds, for looking at: nothing is written, so it need not be durable. Undefined: there is no file.
   * Rejects with `CorruptHardStateError`.
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

  /** The state that was last made durable. */
  get current(): HardState {
    return this.slot.state;
  }

  /**
   * Durable when it resolves. Saves asked for at once are written in that order. The term never decreases and a vote
   * never changes within its term (`RangeError`). After a failed save this one and all later ones reject with the
   * cause: nobody knows what the disk holds, so the process must end.
   */
  save(state: HardState): Promise<void> {
    const saved = this.#writing.then(() => this.#save(state));
    this.#writing = saved.catch(() => undefined);
    return saved;
  }

  /** Waits for the saves under way. Idempotent. */
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
    throw new RangeError(`hard state: term ${next.term} is before the saved term ${previous.term}`);
  if (next.term === previous.term && previous.vote !== 0 && next.vote !== previous.vote)
    throw new RangeError(`hard state: the vote of term ${next.term} is for ${previous.vote}, not ${next.vote}`);
}

const slotPosition = (sequence: number): number => ((sequence - 1) % slotCount) * slotSpacing;

/** Written under another name, synced and renamed, so that the file is there whole or not at all. */
async function createFile(directory: Directory, first: Slot, crc32c: Crc32c): Promise<File> {
  const file = await createAfresh(directory, temporaryName);
  try {
    // Written whole, so that both slots have their space and a save never needs any.
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
    else flaws.push({ kind: 'damaged', reason: `slot ${i} holds sequence ${found.sequence}, the other slot's` });
  }
  const [slot] = slots.sort((a, b) => b.sequence - a.sequence);
  // What a later version wrote may be newer than what this one can read.
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
    return { kind: 'unknown version', reason: `has version ${found}, and this program knows ${version}` };
  const number = (position: number): number => Number(view.getBigUint64(position));
  const [sequence, term, vote, commit] = [number(8), number(16), number(24), number(32)];
  if (![sequence, term, vote, commit].every(Number.isSafeInteger) || sequence === 0)
    return { kind: 'damaged', reason: 'holds a number out of range' };
  return { sequence, state: { term: toTerm(term), vote, commit: toIndex(commit) } };
}
