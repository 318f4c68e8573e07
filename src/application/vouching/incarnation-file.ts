import type { Crc32c } from '../../domain/log/checksum.js';
import type { Directory, File, FileIdentity } from '../../domain/log/directory.js';
import { createDurably, openIfThere, unlessUnreadable } from '../../domain/log/durable-file.js';
import { fieldsOf, isNatural, parsedObject } from './parsed-json.js';

const fileName = 'incarnation';
const slotBytes = 512;
/** Slots are a page apart, so that a torn write damages only one. */
const slotSpacing = 4096;
const slotCount = 2;
/** What no directory reaches, in steps of 2^19 on average: a greater number is damage. */
const incarnationMax = 2 ** 52;
/** The starts that the file remembers. */
const startsMax = 16;
/** A start raises the incarnation by an odd number below this, so that two copies of a directory count differently. */
const stepMax = 2 ** 20;
/** CRC-32C of the rest of the slot, and the length of the JSON. */
const headerBytes = 8;

/** What made a node doubt that its data directory is as it left it. */
export type Doubt = (typeof doubts)[number];
const doubts = ['copied', 'incarnation lost'] as const;

export interface Marker {
  readonly incarnation: number;
  /** The incarnations of earlier starts, ascending; the first is 0 while none is missing. */
  readonly starts: readonly number[];
  readonly identity: FileIdentity;
  readonly doubt?: Doubt;
}

/**
 * Numbers the starts of a data directory, in ascending order, and notices when the directory was copied: the file holds
 * its own inode number and birth time, which a copy of it has not. A moved file system keeps them, a restored backup does
 * not. The numbers leave random gaps: a start of a copy, which peers have seen, is not among those that the file remembers.
 *
 * The file is written in place, in two slots by turns, so that a start needs no disk space. Each slot holds the CRC-32C
 * of what follows (4 bytes, big-endian), the length of the JSON (4 bytes), and the JSON.
 */
export class IncarnationFile {
  private constructor(
    private readonly directory: Directory,
    private readonly crc32c: Crc32c,
    private readonly random: (n: number) => number,
    private marker: Marker,
  ) {}

  /**
   * Opens the file and raises the incarnation, durably. `hadOne`: an earlier start has written it, so that a missing or
   * damaged file is a loss. A doubt lasts until `settle`.
   *
   * @param random returns a random integer of [0, n)
   */
  static async open(
    directory: Directory,
    crc32c: Crc32c,
    random: (n: number) => number,
    hadOne: boolean,
  ): Promise<IncarnationFile> {
    const found = await openIfThere(directory, fileName);
    const file = found ?? (await createDurably(directory, fileName, [new Uint8Array(slotSpacing + slotBytes)]));
    try {
      const identity = await file.identity();
      const stored = await readNewest(file, crc32c);
      const doubt = stored === undefined ? (hadOne ? 'incarnation lost' : undefined) : doubtOf(stored, identity);
      const { incarnation, starts } = stored ?? { incarnation: 0, starts: [] };
      const opened = new IncarnationFile(directory, crc32c, random, { incarnation, starts, identity });
      await opened.#writeTo(file, { ...opened.#raised(incarnation), identity, ...(doubt && { doubt }) });
      return opened;
    } finally {
      await file.close();
    }
  }

  /** The incarnation of this start: at least 1. */
  get current(): number {
    return this.marker.incarnation;
  }

  /** Undefined: the directory is as the node left it, as far as it can tell. */
  get doubt(): Doubt | undefined {
    return this.marker.doubt;
  }

  /** Whether the directory was started before as this incarnation, or may have been: the file forgets old starts. */
  mayHaveBeen(incarnation: number): boolean {
    const { starts } = this.marker;
    return incarnation <= (starts[0] ?? 0) || starts.includes(incarnation);
  }

  /** Raises the incarnation above the given one. Durable when it resolves. */
  async raiseAbove(incarnation: number): Promise<void> {
    if (this.current <= incarnation) await this.#write({ ...this.marker, ...this.#raised(incarnation) });
  }

  /** Ends the doubt: the peers have been asked. Durable when it resolves. */
  async settle(): Promise<void> {
    const { doubt, ...settled } = this.marker;
    if (doubt !== undefined) await this.#write(settled);
  }

  #raised(above: number): Pick<Marker, 'incarnation' | 'starts'> {
    const { incarnation, starts } = this.marker;
    // An odd step goes to the other slot.
    const step = 1 + 2 * this.random(stepMax / 2);
    return { incarnation: above + step, starts: [...starts, incarnation].slice(-startsMax) };
  }

  async #write(marker: Marker): Promise<void> {
    const file = await this.directory.open(fileName);
    try {
      await this.#writeTo(file, marker);
    } finally {
      await file.close();
    }
  }

  async #writeTo(file: File, marker: Marker): Promise<void> {
    await file.write(slotPosition(marker.incarnation), [encodeSlot(marker, this.crc32c)]);
    await file.sync();
    this.marker = marker;
  }
}

function doubtOf({ identity: { inode, born }, doubt }: Marker, now: FileIdentity): Doubt | undefined {
  const isSame = inode === now.inode && (born === undefined || now.born === undefined || born === now.born);
  return isSame ? doubt : 'copied';
}

/** Two writes of one incarnation go to the same slot: a torn one leaves the incarnation before it. */
const slotPosition = (incarnation: number): number => (incarnation % slotCount) * slotSpacing;

async function readNewest(file: File, crc32c: Crc32c): Promise<Marker | undefined> {
  const found: Marker[] = [];
  for (let i = 0; i < slotCount; i++) {
    const slot = await unlessUnreadable(() => file.read(i * slotSpacing, slotBytes), new Uint8Array(0));
    const marker = decodeSlot(slot, crc32c);
    if (marker !== undefined) found.push(marker);
  }
  return found.sort((a, b) => b.incarnation - a.incarnation)[0];
}

function encodeSlot(marker: Marker, crc32c: Crc32c): Uint8Array {
  const json = new TextEncoder().encode(JSON.stringify(marker));
  const slot = new Uint8Array(slotBytes);
  const view = new DataView(slot.buffer);
  view.setUint32(4, json.length);
  slot.set(json, headerBytes);
  view.setUint32(0, crc32c(slot.subarray(4)) >>> 0);
  return slot;
}

/** Returns undefined for a blank, torn or damaged slot. */
export function decodeSlot(slot: Uint8Array, crc32c: Crc32c): Marker | undefined {
  if (slot.length < slotBytes) return undefined;
  const view = new DataView(slot.buffer, slot.byteOffset, slot.byteLength);
  const length = view.getUint32(4);
  if (length === 0 || length > slotBytes - headerBytes) return undefined;
  if (view.getUint32(0) !== crc32c(slot.subarray(4)) >>> 0) return undefined;
  const fields = parsedObject(slot.subarray(headerBytes, headerBytes + length));
  const { inode, born } = fieldsOf(fields?.identity) ?? {};
  if (!isNatural(fields?.incarnation) || fields.incarnation > incarnationMax || typeof inode !== 'string')
    return undefined;
  const doubt = doubts.find((each) => each === fields.doubt);
  const identity = { inode, ...(typeof born === 'string' && { born }) };
  // Releases that counted by ones remembered none.
  const starts = Array.isArray(fields.starts) ? fields.starts.filter(isNatural).slice(-startsMax) : [];
  return { incarnation: fields.incarnation, starts, identity, ...(doubt && { doubt }) };
}
