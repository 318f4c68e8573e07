import { describe, expect, it } from '@jest/globals';
import { FaultyDirectory } from '../../src/adapters/memory/faulty-directory.js';
import type { Directory, File } from '../../src/domain/log/directory.js';
import { LogFailedError } from '../../src/domain/log/errors.js';
import { Log } from '../../src/domain/log/log.js';
import { toIndex, toOffset } from '../../src/domain/log/offsets.js';
import type { RecordBatch } from '../../src/domain/log/record-batch.js';
import { verifyLog } from '../../src/domain/log/inspect/verify.js';
import { Expectation, logOptions, runScript } from './workload.js';

/** The number of seeds for torn writes; `CRASH_SEEDS=200 npx jest test/crash` tries more. */
const tornSeeds = Number(process.env['CRASH_SEEDS'] ?? 3);

async function readEntries(log: Log): Promise<RecordBatch[]> {
  const all: RecordBatch[] = [];
  for (let from: number = log.startIndex; from <= log.lastIndex; from += all.length - (from - log.startIndex))
    all.push(...(await log.readEntries(toIndex(from), { until: toIndex(log.lastIndex + 1), bytesMax: 2000 })));
  return all;
}

async function readOffsets(log: Log): Promise<number[]> {
  const offsets: number[] = [];
  const until = toOffset(log.endOffset);
  while (log.startOffset + offsets.length < log.endOffset)
    for (const batch of await log.read(toOffset(log.startOffset + offsets.length), { until, bytesMax: 1500 }))
      for (let i = 0; i < batch.recordCount; i++) offsets.push(batch.baseOffset + i);
  return offsets;
}

const identity = ({ header, payload }: RecordBatch): string =>
  `${Buffer.from(header).toString('hex')} ${Buffer.from(payload).toString('hex')}`;

/** Checks that acknowledged ⊆ recovered ⊆ sent, in order and without gaps, and that the log continues. */
async function checkRecovered(directory: FaultyDirectory, expected: Expectation): Promise<void> {
  let log = await Log.open(directory, logOptions);
  expect(log.quarantined).toEqual([]);
  expect(log.lastIndex).toBeGreaterThanOrEqual(expected.ackedIndex);
  expect(log.lastIndex).toBeLessThanOrEqual(expected.sent.length);
  expect(expected.starts).toContain(log.startOffset);
  const recovered = await readEntries(log);
  expect(recovered.map(identity)).toEqual(expected.sent.slice(log.startIndex - 1, log.lastIndex).map(identity));
  expect(await readOffsets(log)).toEqual(denseOffsets(log));

  const after = new Expectation();
  after.sent = expected.sent.slice(0, log.lastIndex);
  after.generation = expected.generation + 1;
  const more = [after.send(2, 600), after.send(0, 0), after.send(3, 600), after.send(1, 10)];
  await log.append(more);
  await log.sync();
  const end = [log.startOffset, log.endOffset, log.lastIndex];
  const survivor = directory.afterCrash({ keep: 'none' });
  log = await Log.open(survivor, logOptions);
  expect([log.startOffset, log.endOffset, log.lastIndex]).toEqual(end);
  expect((await readEntries(log)).slice(-4).map(identity)).toEqual(more.map(identity));
  await log.close();
  for await (const report of verifyLog(survivor, logOptions))
    expect(report).toMatchObject({ problems: [], tornBytes: 0 });
}

function denseOffsets(log: Log): number[] {
  return Array.from({ length: log.endOffset - log.startOffset }, (_, i) => log.startOffset + i);
}

async function operationsOfScript(): Promise<number> {
  const directory = FaultyDirectory.create();
  await runScript(directory, new Expectation());
  return directory.operations;
}

async function crashAt(operation: number): Promise<{ directory: FaultyDirectory; expected: Expectation }> {
  const directory = FaultyDirectory.create({ crashAtOperation: operation });
  const expected = new Expectation();
  await expect(runScript(directory, expected)).rejects.toThrow();
  return { directory, expected };
}

/** Adds the name of the case to the error of a failed task. */
async function nameCase(name: string, task: () => Promise<void>): Promise<void> {
  try {
    await task();
  } catch (cause) {
    throw new Error(`${name}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

describe('a crash at every operation of the log', () => {
  it('has a script of enough operations: rolls, truncations and removals', async () => {
    expect(await operationsOfScript()).toBeGreaterThan(150);
  });

  it.each(['none', 'all'] as const)(
    'loses nothing acknowledged when the disk keeps %s of the unsynced writes',
    async (keep) => {
      const operations = await operationsOfScript();
      for (let operation = 1; operation <= operations; operation++) {
        const { directory, expected } = await crashAt(operation);
        await nameCase(`crash at ${directory.lastOperation}, keep ${keep}`, () =>
          checkRecovered(directory.afterCrash({ keep }), expected),
        );
      }
    },
    60_000,
  );

  it('loses nothing acknowledged when the disk keeps some of the unsynced writes, torn at sectors', async () => {
    const operations = await operationsOfScript();
    for (let operation = 1; operation <= operations; operation++)
      for (let seed = 1; seed <= tornSeeds; seed++) {
        const { directory, expected } = await crashAt(operation);
        await nameCase(`crash at ${directory.lastOperation}, torn with seed ${seed}`, () =>
          checkRecovered(directory.afterCrash({ keep: 'random', seed }), expected),
        );
      }
  }, 60_000);

  it('loses nothing acknowledged when the machine crashes again during recovery', async () => {
    const operations = await operationsOfScript();
    for (let operation = 1; operation <= operations; operation++) {
      const { directory, expected } = await crashAt(operation);
      const second = 1 + (operation % 9);
      const recovering = directory.afterCrash({ keep: 'random', seed: operation, plan: { crashAtOperation: second } });
      const recovered = await Log.open(recovering, logOptions).then(
        () => true,
        () => false,
      );
      const name = `crash at ${directory.lastOperation}, then ${recovered ? 'after' : 'in'} recovery at ${recovering.lastOperation}`;
      await nameCase(name, () =>
        checkRecovered(recovering.afterCrash({ keep: 'random', seed: operation + 1 }), expected),
      );
    }
  }, 60_000);
});

/** A disk whose sync does nothing, which has the same effect as an acknowledgement before the sync. */
class LyingDirectory implements Directory {
  constructor(private readonly directory: FaultyDirectory) {}
  list = (): Promise<string[]> => this.directory.list();
  subdirectory = (name: string): Promise<Directory> => this.directory.subdirectory(name);
  create = async (name: string): Promise<File> => this.#lying(await this.directory.create(name));
  open = async (name: string): Promise<File> => this.#lying(await this.directory.open(name));
  rename = (from: string, to: string): Promise<void> => this.directory.rename(from, to);
  remove = (name: string): Promise<void> => this.directory.remove(name);
  sync = (): Promise<void> => this.directory.sync();
  freeBytes = (): Promise<number> => this.directory.freeBytes();

  #lying(file: File): File {
    file.sync = () => Promise.resolve();
    return file;
  }
}

describe('negative control', () => {
  it('the suite catches a log that acknowledges before its sync', async () => {
    const directory = FaultyDirectory.create({ crashAtOperation: 60 });
    const expected = new Expectation();
    await expect(runScript(new LyingDirectory(directory), expected)).rejects.toThrow();
    expect(expected.ackedIndex).toBeGreaterThan(0);
    await expect(checkRecovered(directory.afterCrash({ keep: 'none' }), expected)).rejects.toThrow();
  });
});

describe('a failing disk', () => {
  it.each(['write', 'sync', 'rename', 'create', 'remove', 'truncate', 'directory-sync'] as const)(
    'a failed %s stops the log for good, and nothing acknowledged is lost',
    async (operation) => {
      for (let nth = 1; ; nth++) {
        const directory = FaultyDirectory.create({ faults: [{ operation, nth }] });
        const expected = new Expectation();
        const failure = await runScript(directory, expected).then(
          () => undefined,
          (error: unknown) => error,
        );
        if (failure === undefined) return expect(nth).toBeGreaterThan(2);
        const name = `${operation} ${nth} failed at ${directory.lastOperation}`;
        await nameCase(name, () => checkRecovered(directory.afterCrash({ keep: 'random', seed: nth }), expected));
      }
    },
    60_000,
  );

  it('rejects all writes after one failed, whatever the disk reports then', async () => {
    const directory = FaultyDirectory.create();
    const log = await Log.open(directory, logOptions);
    const expected = new Expectation();
    await log.append([expected.send(1, 10)]);
    directory.inject({ operation: 'sync', nth: 1 });
    const failure: unknown = await log.sync().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(LogFailedError);
    expect((failure as LogFailedError).cause).toMatchObject({ code: 'EIO' });
    await expect(log.sync()).rejects.toBe(failure);
    await expect(log.append([expected.send(1, 10)])).rejects.toBe(failure);
    await expect(log.truncateSuffix(toIndex(1))).rejects.toBe(failure);
    await expect(log.truncatePrefix(toOffset(1))).rejects.toBe(failure);
    expect(() => log.assertAppendable()).toThrow(LogFailedError);
    await log.close();
  });

  it('regression: append acknowledged while still in a buffer: synced records survive a process crash and a power loss', async () => {
    const directory = FaultyDirectory.create();
    const log = await Log.open(directory, logOptions);
    const expected = new Expectation();
    await log.append([expected.send(1, 10), expected.send(2, 10)]);
    await log.sync();
    await log.append([expected.send(1, 10)]);
    const recovered = await Log.open(directory.afterCrash({ keep: 'none' }), logOptions);
    expect([recovered.endOffset, recovered.lastIndex]).toEqual([3, 2]);
  });

  it('makes unsynced writes of a killed process durable on open', async () => {
    const directory = FaultyDirectory.create();
    const log = await Log.open(directory, logOptions);
    const expected = new Expectation();
    await log.append([expected.send(1, 10), expected.send(2, 10)]);
    const restarted = directory.afterCrash({ keep: 'all' });
    expect((await Log.open(restarted, logOptions)).lastIndex).toBe(2);
    expect((await Log.open(restarted.afterCrash({ keep: 'none' }), logOptions)).lastIndex).toBe(2);
  });

  it('has ENOSPC as the cause of the error when the disk is full', async () => {
    const directory = FaultyDirectory.create();
    const log = await Log.open(directory, logOptions);
    const expected = new Expectation();
    await log.append([expected.send(1, 10)]);
    await log.sync();
    directory.setFreeBytes(20);
    await expect(log.append([expected.send(1, 1000)])).rejects.toMatchObject({ cause: { code: 'ENOSPC' } });
    const recovered = await Log.open(directory.afterCrash({ keep: 'all' }), logOptions);
    expect(recovered.lastIndex).toBe(1);
  });
});
