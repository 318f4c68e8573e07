import type { Quarantine } from '../../src/domain/log/recovery.js';
import { storeBaseOffset } from '../../src/domain/log/file-names.js';
import type { BatchChecksum } from '../../src/domain/log/record-batch.js';
import { decodeStoreHeader, firstBatchPosition } from '../../src/domain/log/store-header.js';
import type { SimulatedDisk } from './simulated-disk.js';
import { scanStores, storedRanges, type StoredRange } from './stored-entries.js';

/** A disk reads blocks of this size. */
const sectorBytes = 4096;

/** The rotten bytes of a store. */
interface Damage {
  readonly store: string;
  /** By position: the original byte, and the byte there now. */
  readonly bytes: ReadonlyMap<number, { readonly was: number; readonly is: number }>;
  /** The entries at those bytes, `to` exclusive. */
  readonly from: number;
  readonly to: number;
}

/** The rot in the stores of one machine's disk that is not known to be repaired. */
export class DiskRot {
  /**
   * Whether the log is being repaired, or was when the last process there ended: removed entries may still be missing.
   */
  repairing = false;
  #damages: Damage[] = [];

  constructor(
    private readonly disk: SimulatedDisk,
    private readonly checksum: BatchChecksum,
  ) {}

  /** As of the last check: some entries stored here may have been removed since. */
  get isThere(): boolean {
    return this.repairing || this.#damages.length > 0;
  }

  /** The first entry that was hit; Infinity: none. */
  get from(): number {
    return Math.min(...this.#damages.map(({ from }) => from));
  }

  /** The disk was replaced. */
  forget(): void {
    this.repairing = false;
    this.#damages = [];
  }

  /** Returns the entries of each store, oldest first, including those that rot hit. */
  async stores(): Promise<{ name: string; length: number; ranges: StoredRange[] }[]> {
    const log = await this.disk.root.subdirectory('log');
    const found: { name: string; length: number; ranges: StoredRange[] }[] = [];
    for (const name of await log.list()) {
      if (storeBaseOffset(name) === undefined) continue;
      const bytes = log.peek(name);
      found.push({
        name,
        length: bytes.length,
        ranges: storedRanges(bytes, this.checksum, this.restored(name, bytes)),
      });
    }
    return found;
  }

  /** Flips the bits of `mask`, clears all bits, or makes the sectors bad. Returns whether anything has changed. */
  async strike(name: string, from: number, to: number, mask: number | 'zeros' | 'unreadable'): Promise<boolean> {
    const log = await this.disk.root.subdirectory('log');
    const before = log.peek(name).slice(from, to);
    if (mask === 'unreadable') log.spoil(name, from, to);
    const bytes = new Map<number, { was: number; is: number }>();
    const ranges = (await this.stores()).find((store) => store.name === name)?.ranges ?? [];
    for (const [i, was] of before.entries()) {
      const flipped = mask === 'zeros' ? was : mask === 'unreadable' ? 0 : mask;
      if (flipped === 0) continue;
      log.corrupt(name, from + i, flipped);
      bytes.set(from + i, { was, is: was ^ flipped });
    }
    // What is near bad sectors may be read with them.
    const around = mask === 'unreadable' ? sectorBytes : 0;
    const hit =
      from < firstBatchPosition + around
        ? ranges
        : ranges.filter((each) => each.from < to + around && from - around < each.to);
    const [first] = hit;
    const last = hit.at(-1);
    const hasChanged = bytes.size > 0 || mask === 'unreadable';
    if (!hasChanged || first === undefined || last === undefined) return hasChanged;
    // A store without its header is lost, with everything that it would hold.
    const end = from < firstBatchPosition + around ? Infinity : last.index + 1;
    this.#damages.push({ store: name, bytes, from: first.index, to: end });
    return true;
  }

  /** Checks whether all stores are intact again: repaired, cut off, or removed by retention. */
  async look(): Promise<boolean> {
    if (!this.isThere) return true;
    for (const store of await this.stores()) if (!(await this.#isIntact(store))) return false;
    this.#damages = [];
    return !this.repairing;
  }

  /** Checks whether all stores but the last are intact. */
  async sealedAreIntact(): Promise<boolean> {
    if (!this.isThere) return true;
    for (const store of (await this.stores()).slice(0, -1)) if (!(await this.#isIntact(store))) return false;
    return true;
  }

  async #isIntact({ name, length }: { readonly name: string; readonly length: number }): Promise<boolean> {
    const log = await this.disk.root.subdirectory('log');
    if (log.isSpoiled(name)) return false;
    const bytes = log.peek(name);
    const end = storedRanges(bytes, this.checksum).at(-1)?.to ?? firstBatchPosition;
    return length === end && decodeStoreHeader(bytes, name, this.checksum) !== undefined;
  }

  /** Returns the store without the rot, as far as the rotten bytes are still there. */
  readonly restored = (name: string, bytes: Uint8Array): Uint8Array | undefined => {
    const hits = this.#damages.filter(({ store }) => store === name);
    if (hits.length === 0) return undefined;
    const copy = bytes.slice();
    for (const hit of [...hits].reverse())
      for (const [at, { was, is }] of hit.bytes) if (copy[at] === is) copy[at] = was;
    return copy;
  };

  /** Returns all entries of the stores, with rotten ones restored. */
  async entries(verified: boolean): ReturnType<typeof scanStores> {
    return scanStores(await this.disk.root.subdirectory('log'), this.checksum, verified, this.restored);
  }

  /**
   * Whether rot hit the range. After rot in the last store, opening also drops what a crash has torn there, and a range
   * that extends past the log's end may be longer.
   */
  async explains({ fromIndex, toIndex }: Quarantine, lastIndex: number): Promise<boolean> {
    const last = (await this.stores()).at(-1)?.name;
    const isBehind = this.#damages.some(({ from, store }) => store === last && from <= fromIndex);
    if (isBehind) return true;
    if (toIndex > lastIndex) return this.#damages.some(({ from }) => from <= fromIndex);
    const isHit = this.#damages.some(({ from, to }) => from < Math.max(toIndex, fromIndex + 1) && fromIndex < to);
    const furthest = Math.max(...this.#damages.map(({ to }) => to));
    return isHit && this.from <= fromIndex && toIndex <= furthest;
  }
}
