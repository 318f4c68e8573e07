import type { Quarantine } from '../../src/domain/log/recovery.js';
import { storeBaseOffset } from '../../src/domain/log/file-names.js';
import type { BatchChecksum } from '../../src/domain/log/record-batch.js';
import { decodeStoreHeader, firstBatchPosition } from '../../src/domain/log/store-header.js';
import type { SimulatedDisk } from './simulated-disk.js';
import { scanStores, storedRanges, type StoredRange } from './stored-entries.js';

/** Bytes of a store that went bad. */
interface Damage {
  readonly store: string;
  /** By position: what was there, and what is there now. */
  readonly bytes: ReadonlyMap<number, { readonly was: number; readonly is: number }>;
  /** The entries that lie there, `to` exclusive. */
  readonly from: number;
  readonly to: number;
}

/** What rot has done to the stores of one machine's disk, and is still there as far as is known. */
export class DiskRot {
  /** The log is being repaired, or was when the last process there ended: what was cut off may not be back. */
  repairing = false;
  #damages: Damage[] = [];

  constructor(
    private readonly disk: SimulatedDisk,
    private readonly checksum: BatchChecksum,
  ) {}

  /** As of the last look: some of what was stored here may be gone. */
  get isThere(): boolean {
    return this.repairing || this.#damages.length > 0;
  }

  /** The first entry that was hit; Infinity: none. */
  get from(): number {
    return Math.min(...this.#damages.map(({ from }) => from));
  }

  /** The disk is another one. */
  forget(): void {
    this.repairing = false;
    this.#damages = [];
  }

  /** The entries of each store, the oldest first, with those that rot hit. */
  async stores(): Promise<{ name: string; length: number; ranges: StoredRange[] }[]> {
    const log = await this.disk.root.subdirectory('log');
    const found: { name: string; length: number; ranges: StoredRange[] }[] = [];
    for (const name of await log.list()) {
      if (storeBaseOffset(name) === undefined) continue;
      const file = await log.open(name);
      const bytes = await file.read(0, await file.size());
      found.push({
        name,
        length: bytes.length,
        ranges: storedRanges(bytes, this.checksum, this.restored(name, bytes)),
      });
    }
    return found;
  }

  /** Flips the bits of `mask`, or all that are set. Returns whether anything has changed. */
  async strike(name: string, from: number, to: number, mask: number | 'zeros'): Promise<boolean> {
    const log = await this.disk.root.subdirectory('log');
    const file = await log.open(name);
    const before = await file.read(from, to - from);
    const bytes = new Map<number, { was: number; is: number }>();
    const ranges = (await this.stores()).find((store) => store.name === name)?.ranges ?? [];
    for (const [place, was] of before.entries()) {
      const flipped = mask === 'zeros' ? was : mask;
      if (flipped === 0) continue;
      log.corrupt(name, from + place, flipped);
      bytes.set(from + place, { was, is: was ^ flipped });
    }
    const hit = from < firstBatchPosition ? ranges : ranges.filter((each) => each.from < to && from < each.to);
    const [first] = hit;
    const last = hit.at(-1);
    if (bytes.size === 0 || first === undefined || last === undefined) return bytes.size > 0;
    // Without its header a store is lost, with all that will be in it.
    const end = from < firstBatchPosition ? Infinity : last.index + 1;
    this.#damages.push({ store: name, bytes, from: first.index, to: end });
    return true;
  }

  /** Looks whether all stores are whole again: repaired, or cut off, or gone with retention. */
  async look(): Promise<boolean> {
    if (!this.isThere) return true;
    const log = await this.disk.root.subdirectory('log');
    for (const { name, length } of await this.stores()) {
      const bytes = await (await log.open(name)).read(0, length);
      const end = storedRanges(bytes, this.checksum).at(-1)?.to ?? firstBatchPosition;
      if (length !== end || decodeStoreHeader(bytes, name, this.checksum) === undefined) return false;
    }
    this.#damages = [];
    return !this.repairing;
  }

  /** The store as it was, as far as it is still as it was when rot came over it. */
  readonly restored = (name: string, bytes: Uint8Array): Uint8Array | undefined => {
    const hits = this.#damages.filter(({ store }) => store === name);
    if (hits.length === 0) return undefined;
    const copy = bytes.slice();
    for (const hit of [...hits].reverse())
      for (const [at, { was, is }] of hit.bytes) if (copy[at] === is) copy[at] = was;
    return copy;
  };

  /** All entries that the stores hold, with what rot hit as it was before. */
  async entries(verified: boolean): ReturnType<typeof scanStores> {
    return scanStores(await this.disk.root.subdirectory('log'), this.checksum, verified, this.restored);
  }

  /**
   * Whether the range is one that rot hit. Behind rot in the last store, opening gives up with it what a crash has torn
   * there, and one that reaches beyond the log's end may be longer.
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
