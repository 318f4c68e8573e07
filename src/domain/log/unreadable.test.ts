import { describe, expect, it } from '@jest/globals';
import { FaultyDirectory } from '../../adapters/memory/faulty-directory.js';
import { randomInteger, seededRandom } from '../../adapters/memory/seeded-random.js';
import { logOptions, makeBatch } from '../../../test/crash/workload.js';
import { UnreadableError } from './directory.js';
import { CorruptRangeError } from './errors.js';
import { boundaryAfter } from './log-boundary.js';
import { Log } from './log.js';
import { toIndex } from './offsets.js';
import type { RecordBatch } from './record-batch.js';
import type { LogNotice } from './recovery.js';

const atOnce = (): Promise<void> => Promise.resolve();

/** Batches of some 700 bytes, and control entries: a segment has several disk blocks. */
const truth: RecordBatch[] = [];
for (let index = 1; index <= 101; index++) {
  const offset = truth.length === 0 ? 0 : boundaryAfter(truth[truth.length - 1]).offset;
  truth.push(makeBatch(index, offset, index % 10 === 0 || index > 100 ? 0 : 2, 300, 0));
}
/** What the log has; one more entry is for later. */
const stored = truth.slice(0, 100);
const all = stored.map(({ index }) => Number(index));

let notices: LogNotice[] = [];
const open = (directory: FaultyDirectory): Promise<Log> =>
  Log.open(directory, { ...logOptions, segmentBytesMax: 16_000, onNotice: (notice) => notices.push(notice) });

async function filled(): Promise<FaultyDirectory> {
  notices = [];
  const directory = FaultyDirectory.create();
  const log = await open(directory);
  for (const batch of stored) await log.append([batch]);
  await log.sync();
  await log.close();
  return directory;
}

async function storesOf(directory: FaultyDirectory): Promise<string[]> {
  return (await directory.list()).filter((name) => name.endsWith('.store'));
}

async function bytesOf(directory: FaultyDirectory, name: string): Promise<Uint8Array> {
  const file = await directory.open(name);
  return file.read(0, await file.size());
}

/** Returns the indexes of the entries that can be read. */
async function readable(log: Log): Promise<number[]> {
  const found: number[] = [];
  for (let index: number = log.startIndex; index <= log.lastIndex; index++)
    try {
      const [batch] = await log.readEntries(toIndex(index), { until: toIndex(index + 1), bytesMax: 1 });
      if (Buffer.compare(batch.payload, truth[index - 1].payload) !== 0) throw new Error(`entry ${index} is corrupt`);
      found.push(index);
    } catch (error) {
      if (!(error instanceof CorruptRangeError)) throw error;
    }
  return found;
}

async function scrubAll(log: Log): Promise<void> {
  for (let next: number | undefined = 0; next !== undefined;) next = await log.scrub(toIndex(next), atOnce);
}

/** Repairs all that is damaged in sealed segments. */
async function mend(log: Log): Promise<void> {
  for (;;) {
    const stretch = log.damagedStretch(toIndex(log.lastIndex + 1));
    if (stretch === undefined) return;
    const copy = log.copyStretch(stretch);
    await copy.append(truth.slice(stretch.from.index - 1, stretch.to.index - 1));
    await copy.finish();
    expect(await log.replaceStretch(copy)).toBe(true);
  }
}

describe('an error of the disk on a read', () => {
  it('that happens once is nothing that a reader sees', async () => {
    const directory = await filled();
    const log = await open(directory);
    directory.inject({ operation: 'read', fileName: (await storesOf(directory))[0] });
    expect(await readable(log)).toEqual(all);
    expect(log.quarantined).toEqual([]);
  });

  it('that lasts is damage of the entries there, and of no others', async () => {
    const directory = await filled();
    const [first] = await storesOf(directory);
    const log = await open(directory);
    directory.spoil(first, 5000, 5001);
    const found = await readable(log);
    expect(found.length).toBeLessThan(all.length);
    // A block of 4,096 bytes holds at most eight of them.
    expect(found.length).toBeGreaterThanOrEqual(all.length - 8);
    expect(log.quarantined).toMatchObject([{ reason: expect.stringContaining('unreadable') }]);
    // A large read that reaches the bad sector returns what is before it.
    const [batch] = await log.readEntries(toIndex(1), { until: toIndex(100), bytesMax: 1 << 20 });
    expect(batch.index).toBe(1);
    await mend(log);
    expect(log.quarantined).toEqual([]);
    expect(await readable(log)).toEqual(all);
    await log.close();
    expect(await readable(await open(directory))).toEqual(all);
  });

  it('that concerns a whole file is damage of its segment', async () => {
    for (const operation of ['open', 'read'] as const) {
      const directory = await filled();
      const [, second] = await storesOf(directory);
      directory.inject({ operation, fileName: second, times: Infinity });
      const log = await open(directory);
      const found = await readable(log);
      expect(found.length).toBeLessThan(all.length - 15);
      expect(found.slice(0, 10)).toEqual(all.slice(0, 10));
      directory.heal();
      await mend(log);
      expect(await readable(log)).toEqual(all);
    }
  });

  it('at the end of the log is damage at opening, and no torn tail, whatever is known to be synced', async () => {
    for (const known of [true, false]) {
      const directory = await filled();
      const last = (await storesOf(directory)).at(-1)!;
      const { length } = await bytesOf(directory, last);
      if (!known) await directory.remove('synced-index');
      directory.spoil(last, length - 10, length);
      const log = await open(directory);
      expect(notices.map(({ kind }) => kind)).not.toContain('torn tail cut');
      expect(log.quarantined).toHaveLength(1);
      expect(() => log.assertAppendable()).toThrow(CorruptRangeError);
      const from = log.quarantined[0].fromIndex;
      // The repair at the start: what is cut off is written again, elsewhere.
      await log.truncateSuffix(from);
      await log.append(stored.slice(from - 1));
      await log.sync();
      expect(await readable(log)).toEqual(all);
      await log.close();
      expect(await readable(await open(directory))).toEqual(all);
    }
  });

  it.each(['synced-index', 'log-start', 'log-start.spare', '00000000000000000000.index'])(
    'of %s alone loses nothing',
    async (name) => {
      const directory = await filled();
      const log = await open(directory);
      const second = (await storesOf(directory))[1];
      if (name === 'log-start') await log.truncatePrefix(makeStart(second));
      await log.close();
      directory.spoil(name, 0, 4096);
      const reopened = await open(directory);
      expect(reopened.quarantined).toEqual([]);
      expect(await readable(reopened)).toEqual(all.filter((index) => index >= reopened.startIndex));
      await reopened.append([truth[100]]);
      await reopened.sync();
      await reopened.close();
      expect((await open(directory)).lastIndex).toBe(101);
    },
  );
});

describe('a file that the disk cannot open', () => {
  it('keeps the log closed if it is the active store, and the error names it and says what to do', async () => {
    const directory = await filled();
    const name = (await storesOf(directory)).at(-1)!;
    directory.inject({ operation: 'open', fileName: name, times: Infinity });
    const opening = open(directory);
    await expect(opening).rejects.toThrow(UnreadableError);
    await expect(opening).rejects.toThrow(`the disk cannot read ${name}: check the disk`);
    directory.heal();
    directory.inject({ operation: 'open', fileName: name });
    expect(await readable(await open(directory))).toEqual(all);
  });
});

const makeStart = (store: string): Parameters<Log['truncatePrefix']>[0] =>
  Number(store.slice(0, 20)) as Parameters<Log['truncatePrefix']>[0];

describe('damage in sealed segments', () => {
  it('is found by the scrubber, and repaired while the log is in use, byte for byte', async () => {
    for (let seed = 1; seed <= 60; seed++) {
      const random = seededRandom(seed);
      const directory = await filled();
      const before = new Map<string, Uint8Array>();
      for (const name of await storesOf(directory)) before.set(name, await bytesOf(directory, name));
      const names = [...before.keys()].slice(0, -1);
      const whileOpen = seed % 2 === 0;
      let log = await open(directory);
      if (!whileOpen) await log.close();
      for (let hits = randomInteger(random, 1, 4); hits > 0; hits--) {
        const name = names[randomInteger(random, 0, names.length - 1)];
        const at = randomInteger(random, 0, before.get(name)!.length - 1);
        const how = randomInteger(random, 0, 5);
        if (how < 3) directory.corrupt(name, how === 0 ? at % 52 : at, 8);
        else if (how < 4) directory.spoil(name, at, at + randomInteger(random, 1, 9000));
        else if (how < 5) await (await directory.open(name)).truncate(at).catch(() => undefined);
        else if (!whileOpen && (await directory.list()).includes(name)) await directory.remove(name);
        if (!(await directory.list()).includes(name)) names.splice(names.indexOf(name), 1);
      }
      if (!whileOpen) log = await open(directory);
      await scrubAll(log);
      await log.append([truth[100]]);
      await mend(log);
      expect(log.quarantined).toEqual([]);
      expect((await readable(log)).length).toBe(101);
      await log.close();
      for (const [name, bytes] of [...before].slice(0, -1))
        expect([seed, name, Buffer.compare(await bytesOf(directory, name), bytes)]).toEqual([seed, name, 0]);
      const reopened = await open(directory);
      expect([seed, reopened.recovery.quarantined]).toEqual([seed, []]);
      expect((await readable(reopened)).length).toBe(101);
    }
  }, 60_000);

  it('is damage still, or repaired, after a crash at any moment of the repair', async () => {
    for (let crashAt = 1; ; crashAt++) {
      const directory = await filled();
      const [, second, third] = await storesOf(directory);
      directory.corrupt(second, 9_000, 1);
      directory.corrupt(third, 30, 1);
      const crashing = directory.afterCrash({
        keep: 'none',
        plan: { crashAtOperation: directory.operations + crashAt },
      });
      let isDone = false;
      try {
        const log = await open(crashing);
        await scrubAll(log);
        await mend(log);
        isDone = true;
      } catch (error) {
        if (!(error instanceof Error && isCrash(error))) throw error;
      }
      const log = await open(crashing.afterCrash({ keep: 'random', seed: crashAt }));
      await scrubAll(log);
      const found = await readable(log);
      expect(found.filter((index) => index <= 10)).toEqual(all.slice(0, 10));
      await mend(log);
      expect([crashAt, await readable(log)]).toEqual([crashAt, all]);
      if (isDone) break;
    }
  }, 60_000);

  it('stays where the log has changed since its repair began', async () => {
    const directory = await filled();
    const [first, second] = await storesOf(directory);
    directory.corrupt(first, 9_000, 1);
    const log = await open(directory);
    await scrubAll(log);
    const stretch = log.damagedStretch(toIndex(101))!;
    const copy = log.copyStretch(stretch);
    await copy.append(truth.slice(stretch.from.index - 1, stretch.to.index - 1));
    await copy.finish();
    await log.truncatePrefix(makeStart(second));
    expect(await log.replaceStretch(copy)).toBe(false);
    await copy.discard();
    expect((await directory.list()).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    expect(log.quarantined).toEqual([]);
  });

  it('is not repaired with entries that do not fit', async () => {
    const directory = await filled();
    directory.corrupt((await storesOf(directory))[0], 9_000, 1);
    const log = await open(directory);
    await scrubAll(log);
    const stretch = log.damagedStretch(toIndex(101))!;
    const copy = log.copyStretch(stretch);
    await expect(copy.append([truth[1]])).rejects.toThrow('entry 2 is not next');
    await copy.append(truth.slice(0, stretch.to.index - 2));
    const { index, offset } = copy.next;
    await expect(copy.append([makeBatch(index, offset, 1, 1, 0)])).rejects.toThrow('what follows here begins at');
    expect(copy.isComplete).toBe(false);
    expect(await log.replaceStretch(copy)).toBe(false);
  });
});

function isCrash(error: Error): boolean {
  return error.name === 'CrashedError' || (error.cause instanceof Error && isCrash(error.cause));
}
