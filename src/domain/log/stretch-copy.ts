import type { Directory, File } from './directory.js';
import { createOrReplace, ifSpace, removeIfThere, writeDurably } from './durable-file.js';
import { InvalidInputError } from './errors.js';
import { temporarySuffix } from './file-names.js';
import { encodeIndexFile } from './index-file.js';
import { invariant } from './invariant.js';
import { boundaryAfter, describeBoundary, follows, sameBoundary, type LogBoundary } from './log-boundary.js';
import type { LogSettings } from './log-options.js';
import type { Index } from './offsets.js';
import { storedBytes, type RecordBatch } from './record-batch.js';
import { Segment } from './segment.js';
import { encodeStoreHeader } from './store-header.js';

/**
 * A part of a log between two log boundaries that are known for sure, with damage in between. It has the sealed segments
 * that begin in it: one whose header can be read, where the part begins with one, and those after it whose headers
 * cannot; none where all their files are missing.
 */
export interface DamagedStretch {
  readonly from: LogBoundary;
  readonly to: LogBoundary;
  readonly segments: readonly Segment[];
}

/** Returns the readable segment with which the stretch begins, if there is one. */
function readableSegment({ segments }: DamagedStretch): Segment | undefined {
  return segments.find(({ unreadable }) => !unreadable);
}

/**
 * New files for a damaged stretch, under temporary names until `Log.replaceStretch` puts them in place: so the good bytes
 * are written elsewhere than the bad sectors. A crash leaves files that opening removes.
 */
export class StretchCopy {
  /** The finished segments, in order. */
  readonly segments: Segment[] = [];
  #file: File | undefined;
  #boundary: LogBoundary;
  /** The first segment takes all that the old one had, whatever the limits are now. */
  readonly #mayRollFrom: Index;

  constructor(
    private readonly directory: Directory,
    private readonly settings: LogSettings,
    readonly stretch: DamagedStretch,
  ) {
    this.#boundary = stretch.from;
    this.#mayRollFrom = readableSegment(stretch)?.end.index ?? stretch.from.index;
  }

  /** The log boundary after what was appended. */
  get next(): LogBoundary {
    return this.#boundary;
  }

  get isComplete(): boolean {
    return this.#boundary.index >= this.stretch.to.index;
  }

  /**
   * Appends the next entries. Rejects with `InvalidInputError` if they are not the next ones, or do not end where the
   * stretch ends; with the directory's error otherwise.
   */
  async append(batches: readonly RecordBatch[]): Promise<void> {
    const { to } = this.stretch;
    for (const batch of batches) {
      const isNext = follows(batch, this.#boundary) && batch.index < to.index;
      if (!isNext) throw new InvalidInputError(`entry ${batch.index} is not next in the damaged part of the log`);
      const after = boundaryAfter(batch);
      if (after.index === to.index && !sameBoundary(after, to))
        throw new InvalidInputError(
          `the entries end at ${describeBoundary(after)}, but what follows here begins at ${describeBoundary(to)}`,
        );
      await this.#write(batch);
      this.#boundary = after;
    }
  }

  /** Makes the files durable under their temporary names. */
  async finish(): Promise<void> {
    await this.#closeSegment();
  }

  /**
   * Puts the files in the place of the old ones; `forget` is called with the name of each file that is another one now.
   * From the last to the first, after the others are removed: so no segment ever reaches into another.
   */
  async install(forget: (storeName: string) => void): Promise<void> {
    const kept = readableSegment(this.stretch);
    const names = this.segments.map(({ storeName }) => storeName);
    for (const { storeName, indexName } of this.stretch.segments) {
      if (storeName === kept?.storeName || names.includes(storeName)) continue;
      forget(storeName);
      await removeIfThere(this.directory, storeName);
      await removeIfThere(this.directory, indexName);
    }
    await this.directory.sync();
    for (const { storeName } of [...this.segments].reverse()) {
      await this.directory.rename(temporaryName(storeName), storeName);
      await this.directory.sync();
      forget(storeName);
    }
  }

  /** Writes the indexes; without space for them, they stay in memory while the log is open. */
  async seal(): Promise<void> {
    for (const segment of this.segments) {
      const { index } = segment;
      invariant(index !== undefined, 'a new segment has its index');
      const content = encodeIndexFile(segment.sealedState(), index, this.settings.checksum);
      if (await ifSpace(() => writeDurably(this.directory, segment.indexName, content))) segment.index = undefined;
    }
  }

  /** Removes the files, as far as possible. */
  async discard(): Promise<void> {
    await this.#file?.close().catch(() => undefined);
    this.#file = undefined;
    for (const { storeName } of this.segments)
      await removeIfThere(this.directory, temporaryName(storeName)).catch(() => undefined);
  }

  async #write(batch: RecordBatch): Promise<void> {
    let current = this.segments.at(-1);
    const mustRoll =
      batch.index >= this.#mayRollFrom && current?.mustRollFor(batch, current.length, this.settings) === true;
    if (current === undefined || mustRoll) {
      await this.#closeSegment();
      current = await this.#begin({
        offset: batch.baseOffset,
        index: batch.index,
        term: current?.end.term ?? this.stretch.from.term,
      });
    }
    await this.#file?.write(current.length, [batch.header, batch.payload]);
    current.extend(batch, current.length, storedBytes(batch));
  }

  async #begin(base: LogBoundary): Promise<Segment> {
    const { indexIntervalBytes, checksum } = this.settings;
    const segment = Segment.empty(base, indexIntervalBytes);
    this.segments.push(segment);
    this.#file = await createOrReplace(this.directory, temporaryName(segment.storeName));
    await this.#file.write(0, [encodeStoreHeader(base, checksum)]);
    return segment;
  }

  async #closeSegment(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.sync();
    await file?.close();
  }
}

const temporaryName = (name: string): string => `${name}${temporarySuffix}`;
