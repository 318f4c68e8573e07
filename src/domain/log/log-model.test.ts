import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { crc32c } from '../../adapters/checksum/crc32c.js';
import { MemoryDirectory } from '../../adapters/memory/memory-directory.js';
import { OffsetOutOfRangeError } from './errors.js';
import { Log } from './log.js';
import { toEpochMs, toIndex, toOffset, toTerm } from './offsets.js';
import { BatchKind, sealBatch, type RecordBatch } from './record-batch.js';
import { encodeRecord } from './record.js';
import { defaultRecordLimits, frameRecords } from './records.js';

const logId = new Uint8Array(16).fill(3);
const options = { logId, crc32c, segmentBytesMax: 600, segmentAgeMsMax: 50, indexIntervalBytes: 130, openStoresMax: 2 };

/** The log as an array of batches in index order, of which the first `startIndex - 1` may have been dropped. */
class Model {
  batches: RecordBatch[] = [];
  startIndex = 1;
  term = 1;
  timeMs = 100;

  get endOffset(): number {
    const last = this.batches.at(-1);
    return last ? last.baseOffset + last.recordCount : 0;
  }

  get startOffset(): number {
    return this.batches[this.startIndex - 1]?.baseOffset ?? this.endOffset;
  }

  get stored(): RecordBatch[] {
    return this.batches.slice(this.startIndex - 1);
  }

  make(recordCount: number, bytes: number): RecordBatch {
    const records = Array.from({ length: recordCount }, (_, n) =>
      encodeRecord({ value: new Uint8Array(bytes).fill(n) }),
    );
    const batch = sealBatch(
      {
        kind: recordCount > 0 ? BatchKind.records : BatchKind.noop,
        index: toIndex(this.batches.length + 1),
        term: toTerm(this.term),
        baseOffset: toOffset(this.endOffset),
        recordCount,
        appendTimeMs: toEpochMs(this.timeMs),
        payload: recordCount > 0 ? frameRecords(records, defaultRecordLimits).payload : new Uint8Array(0),
      },
      { crc32c, logId },
    );
    this.batches.push(batch);
    return batch;
  }
}

interface World {
  readonly directory: MemoryDirectory;
  log: Log;
}

class Append implements fc.AsyncCommand<Model, World> {
  constructor(
    readonly batches: readonly (readonly [recordCount: number, bytes: number, timeStepMs: number])[],
    readonly newTerm: boolean,
  ) {}
  check = (): boolean => true;
  async run(model: Model, { log }: World): Promise<void> {
    if (this.newTerm) model.term++;
    const batches = this.batches.map(([recordCount, bytes, timeStepMs]) => {
      model.timeMs = Math.max(0, model.timeMs + timeStepMs);
      return model.make(recordCount, bytes);
    });
    await log.append(batches);
    await log.sync();
    expect([log.endOffset, log.lastIndex, log.lastTerm]).toEqual([
      model.endOffset,
      model.batches.length,
      lastTerm(model),
    ]);
  }
  toString = (): string => `append(${JSON.stringify(this.batches)}${this.newTerm ? ', new term' : ''})`;
}

const lastTerm = (model: Model): number => model.batches.at(-1)?.term ?? 0;

class TruncateSuffix implements fc.AsyncCommand<Model, World> {
  constructor(readonly back: number) {}
  check = (): boolean => true;
  async run(model: Model, { log }: World): Promise<void> {
    const from = Math.max(model.startIndex, model.batches.length + 1 - this.back);
    await log.truncateSuffix(toIndex(from));
    // The term before the start stays known after the batches are dropped.
    model.batches.length = from - 1;
    expect([log.endOffset, log.lastIndex]).toEqual([model.endOffset, from - 1]);
    expect(log.lastTerm).toBe(lastTerm(model));
  }
  toString = (): string => `truncateSuffix(${this.back} back)`;
}

class TruncatePrefix implements fc.AsyncCommand<Model, World> {
  constructor(readonly part: number) {}
  check = (): boolean => true;
  async run(model: Model, { log }: World): Promise<void> {
    const before = Math.floor(model.startOffset + this.part * (model.endOffset - model.startOffset));
    await log.truncatePrefix(toOffset(before));
    expect(log.startOffset).toBeLessThanOrEqual(Math.max(before, model.startOffset));
    expect(log.startOffset).toBeGreaterThanOrEqual(model.startOffset);
    expect(log.startIndex).toBeGreaterThanOrEqual(model.startIndex);
    model.startIndex = log.startIndex;
    expect(log.startOffset).toBe(model.startOffset);
  }
  toString = (): string => `truncatePrefix(${this.part})`;
}

/** Resets the log as for a leader whose log differs in the last `back` entries and no longer has them. */
class Reset implements fc.AsyncCommand<Model, World> {
  constructor(
    readonly back: number,
    readonly missed: readonly number[],
  ) {}
  check = (): boolean => true;
  async run(model: Model, { log }: World): Promise<void> {
    model.batches.length = Math.max(model.startIndex - 1, model.batches.length - this.back);
    model.term++;
    for (const recordCount of this.missed) model.make(recordCount, 1);
    model.startIndex = model.batches.length + 1;
    const boundary = {
      offset: toOffset(model.endOffset),
      index: toIndex(model.startIndex),
      term: toTerm(lastTerm(model)),
    };
    await log.reset(boundary);
    expect({ offset: log.startOffset, index: log.startIndex, term: log.lastTerm }).toEqual(boundary);
    expect([log.endOffset, log.lastIndex, log.segments]).toEqual([boundary.offset, boundary.index - 1, 1]);
  }
  toString = (): string => `reset(${this.back} back, ${JSON.stringify(this.missed)} missed)`;
}

class Reopen implements fc.AsyncCommand<Model, World> {
  constructor(readonly close: boolean) {}
  check = (): boolean => true;
  async run(_model: Model, world: World): Promise<void> {
    if (this.close) await world.log.close();
    world.log = await Log.open(world.directory, options);
    expect(world.log.recovery).toMatchObject({ quarantined: [], torn: undefined });
  }
  toString = (): string => `reopen(${this.close ? 'closed' : 'killed'})`;
}

class ReadBack implements fc.AsyncCommand<Model, World> {
  constructor(readonly bytesMax: number) {}
  check = (): boolean => true;
  async run(model: Model, { log }: World): Promise<void> {
    const { bytesMax } = this;
    const until = toOffset(model.endOffset);
    const found: RecordBatch[] = [];
    for (let from = model.startOffset; from < model.endOffset;) {
      const batches = await log.read(toOffset(from), { until, bytesMax });
      found.push(...batches);
      const last = batches[batches.length - 1];
      from = last.baseOffset + last.recordCount;
    }
    expect(found).toEqual(model.stored.filter(({ recordCount }) => recordCount > 0));
    const entries: RecordBatch[] = [];
    while (entries.length < model.stored.length)
      entries.push(
        ...(await log.readEntries(toIndex(model.startIndex + entries.length), {
          until: toIndex(model.batches.length + 1),
          bytesMax,
        })),
      );
    expect(entries).toEqual(model.stored);
  }
  toString = (): string => `readBack(${this.bytesMax})`;
}

class LookUp implements fc.AsyncCommand<Model, World> {
  constructor(
    readonly part: number,
    readonly timeMs: number,
  ) {}
  check = (): boolean => true;
  async run(model: Model, { log }: World): Promise<void> {
    const records = model.stored.filter(({ recordCount }) => recordCount > 0);
    const since = records.find(({ appendTimeMs }) => appendTimeMs >= this.timeMs)?.baseOffset ?? model.endOffset;
    expect(await log.offsetSince(toEpochMs(this.timeMs))).toBe(since);
    const entry = model.stored[Math.floor(this.part * model.stored.length)];
    if (entry) expect(await log.termAt(entry.index)).toBe(entry.term);
    for (const offset of [model.startOffset - 1, model.endOffset + 1])
      if (offset >= 0)
        await expect(log.read(toOffset(offset), { until: toOffset(1e9), bytesMax: 1 })).rejects.toThrow(
          OffsetOutOfRangeError,
        );
  }
  toString = (): string => `lookUp(${this.part}, ${this.timeMs})`;
}

const commands = fc.commands(
  [
    fc
      .tuple(
        fc.array(
          fc.tuple(fc.integer({ min: 0, max: 4 }), fc.integer({ min: 0, max: 120 }), fc.integer({ min: -10, max: 30 })),
          {
            minLength: 1,
            maxLength: 6,
          },
        ),
        fc.boolean(),
      )
      .map(([batches, newTerm]) => new Append(batches, newTerm)),
    fc.integer({ min: 0, max: 12 }).map((back) => new TruncateSuffix(back)),
    fc.double({ min: 0, max: 1, noNaN: true }).map((part) => new TruncatePrefix(part)),
    fc
      .tuple(fc.integer({ min: 0, max: 8 }), fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 5 }))
      .map(([back, missed]) => new Reset(back, missed)),
    fc.boolean().map((close) => new Reopen(close)),
    fc.integer({ min: 1, max: 2000 }).map((bytesMax) => new ReadBack(bytesMax)),
    fc
      .tuple(fc.double({ min: 0, max: 0.99, noNaN: true }), fc.integer({ min: 0, max: 600 }))
      .map(([part, timeMs]) => new LookUp(part, timeMs)),
  ],
  { maxCommands: 60, size: 'max' },
);

describe('Log', () => {
  it('behaves like an array of batches (property)', async () => {
    await fc.assert(
      fc.asyncProperty(commands, async (cmds) => {
        const directory = new MemoryDirectory();
        const world: World = { directory, log: await Log.open(directory, options) };
        const model = new Model();
        await fc.asyncModelRun(() => ({ model, real: world }), [...cmds, new ReadBack(500)]);
      }),
      { numRuns: 60 },
    );
  }, 60_000);
});
