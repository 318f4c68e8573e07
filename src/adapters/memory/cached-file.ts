import { GrowableBytes } from './growable-bytes.js';
import { randomInteger, type Random } from './seeded-random.js';

/** What a crash leaves of what was not synced: nothing, some of it, or (the process died, the machine did not) all. */
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

/** A disk writes whole sectors; the kernel writes whole pages. A crash tears at one or the other. */
const sectorSizes = [512, 4096] as const;

/** A file under a write cache: what readers see, what the disk holds, and the operations that lie between. */
export class CachedFile {
  /** What readers see. */
  #cached = new GrowableBytes();
  #durable = new GrowableBytes();
  #unsynced: Operation[] = [];

  get length(): number {
    return this.#cached.length;
  }

  read(position: number, length: number): Uint8Array {
    return this.#cached.read(position, length);
  }

  /** The bytes are kept: the caller hands them over. */
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
   * What a failed sync does on ext4: the pages count as clean although they were not written. Readers go on seeing
   * them, the next sync succeeds, and a crash shows that they are gone.
   */
  dropUnsynced(): void {
    this.#unsynced = [];
  }

  /** Flips bits on the disk and in the cache. */
  corrupt(position: number, mask: number): void {
    for (const bytes of [this.#cached, this.#durable]) {
      const [byte] = bytes.read(position, 1);
      if (byte !== undefined) bytes.write(position, Uint8Array.of(byte ^ mask));
    }
  }

  /** The file as the next start finds it. */
  afterCrash(keep: Keep, random: Random): CachedFile {
    const found = new CachedFile();
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
 * One thing that a disk may hold after a crash. Lengths are metadata and survive in order, as far as some operation;
 * a write caught in the middle may have grown the file by any number of sectors. Each sector, by itself, has seen any
 * number of the writes to it, in their order. So data may be there without the length, the length without the data
 * (zeros), and a later write without an earlier one. Only what was cut off never comes back once the cut is there,
 * and what was written after a cut that is not there is not there either, as with any journaling file system.
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
  stored: number,
  sectorBytes: number,
  random: Random,
): number {
  const after = (length: number, operation: Operation): number =>
    operation.kind === 'truncate' ? operation.length : Math.max(length, operation.position + operation.bytes.length);
  const length = operations.slice(0, stored).reduce(after, durableLength);
  const next = operations[stored];
  if (next?.kind !== 'write') return length;
  const sectors = Math.floor((after(length, next) - length) / sectorBytes);
  return sectors > 0 ? length + randomInteger(random, 0, sectors) * sectorBytes : length;
}

/** For each sector that may have changed, in order, the indexes of the operations that touch it. */
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

/** How many of a sector's operations it must and may have seen, given the cuts that survived with the length. */
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
