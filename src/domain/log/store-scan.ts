import { readUint32 } from './big-endian.js';
import { type File, UnreadableError } from './directory.js';
import type { Position } from './offsets.js';
import { follows, boundaryAfter, type LogBoundary } from './log-boundary.js';
import {
  batchHeaderBytes,
  batchIsIntact,
  batchMagic,
  parseBatchHeader,
  type BatchFault,
  type BatchHeader,
  type BatchChecksum,
} from './record-batch.js';

/** A range of bytes in a store without a valid next batch. */
export interface StoreFault {
  readonly reason: BatchFault | 'out of place';
  readonly position: Position;
  /**
   * The position of the next good batch, or the end of the store. Equal to `position` when whole batches are missing.
   */
  readonly end: Position;
  /** The boundary at which the first bad batch should begin. */
  readonly from: LogBoundary;
  /** The boundary at which the next good batch begins; `undefined` when there is no such batch. */
  readonly to: LogBoundary | undefined;
  /** False if the search for a good batch was abandoned, so that there may still be one. */
  readonly searchedAll: boolean;
}

export interface StoreScan {
  /** The position after the last good batch. */
  readonly end: Position;
  readonly boundary: LogBoundary;
  readonly faults: readonly StoreFault[];
  /** Whether the disk could not read some of the bytes. */
  readonly isUnreadable: boolean;
}

interface ScanRange {
  readonly from: Position;
  /** The number of bytes to scan. */
  readonly length: number;
  /** The boundary at which the first batch should begin. */
  readonly boundary: LogBoundary;
}

export function describeFault({ reason, position, end }: StoreFault): string {
  return `${reason} at position ${position}, no good batch before ${end}`;
}

const scanReadBytes = 1 << 20;
/** What a disk reads at a time: where a larger read fails, its blocks are read one by one. */
const blockBytes = 4096;
/** Each failing read may take a disk seconds: after this many, what fails is not divided further. */
const failuresMax = 256;
/**
 * The number of bytes to checksum in a search for a good batch before giving up: payloads may be full of lookalike
 * headers.
 */
const searchBytesMax = 2 ** 31;

/**
 * Scans the batches of a store in order and verifies the checksum and position of each. Passes each good batch to
 * `visit`, with `afterFault` set for the first one after bad bytes. After a bad batch, searches for the next good one
 * byte by byte. Bytes that the disk cannot read are bad.
 */
export async function scanStore(
  file: Pick<File, 'read'>,
  range: ScanRange,
  checksum: BatchChecksum,
  visit: (header: BatchHeader, position: Position, afterFault: boolean) => void,
): Promise<StoreScan> {
  const window = new FileWindow(file, range.length);
  const faults: StoreFault[] = [];
  let position: number = range.from;
  let end = range.from;
  let boundary = range.boundary;
  let afterFault = false;
  while (position < range.length) {
    const loaded = loadedBatchAt(window, position, checksum);
    const found = typeof loaded === 'number' ? await batchAt(window, position, checksum) : loaded;
    if (typeof found !== 'string' && follows(found, boundary)) {
      visit(found, position as Position, afterFault);
      position += batchHeaderBytes + found.payloadLength;
      end = position as Position;
      boundary = boundaryAfter(found);
      afterFault = false;
      continue;
    }
    const reason = typeof found === 'string' ? found : 'out of place';
    const next = await findNextBatch(window, position, boundary, checksum);
    const at = position as Position;
    const { header } = next;
    const to = header && { offset: header.baseOffset, index: header.index, term: header.term };
    position = header ? next.position : range.length;
    faults.push({ reason, position: at, end: position as Position, from: boundary, to, searchedAll: next.searchedAll });
    if (to) boundary = to;
    afterFault = true;
  }
  return { end, boundary, faults, isUnreadable: window.isUnreadable };
}

async function batchAt(
  window: FileWindow,
  position: number,
  checksum: BatchChecksum,
): Promise<BatchHeader | BatchFault> {
  for (let wanted = batchHeaderBytes; ;) {
    await window.load(position, wanted);
    const found = loadedBatchAt(window, position, checksum);
    if (typeof found !== 'number') return found;
    wanted = found;
  }
}

/** Returns the batch, or its fault, or the number of bytes from `position` on that must be loaded to decide. */
function loadedBatchAt(
  window: FileWindow,
  position: number,
  checksum: BatchChecksum,
): BatchHeader | BatchFault | number {
  let at = window.locate(position, batchHeaderBytes);
  if (at < 0) return batchHeaderBytes;
  if (window.lacks(position, batchHeaderBytes)) return 'unreadable';
  const header = parseBatchHeader(window.bytes, at);
  if (typeof header === 'string') return header;
  const bytes = batchHeaderBytes + header.payloadLength;
  if (position + bytes > window.length) return 'short payload';
  at = window.locate(position, bytes);
  if (at < 0) return bytes;
  if (window.lacks(position, bytes)) return 'unreadable';
  return batchIsIntact(header, window.bytes, at, checksum) ? header : 'checksum mismatch';
}

/**
 * Finds the first intact batch from `position` on that may follow `boundary`, possibly with batches missing in between.
 */
async function findNextBatch(
  window: FileWindow,
  position: number,
  boundary: LogBoundary,
  checksum: BatchChecksum,
): Promise<{ header: BatchHeader | undefined; position: number; searchedAll: boolean }> {
  let checked = 0;
  for (let candidate = position; candidate <= window.length - batchHeaderBytes; candidate++) {
    let at = window.locate(candidate, batchHeaderBytes);
    if (at < 0) {
      await window.load(candidate, batchHeaderBytes);
      at = 0;
    }
    const skipped = distanceToMagic(window.bytes, at);
    if (skipped > 0) {
      candidate += skipped - 1;
      continue;
    }
    const header = parseBatchHeader(window.bytes, at);
    if (typeof header === 'string' || !mayFollow(header, boundary)) continue;
    if (checked > searchBytesMax) return { header: undefined, position: window.length, searchedAll: false };
    checked += header.payloadLength;
    const found = await batchAt(window, candidate, checksum);
    if (typeof found !== 'string') return { header: found, position: candidate, searchedAll: true };
  }
  return { header: undefined, position: window.length, searchedAll: true };
}

function mayFollow(header: BatchHeader, boundary: LogBoundary): boolean {
  return header.index >= boundary.index && header.baseOffset >= boundary.offset && header.term >= boundary.term;
}

/** Returns the distance from `at` to the next possible header start; 0 if it is at `at`. */
function distanceToMagic(bytes: Uint8Array, at: number): number {
  for (let next = at; ; next++) {
    next = bytes.indexOf(batchMagic >>> 24, next);
    if (next < 0 || next > bytes.length - batchHeaderBytes)
      return Math.max(1, bytes.length - batchHeaderBytes + 1 - at);
    if (readUint32(bytes, next) === batchMagic) return next - at;
  }
}

/** A part of a file in memory, which moves forward with the scan. */
class FileWindow {
  bytes: Uint8Array = new Uint8Array(0);
  #position = 0;
  /** The positions that the disk could not read, in order; zeros are in their place. */
  readonly #unreadable: { readonly from: number; readonly to: number }[] = [];
  #failures = 0;

  constructor(
    private readonly file: Pick<File, 'read'>,
    /** Reduced when the file turns out to be shorter. */
    public length: number,
  ) {}

  /**
   * Returns where in `bytes` the file's bytes from `position` are; -1 unless `count` of them, or all up to the end, are
   * loaded.
   */
  locate(position: number, count: number): number {
    const at = position - this.#position;
    return at >= 0 && Math.min(count, this.length - position) <= this.bytes.length - at ? at : -1;
  }

  get isUnreadable(): boolean {
    return this.#unreadable.length > 0;
  }

  /** Returns true if the disk could not read some of these bytes. */
  lacks(position: number, count: number): boolean {
    return this.#unreadable.some(({ from, to }) => from < position + count && position < to);
  }

  /**
   * Loads at least `count` bytes from `position` on, fewer at the end of the file; `bytes` then begins at `position`.
   */
  async load(position: number, count: number): Promise<void> {
    if (this.locate(position, count) === 0) return;
    const wanted = Math.min(Math.max(count, scanReadBytes), this.length - position);
    this.bytes = await this.#read(position, wanted);
    this.#position = position;
    if (this.bytes.length < wanted) this.length = position + this.bytes.length;
  }

  /** Reads what can be read. */
  async #read(position: number, count: number): Promise<Uint8Array> {
    try {
      return await this.file.read(position, count);
    } catch (error) {
      if (!(error instanceof UnreadableError)) throw error;
    }
    // The block boundary before the middle, or the first one.
    const blocks = Math.max(Math.floor(position / blockBytes) + 1, Math.floor((position + count / 2) / blockBytes));
    const middle = blocks * blockBytes - position;
    if (middle >= count || ++this.#failures > failuresMax) {
      this.#unreadable.push({ from: position, to: position + count });
      return new Uint8Array(count);
    }
    const bytes = new Uint8Array(count);
    const first = await this.#read(position, middle);
    bytes.set(first);
    if (first.length < middle) return bytes.subarray(0, first.length);
    const second = await this.#read(position + middle, count - middle);
    bytes.set(second, middle);
    return bytes.subarray(0, middle + second.length);
  }
}
