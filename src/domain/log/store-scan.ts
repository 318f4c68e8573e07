import { readUint32 } from './big-endian.js';
import type { File } from './directory.js';
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

/** Bytes of a store in which no batch that belongs there was found. */
export interface StoreFault {
  readonly reason: BatchFault | 'out of place';
  readonly position: Position;
  /** Where the next good batch begins, or the end of the store. May be `position`: whole batches are gone. */
  readonly end: Position;
  /** The place that the first bad batch should have. */
  readonly from: LogBoundary;
  /** The place of the next good batch; `undefined` when there is none. */
  readonly to: LogBoundary | undefined;
  /** False when looking for a good batch was given up, so that there may be one beyond all the same. */
  readonly searchedAll: boolean;
}

export interface StoreScan {
  /** After the last good batch. */
  readonly end: Position;
  readonly place: LogBoundary;
  readonly faults: readonly StoreFault[];
}

interface ScanRange {
  readonly from: Position;
  /** Bytes of the store; what lies beyond is not looked at. */
  readonly length: number;
  /** Of the first batch. */
  readonly place: LogBoundary;
}

export function describeFault({ reason, position, end }: StoreFault): string {
  return `${reason} at position ${position}, no good batch before ${end}`;
}

const scanReadBytes = 1 << 20;
/** Bytes checksummed in search of a good batch, before giving up: payloads may be full of what looks like headers. */
const searchBytesMax = 2 ** 31;

/**
 * Goes through the batches of a store in order, verifying each checksum and place; `visit` gets each good one, with
 * `afterFault` for the first one behind bad bytes. Behind a bad batch it looks for the next good one, byte by byte.
 */
export async function scanStore(
  file: File,
  range: ScanRange,
  checksum: BatchChecksum,
  visit: (header: BatchHeader, position: Position, afterFault: boolean) => void,
): Promise<StoreScan> {
  const window = new FileWindow(file, range.length);
  const faults: StoreFault[] = [];
  let position: number = range.from;
  let end = range.from;
  let place = range.place;
  let afterFault = false;
  while (position < range.length) {
    const loaded = loadedBatchAt(window, position, checksum);
    const found = typeof loaded === 'number' ? await batchAt(window, position, checksum) : loaded;
    if (typeof found !== 'string' && follows(found, place)) {
      visit(found, position as Position, afterFault);
      position += batchHeaderBytes + found.payloadLength;
      end = position as Position;
      place = boundaryAfter(found);
      afterFault = false;
      continue;
    }
    const reason = typeof found === 'string' ? found : 'out of place';
    const next = await findNextBatch(window, position, place, checksum);
    const at = position as Position;
    const { header } = next;
    const to = header && { offset: header.baseOffset, index: header.index, term: header.term };
    position = header ? next.position : range.length;
    faults.push({ reason, position: at, end: position as Position, from: place, to, searchedAll: next.searchedAll });
    if (to) place = to;
    afterFault = true;
  }
  return { end, place, faults };
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

/** The batch, or what is wrong with it, or how many bytes from `position` on must be loaded to tell. */
function loadedBatchAt(
  window: FileWindow,
  position: number,
  checksum: BatchChecksum,
): BatchHeader | BatchFault | number {
  let at = window.locate(position, batchHeaderBytes);
  if (at < 0) return batchHeaderBytes;
  const header = parseBatchHeader(window.bytes, at);
  if (typeof header === 'string') return header;
  const bytes = batchHeaderBytes + header.payloadLength;
  if (position + bytes > window.length) return 'short payload';
  at = window.locate(position, bytes);
  if (at < 0) return bytes;
  return batchIsIntact(header, window.bytes, at, checksum) ? header : 'checksum mismatch';
}

/** The first intact batch from `position` on that may come, with batches missing before it, after `place`. */
async function findNextBatch(
  window: FileWindow,
  position: number,
  place: LogBoundary,
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
    if (typeof header === 'string' || !mayFollow(header, place)) continue;
    if (checked > searchBytesMax) return { header: undefined, position: window.length, searchedAll: false };
    checked += header.payloadLength;
    const found = await batchAt(window, candidate, checksum);
    if (typeof found !== 'string') return { header: found, position: candidate, searchedAll: true };
  }
  return { header: undefined, position: window.length, searchedAll: true };
}

function mayFollow(header: BatchHeader, place: LogBoundary): boolean {
  return header.index >= place.index && header.baseOffset >= place.offset && header.term >= place.term;
}

/** Bytes from `at` to the next one that may begin a header; 0 when one begins here. */
function distanceToMagic(bytes: Uint8Array, at: number): number {
  for (let next = at; ; next++) {
    next = bytes.indexOf(batchMagic >>> 24, next);
    if (next < 0 || next > bytes.length - batchHeaderBytes)
      return Math.max(1, bytes.length - batchHeaderBytes + 1 - at);
    if (readUint32(bytes, next) === batchMagic) return next - at;
  }
}

/** A part of a file in memory, moved forward as the scan goes. */
class FileWindow {
  bytes: Uint8Array = new Uint8Array(0);
  #position = 0;

  constructor(
    private readonly file: File,
    /** Less than said once the file turned out to be shorter. */
    public length: number,
  ) {}

  /** Where in `bytes` the file's bytes from `position` are; -1 unless `count` of them, or all there are, are there. */
  locate(position: number, count: number): number {
    const at = position - this.#position;
    return at >= 0 && Math.min(count, this.length - position) <= this.bytes.length - at ? at : -1;
  }

  /** After it `bytes` begins at `position`; it holds `count` bytes unless the file ends before. */
  async load(position: number, count: number): Promise<void> {
    if (this.locate(position, count) === 0) return;
    const wanted = Math.min(Math.max(count, scanReadBytes), this.length - position);
    this.bytes = await this.file.read(position, wanted);
    this.#position = position;
    if (this.bytes.length < wanted) this.length = position + this.bytes.length;
  }
}
