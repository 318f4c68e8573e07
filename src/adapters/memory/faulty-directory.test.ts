import { describe, expect, it } from '@jest/globals';
import { FileNotFoundError, type Directory, type File } from '../../domain/log/directory.js';
import type { Keep } from './cached-file.js';
import { FaultyDirectory } from './faulty-directory.js';
import { CrashedError, InjectedFaultError } from './faulty-disk.js';
import { seededRandom } from './seeded-random.js';

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const filled = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value);
const seeds = Array.from({ length: 200 }, (_, i) => i + 1);

async function contents(directory: Directory, name = 'file'): Promise<number[]> {
  const file = await directory.open(name);
  return [...(await file.read(0, await file.size()))];
}

/** Creates a durable file of 8 KiB of ones. */
async function durableFile(directory: FaultyDirectory): Promise<File> {
  const file = await directory.create('file');
  await file.write(0, [filled(8192, 1)]);
  await file.sync();
  await directory.sync();
  return file;
}

/** Returns every possible state after a crash, each as one string. */
async function outcomes(prepare: (directory: FaultyDirectory) => Promise<void>): Promise<Set<string>> {
  const directory = FaultyDirectory.create();
  await prepare(directory);
  const found = new Set<string>();
  for (const seed of seeds) {
    const after = directory.afterCrash({ keep: 'random', seed });
    const files = await Promise.all((await after.list()).map(async (name) => [name, await summary(after, name)]));
    found.add(files.map((pair) => pair.join('=')).join(' '));
  }
  return found;
}

/** Returns runs of equal bytes: `1×512 2×512`. */
async function summary(directory: Directory, name: string): Promise<string> {
  const runs: { value: number; length: number }[] = [];
  for (const value of await contents(directory, name)) {
    const last = runs.at(-1);
    if (last?.value === value) last.length++;
    else runs.push({ value, length: 1 });
  }
  return runs.map(({ value, length }) => `${value}×${length}`).join(',');
}

describe('FaultyDirectory: a crash loses', () => {
  it('bytes written since the sync, including the length', async () => {
    const directory = FaultyDirectory.create();
    const file = await durableFile(directory);
    await file.write(100, [text('lost')]);
    await file.write(9000, [text('lost')]);
    const found = directory.afterCrash({ keep: 'none' });
    expect(await summary(found, 'file')).toBe('1×8192');
  });

  it('an unsynced name, even if its contents were synced', async () => {
    const directory = FaultyDirectory.create();
    const file = await directory.create('file');
    await file.write(0, [text('synced')]);
    await file.sync();
    expect(await directory.afterCrash({ keep: 'none' }).list()).toEqual([]);
  });

  it('the contents of a file of which only the name was synced', async () => {
    const directory = FaultyDirectory.create();
    const file = await directory.create('file.tmp');
    await file.write(0, [text('never synced')]);
    await directory.rename('file.tmp', 'file');
    await directory.sync();
    expect(await contents(directory.afterCrash({ keep: 'none' }))).toEqual([]);
  });

  it('an unsynced removal, rename and truncation', async () => {
    const directory = FaultyDirectory.create();
    const file = await durableFile(directory);
    await file.truncate(10);
    await directory.rename('file', 'renamed');
    await directory.remove('renamed');
    const found = directory.afterCrash({ keep: 'none' });
    expect(await found.list()).toEqual(['file']);
    expect(await summary(found, 'file')).toBe('1×8192');
  });

  it('nothing if only the process died; a later crash of the machine loses it', async () => {
    const directory = FaultyDirectory.create();
    const file = await durableFile(directory);
    await file.write(0, [text('cached')]);
    await directory.rename('file', 'renamed');
    const restarted = directory.afterCrash({ keep: 'all' });
    expect(await restarted.list()).toEqual(['renamed']);
    expect((await contents(restarted, 'renamed')).slice(0, 6)).toEqual([...text('cached')]);
    const powerless = restarted.afterCrash({ keep: 'none' });
    expect(await summary(powerless, 'file')).toBe('1×8192');
    const synced = directory.afterCrash({ keep: 'all' });
    await (await synced.open('renamed')).sync();
    await synced.sync();
    expect((await contents(synced.afterCrash({ keep: 'none' }), 'renamed')).slice(0, 6)).toEqual([...text('cached')]);
  });

  it('nothing in a directory returned by an earlier crash', async () => {
    const directory = FaultyDirectory.create();
    await durableFile(directory);
    const first = directory.afterCrash({ keep: 'none' });
    const second = directory.afterCrash({ keep: 'none' });
    const file = await first.open('file');
    await file.write(0, [text('x')]);
    await file.sync();
    expect(await summary(second, 'file')).toBe('1×8192');
  });

  it('the same in subdirectories, each with its own names', async () => {
    const directory = FaultyDirectory.create();
    const below = await (await directory.subdirectory('a')).subdirectory('b');
    await (await below.create('synced')).close();
    await below.sync();
    await (await below.create('lost')).close();
    const found = directory.afterCrash({ keep: 'none' });
    expect(await (await (await found.subdirectory('a')).subdirectory('b')).list()).toEqual(['synced']);
  });
});

describe('FaultyDirectory: a crash may leave', () => {
  it('any set of sectors of a write, in either size', async () => {
    const found = await outcomes(async (directory) => {
      const file = await durableFile(directory);
      await file.write(0, [filled(8192, 2)]);
    });
    expect(found).toContain('file=1×8192');
    expect(found).toContain('file=2×8192');
    expect(found).toContain('file=1×4096,2×4096');
    expect(found).toContain('file=2×4096,1×4096');
    expect([...found].some((outcome) => outcome.includes('2×512,'))).toBe(true);
    for (const outcome of found) for (const run of outcome.matchAll(/×(\d+)/g)) expect(Number(run[1]) % 512).toBe(0);
  });

  it('a later write without an earlier one', async () => {
    const found = await outcomes(async (directory) => {
      const file = await durableFile(directory);
      await file.write(0, [filled(512, 2)]);
      await file.write(4096, [filled(512, 3)]);
    });
    expect(found).toContain('file=1×4096,3×512,1×3584');
    expect(found).toContain('file=2×512,1×7680');
  });

  it('an earlier state of a sector that was written twice, never a mix', async () => {
    const found = await outcomes(async (directory) => {
      const file = await durableFile(directory);
      await file.write(0, [filled(300, 2)]);
      await file.write(100, [filled(300, 3)]);
    });
    expect(found).toEqual(new Set(['file=1×8192', 'file=2×300,1×7892', 'file=2×100,3×300,1×7792']));
  });

  it('a length without its data, and data without its length', async () => {
    const found = await outcomes(async (directory) => {
      const file = await durableFile(directory);
      await file.write(8192, [filled(4096, 2)]);
    });
    expect(found).toContain('file=1×8192');
    expect(found).toContain('file=1×8192,0×4096');
    expect(found).toContain('file=1×8192,2×4096');
    expect(found).toContain('file=1×8192,2×512');
  });

  it('a truncation or none, and never truncated bytes inside later data', async () => {
    const found = await outcomes(async (directory) => {
      const file = await durableFile(directory);
      await file.truncate(1000);
      await file.write(1000, [filled(1048, 2)]);
    });
    expect(found).toContain('file=1×8192');
    expect(found).toContain('file=1×1000');
    expect(found).toContain('file=1×1000,2×1048');
    for (const outcome of found)
      if (outcome !== 'file=1×8192') expect(outcome).toMatch(/^file=1×1000(,|$)(?!.*1×.*1×)/);
  });

  it('a prefix of the name changes', async () => {
    const found = await outcomes(async (directory) => {
      const file = await directory.create('a.tmp');
      await file.sync();
      await directory.rename('a.tmp', 'a');
      await directory.remove('a');
      await directory.create('b');
    });
    expect(found).toEqual(new Set(['', 'a.tmp=', 'a=', 'b=']));
  });

  it('the same state for the same seed', async () => {
    const prepare = async (): Promise<FaultyDirectory> => {
      const directory = FaultyDirectory.create();
      const file = await directory.create('file');
      await directory.sync();
      for (let i = 0; i < 20; i++) await file.write(i * 700, [filled(900, i)]);
      return directory;
    };
    const [one, two] = [await prepare(), await prepare()];
    for (const seed of seeds.slice(0, 20)) {
      const after = (directory: FaultyDirectory): Promise<string> =>
        summary(directory.afterCrash({ keep: 'random', seed }), 'file');
      expect(await after(one)).toBe(await after(two));
    }
  });

  it('all synced data, for any workload', async () => {
    for (const seed of seeds) {
      const random = seededRandom(seed);
      const directory = FaultyDirectory.create();
      const file = await directory.create('file');
      await directory.sync();
      let synced: number[] = [];
      let end = 0;
      for (let step = 0; step < 12; step++) {
        const length = 1 + Math.floor(random() * 1500);
        await file.write(end, [filled(length, step + 1)]);
        end += length;
        if (random() < 0.3) {
          await file.sync();
          synced = await contents(directory);
        }
      }
      const found = await contents(directory.afterCrash({ keep: 'random', seed }));
      const lost = synced.findIndex((value, position) => found[position] !== value);
      expect({ seed, lost }).toEqual({ seed, lost: -1 });
    }
  });
});

describe('FaultyDirectory: the crash itself', () => {
  async function workload(directory: FaultyDirectory): Promise<void> {
    const below = await directory.subdirectory('below'); // create, directory-sync
    const file = await below.create('file');
    await file.write(0, [text('abc')]);
    await file.sync();
    await file.truncate(1);
    await below.rename('file', 'renamed');
    await below.remove('renamed');
    await below.sync();
    await file.read(0, 1);
    await file.close();
  }

  it('can happen at any operation that changes something, each of which is counted', async () => {
    const counting = FaultyDirectory.create();
    await workload(counting);
    expect(counting.operations).toBe(9);
    const hit: string[] = [];
    for (let crashAtOperation = 1; crashAtOperation <= counting.operations; crashAtOperation++) {
      const directory = FaultyDirectory.create({ crashAtOperation });
      await expect(workload(directory)).rejects.toBeInstanceOf(CrashedError);
      expect(directory.operations).toBe(crashAtOperation);
      hit.push(directory.lastOperation);
    }
    expect(hit).toEqual([
      '1: create below',
      '2: directory-sync /',
      '3: create file',
      '4: write file',
      '5: sync file',
      '6: truncate file',
      '7: rename file',
      '8: remove renamed',
      '9: directory-sync below',
    ]);
    await workload(FaultyDirectory.create({ crashAtOperation: counting.operations + 1 }));
  });

  it('ends everything: directories, subdirectories and handles', async () => {
    const directory = FaultyDirectory.create();
    const below = await directory.subdirectory('below');
    const file = await below.create('file');
    directory.crash();
    const calls = [
      () => directory.list(),
      () => directory.freeBytes(),
      () => below.subdirectory('x'),
      () => below.create('x'),
      () => below.open('file'),
      () => below.rename('file', 'x'),
      () => below.remove('file'),
      () => below.sync(),
      () => file.size(),
      () => file.read(0, 1),
      () => file.write(0, [text('x')]),
      () => file.sync(),
      () => file.truncate(0),
      () => file.close(),
    ];
    for (const call of calls) await expect(call()).rejects.toBeInstanceOf(CrashedError);
  });

  it.each<[Keep, string[]]>([
    ['none', ['']],
    ['all', ['abc']],
    ['random', ['', 'abc']],
  ])('tears the write that it interrupts, keeping %s', async (keep, expected) => {
    const found = new Set<string>();
    for (const seed of seeds) {
      const directory = FaultyDirectory.create({ crashAtOperation: 3 });
      const file = await directory.create('file');
      await directory.sync();
      await expect(file.write(0, [text('abc')])).rejects.toBeInstanceOf(CrashedError);
      found.add(String.fromCharCode(...(await contents(directory.afterCrash({ keep, seed })))));
    }
    // The length may have survived where the data did not.
    found.delete('\0\0\0');
    expect([...found].sort()).toEqual(expected);
  });

  it('can happen again, by the plan of the next disk', async () => {
    const directory = FaultyDirectory.create();
    await durableFile(directory);
    const next = directory.afterCrash({ keep: 'none', plan: { crashAtOperation: 1 } });
    const file = await next.open('file');
    await expect(file.sync()).rejects.toBeInstanceOf(CrashedError);
  });
});

describe('FaultyDirectory: errors', () => {
  it('happen at the nth operation of a kind, as often as planned, on the named file', async () => {
    const directory = FaultyDirectory.create({ faults: [{ operation: 'sync', nth: 2, times: 2, fileName: 'file' }] });
    const file = await directory.create('file');
    const other = await directory.create('other');
    const results: string[] = [];
    for (let i = 0; i < 4; i++) {
      await other.sync();
      results.push(
        await file.sync().then(
          () => 'ok',
          (error: InjectedFaultError) => error.code,
        ),
      );
    }
    expect(results).toEqual(['ok', 'EIO', 'EIO', 'ok']);
  });

  it.each(['create', 'open', 'rename', 'remove', 'read', 'write', 'truncate', 'close', 'directory-sync'] as const)(
    'can be injected into %s',
    async (operation) => {
      const directory = FaultyDirectory.create();
      const file = await durableFile(directory);
      directory.inject({ operation, code: 'EDQUOT' });
      const calls = {
        create: () => directory.create('new'),
        open: () => directory.open('file'),
        rename: () => directory.rename('file', 'new'),
        remove: () => directory.remove('file'),
        read: () => file.read(0, 1),
        write: () => file.write(0, [text('x')]),
        truncate: () => file.truncate(0),
        close: () => file.close(),
        'directory-sync': () => directory.sync(),
      };
      await expect(calls[operation]()).rejects.toMatchObject({ name: 'InjectedFaultError', code: 'EDQUOT', operation });
      expect(await directory.list()).toEqual(['file']);
      await directory.sync();
    },
  );

  it('of a sync drop the data, although readers see it and the next sync succeeds', async () => {
    const directory = FaultyDirectory.create();
    const file = await durableFile(directory);
    await file.write(0, [filled(512, 2)]);
    directory.inject({ operation: 'sync' });
    await expect(file.sync()).rejects.toBeInstanceOf(InjectedFaultError);
    expect(await summary(directory, 'file')).toBe('2×512,1×7680');
    await file.sync();
    for (const keep of ['none', 'random'] as const)
      expect(await summary(directory.afterCrash({ keep }), 'file')).toBe('1×8192');
  });

  it('of a directory sync drop the names in the same way', async () => {
    const directory = FaultyDirectory.create();
    await directory.create('file');
    directory.inject({ operation: 'directory-sync' });
    await expect(directory.sync()).rejects.toBeInstanceOf(InjectedFaultError);
    await directory.sync();
    expect(await directory.list()).toEqual(['file']);
    expect(await directory.afterCrash({ keep: 'none' }).list()).toEqual([]);
  });

  it('of a write may leave a part of it', async () => {
    const lengths = new Set<number>();
    for (const seed of seeds) {
      const directory = FaultyDirectory.create({ faults: [{ operation: 'write' }] }, seededRandom(seed));
      const file = await directory.create('file');
      await expect(file.write(0, [text('abc')])).rejects.toBeInstanceOf(InjectedFaultError);
      lengths.add(await file.size());
    }
    expect([...lengths].sort()).toEqual([0, 1, 2, 3]);
  });

  it('of space happen when it runs out, and stop when it returns', async () => {
    const directory = FaultyDirectory.create({ freeBytes: 10 });
    const file = await directory.create('file');
    await file.write(0, [filled(6, 1)]);
    expect(await directory.freeBytes()).toBe(4);
    await expect(file.write(6, [filled(6, 2)])).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(await summary(directory, 'file')).toBe('1×6,2×4');
    await file.write(0, [filled(10, 3)]);
    expect(await directory.freeBytes()).toBe(0);
    await file.truncate(3);
    expect(await directory.freeBytes()).toBe(7);
    directory.setFreeBytes(1);
    await expect(file.write(3, [filled(2, 4)])).rejects.toMatchObject({ code: 'ENOSPC' });
    await directory.remove('file');
    expect(await directory.freeBytes()).toBe(4);
  });

  it('of the medium flip bits for good', async () => {
    const directory = FaultyDirectory.create();
    await durableFile(directory);
    directory.corrupt('file', 4096, 0x80);
    expect(await summary(directory, 'file')).toBe('1×4096,129×1,1×4095');
    expect(await summary(directory.afterCrash({ keep: 'none' }), 'file')).toBe('1×4096,129×1,1×4095');
    expect(() => directory.corrupt('missing', 0, 1)).toThrow(FileNotFoundError);
  });
});
