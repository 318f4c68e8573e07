import type { FileIdentity } from '../../domain/log/directory.js';
import { GrowableBytes } from './growable-bytes.js';
import { nextIdentity } from './memory-inodes.js';
import { randomInteger, type Random } from './seeded-random.js';

/** How much unsynced data survives a crash: none, some of it, or all (the process died but the machine did not). */
export type Keep = 'none' | 'random' | 'all';

interface WriteOperation {
  readonly kind: 'write';
  readonly position: number;
  readonly bytes: Uint8Array;
}
interface TruncateOperation {
  readonly kind: 'truncate';
  readonly length: number;
}
type Operation = WriteOperation | TruncateOperation;

/** A disk writes whole sectors and the kernel writes whole pages; a crash tears at either size. */
const sectorSizes = [512, 4096] as const;

/** A file in a write cache: what readers see, what the disk holds, and the operations in between. */
export class CachedFile {
  /** The bytes that readers see. */
  #cached = new GrowableBytes();
  #durable = new GrowableBytes();
  #unsynced: Operation[] = [];
  /** Bad sectors: positions that can be neither read nor written. */
  #bad: { readonly from: number; readonly to: number }[] = [];

  constructor(readonly identity: FileIdentity = nextIdentity()) {}

  get length(): number {
    return this.#cached.length;
  }

  read(position: number, length: number): Uint8Array {
    return this.#cached.read(position, length);
  }

  /** Retains the bytes; the caller must not change them afterwards. */
  write(position: number, bytes: Uint8Array): void {
    if (bytes.length > 0) this.#do({ kind: 'write', position, bytes });
  }

  truncate(length: number): void {
    this.#do({ kind: 'truncate', length });
  }

  sync(): void {
    for (const operation of this.#unsynced) apply(this.#durable, operation);
    this.#unsynced = [];
  }

  /**
   * Simulates a failed sync on ext4: the pages count as clean although they were not written. Readers still see them,
   * the next sync succeeds, and a crash loses them.
   */
  dropUnsynced(): void {
    this.#unsynced = [];
  }

  /** Turns the sectors of these positions bad: for this file, they stay so. */
  spoil(from: number, to: number): void {
    this.#bad.push({ from, to });
  }

  /** Whether one of these positions is in a bad sector. */
  isBad(from: number, to: number): boolean {
    return this.#bad.some((bad) => bad.from < to && from < bad.to);
  }

  /** Flips bits on the disk and in the cache. */
  corrupt(position: number, mask: number): void {
    for (const bytes of [this.#cached, this.#durable]) {
      const [byte] = bytes.read(position, 1);
      if (byte !== undefined) bytes.write(position, Uint8Array.of(byte ^ mask));
    }
  }

  /** Returns the file as the next start finds it. */
  afterCrash(keep: Keep, random: Random): CachedFile {
    const found = new CachedFile(this.identity);
    found.#bad = [...this.#bad];
    if (keep === 'all') {
      found.#cached = this.#cached.clone();
      found.#durable = this.#durable.clone();
      found.#unsynced = [...this.#unsynced];
    } else {
      found.#durable = keep === 'none' ? this.#durable.clone() : survivors(this.#durable, this.#unsynced, random);
      found.#cached = found.#durable.clone();
    }
    return found;
  }

  /** Returns another file with the same bytes, all of them on the disk. */
  copy(): CachedFile {
    const made = new CachedFile();
    made.#cached = this.#cached.clone();
    made.#durable = this.#cached.clone();
    return made;
  }

  #do(operation: Operation): void {
    apply(this.#cached, operation);
    this.#unsynced.push(operation);
  }
}

function apply(bytes: GrowableBytes, operation: Operation): void {
  if (operation.kind === 'write') bytes.write(operation.position, operation.bytes);
  else bytes.resize(operation.length);
}

/**
 * Returns one possible state of the disk after a crash. Lengths are metadata and survive in order up to some operation;
 * a write in progress may have grown the file by any number of sectors. Each sector independently has received any
 * number of the writes to it, in order. So data may exist without its length, a length without its data (zeros), and a
 * later write without an earlier one. As in any journaling file system, truncated data never returns once the
 * truncation is durable, and data written after a lost truncation is lost too.
 */
function survivors(durable: GrowableBytes, operations: readonly Operation[], random: Random): GrowableBytes {
  const sectorBytes = sectorSizes[randomInteger(random, 0, 1)] ?? 512;
  const lengthsKept = randomInteger(random, 0, operations.length);
  const eagerness = random();
  const found = durable.clone();
  const length = survivingLength(durable.length, operations, lengthsKept, sectorBytes, random);
  const touching = operationsBySector(durable.length, operations, sectorBytes);
  for (const [sector, indexes] of touching) {
    const { from, to } = cutBounds(operations, indexes, lengthsKept);
    const seen = random() < eagerness ? to : randomInteger(random, from, to);
    for (const index of indexes.slice(0, seen)) applyToSector(found, operations[index], sector, sectorBytes);
  }
  found.resize(length);
  return found;
}

function survivingLength(
  durableLength: number,
  operations: readonly Operation[],
  lengthsKept: number,
  sectorBytes: number,
  random: Random,
): number {
  const after = (length: number, operation: Operation): number =>
    operation.kind === 'truncate' ? operation.length : Math.max(length, operation.position + operation.bytes.length);
  const length = operations.slice(0, lengthsKept).reduce(after, durableLength);
  const next = operations[lengthsKept];
  if (next?.kind !== 'write') return length;
  const sectors = Math.floor((after(length, next) - length) / sectorBytes);
  return sectors > 0 ? length + randomInteger(random, 0, sectors) * sectorBytes : length;
}

/** Returns, for each sector that may have changed, the indexes of the operations that touch it, in order. */
function operationsBySector(
  durableLength: number,
  operations: readonly Operation[],
  sectorBytes: number,
): Map<number, number[]> {
  const touching = new Map<number, number[]>();
  let length = durableLength;
  for (const [index, operation] of operations.entries()) {
    const [start, end] =
      operation.kind === 'write'
        ? [operation.position, operation.position + operation.bytes.length]
        : [operation.length, length];
    for (let sector = Math.floor(start / sectorBytes); sector * sectorBytes < end; sector++) {
      const indexes = touching.get(sector);
      if (indexes) indexes.push(index);
      else touching.set(sector, [index]);
    }
    length = operation.kind === 'truncate' ? operation.length : Math.max(length, end);
  }
  return new Map([...touching].sort(([a], [b]) => a - b));
}

/** Returns the range of how many of a sector's operations it may have received, given the truncations that survived. */
function cutBounds(
  operations: readonly Operation[],
  indexes: readonly number[],
  lengthsKept: number,
): { from: number; to: number } {
  const isCut = (index: number): boolean => operations[index]?.kind === 'truncate';
  const from = indexes.findLastIndex((index) => isCut(index) && index < lengthsKept) + 1;
  const lost = indexes.findIndex((index) => isCut(index) && index >= lengthsKept);
  return { from, to: lost === -1 ? indexes.length : lost };
}

function applyToSector(
  bytes: GrowableBytes,
  operation: Operation | undefined,
  sector: number,
  sectorBytes: number,
): void {
  const sectorStart = sector * sectorBytes;
  const sectorEnd = sectorStart + sectorBytes;
  if (operation?.kind === 'write') {
    const start = Math.max(operation.position, sectorStart);
    const end = Math.min(operation.position + operation.bytes.length, sectorEnd);
    bytes.write(start, operation.bytes.subarray(start - operation.position, end - operation.position));
  } else if (operation?.kind === 'truncate') {
    const start = Math.max(operation.length, sectorStart);
    const end = Math.min(bytes.length, sectorEnd);
    if (end > start) bytes.write(start, new Uint8Array(end - start));
  }
}
