import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  FileClosedError,
  FileExistsError,
  FileNotFoundError,
  type Directory,
  type File,
} from '../../src/domain/log/directory.js';

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
const text = (value: string): Uint8Array => new TextEncoder().encode(value);

/** Plain arrays, because a `Buffer` and a `Uint8Array` of the same bytes are not equal to Jest. */
async function contents(file: File): Promise<number[]> {
  return [...(await file.read(0, await file.size()))];
}

export interface DirectoryUnderTest {
  readonly directory: Directory;
  readonly dispose: () => Promise<void>;
}

/** The contract of every `Directory`. `make` returns an empty one for each test. */
export function describeDirectory(name: string, make: () => Promise<DirectoryUnderTest>): void {
  describe(`${name} as a Directory`, () => {
    let directory: Directory;
    let dispose: () => Promise<void>;
    beforeEach(async () => {
      ({ directory, dispose } = await make());
    });
    afterEach(() => dispose());

    describe('names', () => describeNames(() => directory));
    describe('a file', () => describeIdentity(() => directory));
    describe('files', () => describeFiles(() => directory));
  });
}

function describeIdentity(directory: () => Directory): void {
  it('keeps its identity when it is changed, renamed and opened again; another file has another one', async () => {
    const file = await directory().create('one');
    const identity = await file.identity();
    await file.write(0, [text('content')]);
    await file.sync();
    await directory().rename('one', 'two');
    expect(await file.identity()).toEqual(identity);
    const again = await directory().open('two');
    expect(await again.identity()).toEqual(identity);
    const other = await directory().create('one');
    expect(await other.identity()).not.toEqual(identity);
    await Promise.all([file, again, other].map((each) => each.close()));
  });
}

function describeNames(directory: () => Directory): void {
  it('starts empty', async () => {
    expect(await directory().list()).toEqual([]);
  });

  it('lists files by code unit, without subdirectories', async () => {
    for (const name of ['b', 'a', 'B', 'a.10', 'a.9']) await (await directory().create(name)).close();
    await directory().subdirectory('a-directory');
    expect(await directory().list()).toEqual(['B', 'a', 'a.10', 'a.9', 'b']);
  });

  it('creates a name once, and never over a subdirectory', async () => {
    const file = await directory().create('name');
    await directory().subdirectory('taken');
    await expect(directory().create('name')).rejects.toBeInstanceOf(FileExistsError);
    await expect(directory().create('taken')).rejects.toBeInstanceOf(FileExistsError);
    await expect(directory().subdirectory('name')).rejects.toBeInstanceOf(FileExistsError);
    await file.close();
  });

  it('names the file that is missing', async () => {
    await directory().subdirectory('no-file');
    for (const name of ['missing', 'no-file']) {
      await expect(directory().open(name)).rejects.toMatchObject({ name: 'FileNotFoundError', fileName: name });
      await expect(directory().remove(name)).rejects.toBeInstanceOf(FileNotFoundError);
    }
    await expect(directory().rename('missing', 'other')).rejects.toMatchObject({ fileName: 'missing' });
  });

  it.each(['', '.', '..', 'a/b', '../a', 'a\\b', 'a\0b', '.hidden', '-flag', 'ü', 'a b', 'x'.repeat(201)])(
    'refuses the name %j',
    async (name) => {
      await (await directory().create('real')).close();
      await expect(directory().create(name)).rejects.toBeInstanceOf(RangeError);
      await expect(directory().open(name)).rejects.toBeInstanceOf(RangeError);
      await expect(directory().remove(name)).rejects.toBeInstanceOf(RangeError);
      await expect(directory().subdirectory(name)).rejects.toBeInstanceOf(RangeError);
      await expect(directory().rename('real', name)).rejects.toBeInstanceOf(RangeError);
      await expect(directory().rename(name, 'real')).rejects.toBeInstanceOf(RangeError);
      expect(await directory().list()).toEqual(['real']);
    },
  );

  it('renames, replacing what was there, and handles follow their files', async () => {
    const old = await directory().create('to');
    await old.write(0, [text('old')]);
    const fresh = await directory().create('from');
    await fresh.write(0, [text('fresh')]);
    await directory().rename('from', 'to');
    expect(await directory().list()).toEqual(['to']);
    await fresh.write(5, [text('!')]);
    const reopened = await directory().open('to');
    expect(await contents(reopened)).toEqual([...text('fresh!')]);
    expect(await contents(old)).toEqual([...text('old')]);
    await Promise.all([old, fresh, reopened].map((file) => file.close()));
  });

  it('never renames over a subdirectory', async () => {
    await (await directory().create('from')).close();
    await directory().subdirectory('to');
    await expect(directory().rename('from', 'to')).rejects.toBeInstanceOf(FileExistsError);
    expect(await directory().list()).toEqual(['from']);
  });

  it('does nothing when a file is renamed to its own name', async () => {
    const file = await directory().create('same');
    await file.write(0, [text('kept')]);
    await directory().rename('same', 'same');
    const reopened = await directory().open('same');
    expect(await contents(reopened)).toEqual([...text('kept')]);
    await Promise.all([file.close(), reopened.close()]);
  });

  it('removes a file while it is open', async () => {
    const file = await directory().create('gone');
    await file.write(0, [text('still here')]);
    await directory().remove('gone');
    expect(await directory().list()).toEqual([]);
    await expect(directory().open('gone')).rejects.toBeInstanceOf(FileNotFoundError);
    const successor = await directory().create('gone');
    await file.write(0, [text('STILL')]);
    expect(await contents(file)).toEqual([...text('STILL here')]);
    expect(await successor.size()).toBe(0);
    await Promise.all([file.close(), successor.close()]);
  });

  it('keeps subdirectories apart and gives the same one again', async () => {
    const one = await directory().subdirectory('one');
    const two = await directory().subdirectory('two');
    await (await one.create('file')).close();
    const deeper = await one.subdirectory('deeper');
    await (await deeper.create('file')).close();
    expect(await two.list()).toEqual([]);
    expect(await (await directory().subdirectory('one')).list()).toEqual(['file']);
    expect(await (await one.subdirectory('deeper')).list()).toEqual(['file']);
  });

  it('syncs, and reports the free space', async () => {
    await directory().sync();
    const free = await directory().freeBytes();
    expect(Number.isSafeInteger(free)).toBe(true);
    expect(free).toBeGreaterThan(0);
  });
}

function describeFiles(directory: () => Directory): void {
  let file: File;
  beforeEach(async () => {
    file = await directory().create('file');
  });
  afterEach(() => file.close());

  it('starts as an empty file', async () => {
    expect(await file.size()).toBe(0);
    expect(await contents(file)).toEqual([]);
  });

  it('writes chunks back to back at a position', async () => {
    await file.write(0, [text('abc'), new Uint8Array(0), text('def')]);
    await file.write(2, [text('XY')]);
    expect(await contents(file)).toEqual([...text('abXYef')]);
  });

  it('writes the part that a view covers, and nothing for an empty view', async () => {
    await file.write(0, [text('0123456789').subarray(3, 6)]);
    await file.write(0, []);
    await file.write(100, [new Uint8Array(0)]);
    expect(await contents(file)).toEqual([...text('345')]);
  });

  it('writes 5,000 chunks, more than one system call takes', async () => {
    const chunks = Array.from({ length: 5_000 }, (_, i) => bytes(i >> 8, i & 0xff, 0x7f).subarray(0, i % 4));
    await file.write(10, chunks);
    const expected = [...new Uint8Array(10), ...chunks.flatMap((chunk) => [...chunk])];
    expect(await contents(file)).toEqual(expected);
  });

  it('writes its chunks as they are at the call, and does not modify them', async () => {
    const chunk = bytes(1, 2, 3);
    await file.write(0, [chunk]);
    chunk.fill(9);
    expect(await contents(file)).toEqual([1, 2, 3]);
  });

  it('fills a gap with zeros', async () => {
    await file.write(5, [bytes(1)]);
    expect(await contents(file)).toEqual([0, 0, 0, 0, 0, 1]);
  });

  it('reads fewer bytes only at the end, and none after it', async () => {
    await file.write(0, [text('0123456789')]);
    expect([...(await file.read(7, 3))]).toEqual([...text('789')]);
    expect([...(await file.read(7, 100))]).toEqual([...text('789')]);
    expect(await file.read(10, 5)).toHaveLength(0);
    expect(await file.read(1_000_000, 5)).toHaveLength(0);
    expect(await file.read(3, 0)).toHaveLength(0);
  });

  it('returns plain bytes in memory of their own, no larger than needed', async () => {
    await file.write(0, [text('0123456789')]);
    for (const length of [3, 100]) {
      const read = await file.read(2, length);
      expect(Object.getPrototypeOf(read)).toBe(Uint8Array.prototype);
      expect(read.buffer.byteLength).toBe(read.length);
      read.fill(0);
    }
    expect(await contents(file)).toEqual([...text('0123456789')]);
  });

  it('rejects an invalid position or length', async () => {
    for (const bad of [-1, 0.5, NaN, Infinity, 2 ** 53]) {
      await expect(file.read(bad, 1)).rejects.toBeInstanceOf(RangeError);
      await expect(file.read(0, bad)).rejects.toBeInstanceOf(RangeError);
      await expect(file.write(bad, [bytes(1)])).rejects.toBeInstanceOf(RangeError);
      await expect(file.truncate(bad)).rejects.toBeInstanceOf(RangeError);
    }
    expect(await file.size()).toBe(0);
  });

  it('truncates, and removed bytes do not come back', async () => {
    await file.write(0, [text('0123456789')]);
    await file.truncate(4);
    expect(await file.size()).toBe(4);
    await file.truncate(6);
    expect(await contents(file)).toEqual([...text('0123'), 0, 0]);
    await file.truncate(2);
    await file.write(4, [bytes(1)]);
    expect(await contents(file)).toEqual([...text('01'), 0, 0, 1]);
  });

  it('shows every handle the same file', async () => {
    const other = await directory().open('file');
    await file.write(0, [text('seen')]);
    expect(await contents(other)).toEqual([...text('seen')]);
    await other.truncate(1);
    expect(await file.size()).toBe(1);
    await other.close();
    expect(await file.size()).toBe(1);
  });

  it('keeps what was written when closed and opened again', async () => {
    await file.write(0, [text('kept')]);
    await file.sync();
    await file.close();
    const reopened = await directory().open('file');
    expect(await contents(reopened)).toEqual([...text('kept')]);
    await reopened.close();
  });

  it('closes any number of times and then rejects everything else', async () => {
    await file.write(0, [text('x')]);
    await Promise.all([file.close(), file.close()]);
    await file.close();
    const after = [file.size(), file.read(0, 1), file.write(0, [text('y')]), file.sync(), file.truncate(0)] as const;
    for (const operation of after) await expect(operation).rejects.toBeInstanceOf(FileClosedError);
  });

  it('finishes operations in progress before it closes', async () => {
    const page = new Uint8Array(64 * 1024).fill(7);
    const writes = Array.from({ length: 20 }, (_, i) => file.write(i * page.length, [page]));
    const reads = [file.read(0, page.length), file.sync()];
    const closed = file.close();
    await Promise.all([...writes, ...reads, closed]);
    const reopened = await directory().open('file');
    expect(await reopened.size()).toBe(20 * page.length);
    await reopened.close();
  });

  it('reads and writes at once without mixing them up', async () => {
    const pageBytes = 4_096;
    const pages = 64;
    await file.write(0, [new Uint8Array(pages * pageBytes)]);
    const writes = Array.from({ length: pages }, (_, i) =>
      file.write(i * pageBytes, [new Uint8Array(pageBytes / 2).fill(i + 1), new Uint8Array(pageBytes / 2).fill(i + 1)]),
    );
    const readings = await Promise.all(Array.from({ length: pages }, (_, i) => file.read(i * pageBytes, pageBytes)));
    for (const [i, page] of readings.entries())
      expect([...new Set(page)].every((value) => value === 0 || value === i + 1)).toBe(true);
    await Promise.all(writes);
    for (let i = 0; i < pages; i++)
      expect(new Set(await file.read(i * pageBytes, pageBytes))).toEqual(new Set([i + 1]));
  });
}
