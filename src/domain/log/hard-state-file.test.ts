import { describe, expect, it } from '@jest/globals';
import { crc32c } from '../../adapters/checksum/crc32c.js';
import { CrashedError, InjectedFaultError, type FaultPlan } from '../../adapters/memory/faulty-disk.js';
import { FaultyDirectory } from '../../adapters/memory/faulty-directory.js';
import { MemoryDirectory } from '../../adapters/memory/memory-directory.js';
import type { Directory } from './directory.js';
import { UnsupportedFormatError } from './errors.js';
import { HardStateFile, type HardState } from './hard-state-file.js';
import { toIndex, toTerm } from './offsets.js';

const state = (term: number, vote: number, commit: number): HardState => ({
  term: toTerm(term),
  vote,
  commit: toIndex(commit),
});
const initial = state(0, 0, 0);

async function bytesOf(directory: Directory): Promise<Uint8Array> {
  const file = await directory.open('hard-state');
  const bytes = await file.read(0, await file.size());
  await file.close();
  return bytes;
}

async function overwrite(directory: Directory, position: number, bytes: Uint8Array): Promise<void> {
  const file = await directory.open('hard-state');
  await file.write(position, [bytes]);
  await file.close();
}

async function withSaved(...states: HardState[]): Promise<MemoryDirectory> {
  const directory = new MemoryDirectory();
  const hardState = await HardStateFile.open(directory, crc32c);
  for (const each of states) await hardState.save(each);
  await hardState.close();
  return directory;
}

describe('HardStateFile', () => {
  it('starts with the initial state', async () => {
    const directory = new MemoryDirectory();
    const hardState = await HardStateFile.open(directory, crc32c);
    expect(hardState.current).toEqual(initial);
    expect([hardState.configuration, hardState.loss]).toEqual([0, undefined]);
    expect(await directory.list()).toEqual(['hard-state']);
    const again = await HardStateFile.open(directory, crc32c);
    expect([again.current, again.loss, again.damage]).toEqual([initial, undefined, undefined]);
  });

  it('returns the state that was saved last, repeatedly', async () => {
    const directory = new MemoryDirectory();
    for (let term = 1; term <= 5; term++) {
      const hardState = await HardStateFile.open(directory, crc32c);
      await hardState.save(state(term, 0, term * 10));
      await hardState.save(state(term, 3, term * 10));
      expect(hardState.current).toEqual(state(term, 3, term * 10));
      await hardState.close();
      expect((await HardStateFile.open(directory, crc32c)).current).toEqual(state(term, 3, term * 10));
    }
  });

  it('holds the largest numbers', async () => {
    const largest = state(Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
    const directory = await withSaved(largest);
    expect((await HardStateFile.open(directory, crc32c)).current).toEqual(largest);
  });

  it('has this format, byte by byte', async () => {
    const directory = await withSaved();
    const hardState = await HardStateFile.open(directory, crc32c, { isNew: false });
    await hardState.save(state(7, 2, 0x0102030405), 0x0102);
    const bytes = await bytesOf(directory);
    expect(bytes).toHaveLength(8192);
    const hex = (from: number): string => Buffer.from(bytes.subarray(from, from + 56)).toString('hex');
    const zero = '0000000000000000';
    expect(hex(0)).toBe(
      '474c4853' + '0001' + '0000' + '0000000000000001' + zero.repeat(3) + '3570ebf3' + zero + '00000000',
    );
    expect(hex(4096)).toBe(
      '474c4853' +
        '0002' +
        '0000' +
        '0000000000000002' +
        '0000000000000007' +
        '0000000000000002' +
        '0000000102030405' +
        '44864da2' +
        '0000000000000102' +
        '92ebf722',
    );
    const rest = [...bytes.subarray(56, 4096), ...bytes.subarray(4096 + 56)];
    expect(rest.every((byte) => byte === 0)).toBe(true);
  });

  it('is of version 1 while it notes no configuration, so that a release of that version can open it again', async () => {
    const directory = await withSaved(state(7, 2, 5), state(8, 0, 6), state(8, 3, 7));
    const versions = async (): Promise<number[]> => {
      const view = new DataView((await bytesOf(directory)).slice().buffer);
      return [0, 4096].map((at) => view.getUint16(at + 4));
    };
    expect(await versions()).toEqual([1, 1]);
    const hardState = await HardStateFile.open(directory, crc32c, { isNew: false });
    await hardState.save(state(8, 3, 8), 4);
    await hardState.save(state(9, 0, 8));
    expect(await versions()).toEqual([2, 2]);
  });

  it('reads version 1, which has no configuration, and writes version 2 with one', async () => {
    const directory = await withSaved(state(7, 2, 5));
    for (const at of [0, 4096]) {
      const slot = new Uint8Array(56);
      slot.set((await bytesOf(directory)).subarray(at, at + 40));
      const view = new DataView(slot.buffer);
      view.setUint16(4, 1);
      view.setUint32(40, crc32c(slot.subarray(0, 40)));
      await overwrite(directory, at, slot);
    }
    const hardState = await HardStateFile.open(directory, crc32c, { isNew: false });
    expect([hardState.current, hardState.configuration, hardState.loss]).toEqual([state(7, 2, 5), 0, undefined]);
    expect(hardState.damage).toBeUndefined();
    await hardState.save(state(7, 2, 9), 6);
    await hardState.save(state(8, 0, 9));
    const again = await HardStateFile.open(directory, crc32c);
    expect([again.current, again.configuration, again.damage]).toEqual([state(8, 0, 9), 6, undefined]);
  });

  it('writes the slots in turn', async () => {
    const directory = await withSaved();
    const hardState = await HardStateFile.open(directory, crc32c);
    let before = await bytesOf(directory);
    for (let term = 1; term <= 4; term++) {
      await hardState.save(state(term, 0, 0));
      const after = await bytesOf(directory);
      const unchanged = term % 2 === 1 ? 0 : 4096;
      expect(after.subarray(unchanged, unchanged + 4096)).toEqual(before.subarray(unchanged, unchanged + 4096));
      expect(after).not.toEqual(before);
      before = after;
    }
  });

  it('writes concurrent saves in call order', async () => {
    const directory = new MemoryDirectory();
    const hardState = await HardStateFile.open(directory, crc32c);
    await Promise.all([1, 2, 3, 4].map((term) => hardState.save(state(term, 0, term))));
    await hardState.close();
    expect((await HardStateFile.open(directory, crc32c)).current).toEqual(state(4, 0, 4));
  });

  it.each([
    ['a fraction', state(1, 0.5, 1)],
    ['a negative vote', state(1, -1, 1)],
    ['a vote above 2^53', state(1, 2 ** 53, 1)],
    ['an earlier term', state(4, 0, 9)],
    ['another vote in the same term', state(5, 2, 9)],
    ['a vote taken back', state(5, 0, 9)],
  ])('rejects %s and accepts the next save', async (_what, bad) => {
    const hardState = await HardStateFile.open(new MemoryDirectory(), crc32c);
    await hardState.save(state(5, 1, 9));
    await expect(hardState.save(bad)).rejects.toBeInstanceOf(RangeError);
    await hardState.save(state(6, 2, 9));
    expect(hardState.current).toEqual(state(6, 2, 9));
  });
});

describe('HardStateFile on damaged files', () => {
  it('falls back to the previous slot when the newest is torn, and reports it', async () => {
    for (const flipped of [0, 5, 8, 20, 43, 44, 51, 55]) {
      const directory = await withSaved();
      const saving = await HardStateFile.open(directory, crc32c);
      for (const each of [state(1, 1, 1), state(2, 2, 2)]) await saving.save(each, 1);
      const [byte = 0] = (await bytesOf(directory)).subarray(flipped);
      await overwrite(directory, flipped, Uint8Array.of(byte ^ 0x10));
      const hardState = await HardStateFile.open(directory, crc32c);
      expect(hardState.current).toEqual(state(1, 1, 1));
      expect(hardState.damage).toMatch(/^slot 0 /);
      await hardState.save(state(3, 3, 3));
      await hardState.close();
      const healed = await HardStateFile.open(directory, crc32c);
      expect([healed.current, healed.damage]).toEqual([state(3, 3, 3), undefined]);
    }
  });

  it.each([
    ['empty', (directory: Directory) => truncate(directory, 0)],
    ['cut off in the first slot', (directory: Directory) => truncate(directory, 43)],
    ['all zeros', (directory: Directory) => overwrite(directory, 0, new Uint8Array(8192))],
    ['all garbage', (directory: Directory) => overwrite(directory, 0, new Uint8Array(8192).fill(0xa5))],
    ['removed', (directory: Directory) => directory.remove('hard-state')],
  ])('F5: notes as a loss that a file was %s, until the loss is accepted', async (what, damage) => {
    const directory = await withSaved(state(1, 1, 1), state(2, 2, 2));
    await damage(directory);
    if (what !== 'removed')
      await expect(HardStateFile.read(directory, crc32c)).rejects.toMatchObject({
        name: 'CorruptHardStateError',
        fileName: 'hard-state',
        reasons: [expect.stringMatching(/^slot 0 /), expect.stringMatching(/^slot 1 /)],
      });
    const loss = what === 'removed' ? 'missing' : 'damaged';
    for (let opening = 0; opening < 2; opening++) {
      const hardState = await HardStateFile.open(directory, crc32c, { isNew: false });
      expect([hardState.current, hardState.loss]).toEqual([state(opening, 0, 0), loss]);
      expect(hardState.damage !== undefined).toBe(opening === 0 && loss === 'damaged');
      await hardState.save(state(opening + 1, 0, 0));
      await hardState.close();
    }
    const hardState = await HardStateFile.open(directory, crc32c, { isNew: false });
    await hardState.acceptLoss();
    await hardState.close();
    const again = await HardStateFile.open(directory, crc32c, { isNew: false });
    expect([again.current, again.loss]).toEqual([state(2, 0, 0), undefined]);
    expect((await bytesOf(directory)).length).toBe(8192);
  });

  it('keeps the loss through a crash at any operation', async () => {
    const damaged = async (plan: FaultPlan): Promise<FaultyDirectory> => {
      const directory = FaultyDirectory.create(plan);
      const file = await directory.create('hard-state');
      await file.write(0, [new Uint8Array(8192).fill(0xa5)]);
      await file.sync();
      await directory.sync();
      return directory;
    };
    const before = (await damaged({})).operations;
    const counting = await damaged({});
    await HardStateFile.open(counting, crc32c, { isNew: false });
    for (let crashAtOperation = before + 1; crashAtOperation <= counting.operations; crashAtOperation++)
      for (const keep of ['none', 'all'] as const) {
        const directory = await damaged({ crashAtOperation });
        await expect(HardStateFile.open(directory, crc32c, { isNew: false })).rejects.toBeInstanceOf(CrashedError);
        const { loss } = await HardStateFile.open(directory.afterCrash({ keep }), crc32c, { isNew: false });
        expect(loss).toBe('damaged');
      }
  });

  it('rejects a slot at the position of the other', async () => {
    const directory = await withSaved(state(1, 1, 1), state(2, 2, 2));
    const bytes = await bytesOf(directory);
    await overwrite(directory, 4096, bytes.subarray(0, 4096));
    const hardState = await HardStateFile.open(directory, crc32c);
    expect(hardState.current).toEqual(state(2, 2, 2));
    expect(hardState.damage).toContain('belongs in the other slot');
  });

  it('rejects the file when a later version wrote the newer slot', async () => {
    const directory = await withSaved(state(1, 1, 1), state(2, 2, 2));
    const slot = (await bytesOf(directory)).slice(0, 44);
    const view = new DataView(slot.buffer);
    view.setUint16(4, 3);
    view.setUint32(40, crc32c(slot.subarray(0, 40)));
    await overwrite(directory, 0, slot);
    await expect(HardStateFile.open(directory, crc32c)).rejects.toThrow(UnsupportedFormatError);
    expect((await bytesOf(directory)).subarray(0, 44)).toEqual(slot);
  });
});

async function truncate(directory: Directory, length: number): Promise<void> {
  const file = await directory.open('hard-state');
  await file.truncate(length);
  await file.close();
}

const states = [state(1, 0, 0), state(1, 1, 4), state(2, 2, 4), state(2, 2, 9), state(5, 0, 9), state(5, 3, 12)];

interface Run {
  /** The state that `save` (or `open`) confirmed last. */
  durable: HardState | undefined;
  /** The state that was being saved when the machine crashed. */
  inFlight: HardState;
}

async function workload(directory: Directory): Promise<Run> {
  const run: Run = { durable: undefined, inFlight: initial };
  try {
    let hardState = await HardStateFile.open(directory, crc32c);
    run.durable = hardState.current;
    for (const [i, next] of states.entries()) {
      if (i === 3) {
        await hardState.close();
        hardState = await HardStateFile.open(directory, crc32c);
      }
      run.inFlight = next;
      await hardState.save(next);
      run.durable = next;
    }
  } catch (error) {
    if (!(error instanceof CrashedError)) throw error;
  }
  return run;
}

describe('HardStateFile in a crash', () => {
  const keeps = [
    { keep: 'none' },
    { keep: 'all' },
    ...Array.from({ length: 20 }, (_, i) => ({ keep: 'random', seed: i + 1 }) as const),
  ] as const;

  it('at any operation leaves the last saved state or the one in flight: never older, never mixed', async () => {
    const counting = FaultyDirectory.create();
    await workload(counting);
    expect(counting.operations).toBeGreaterThan(15);
    for (let crashAtOperation = 1; crashAtOperation <= counting.operations; crashAtOperation++)
      for (const after of keeps) {
        const directory = FaultyDirectory.create({ crashAtOperation });
        const run = await workload(directory);
        const found = await HardStateFile.open(directory.afterCrash(after), crc32c);
        const allowed = [run.durable ?? initial, run.inFlight];
        const where = `${directory.lastOperation}, then ${JSON.stringify(after)}`;
        expect({ where, allowed }).toEqual({ where, allowed: expect.arrayContaining([found.current]) });
      }
  });

  it('after a restart does not lose the state that the restart read', async () => {
    // A process killed between write and sync leaves its save in the page cache; the next process reads it and may vote
    // by it, so it must be durable before `open` resolves.
    const counting = FaultyDirectory.create();
    await workload(counting);
    for (let crashAtOperation = 1; crashAtOperation <= counting.operations; crashAtOperation++) {
      const killed = FaultyDirectory.create({ crashAtOperation });
      await workload(killed);
      const restarted = killed.afterCrash({ keep: 'all' });
      const seen = (await HardStateFile.open(restarted, crc32c)).current;
      const powerless = restarted.afterCrash({ keep: 'none' });
      expect((await HardStateFile.open(powerless, crc32c)).current).toEqual(seen);
    }
  });

  it('rejects every save after a failed write or sync', async () => {
    for (const operation of ['write', 'sync'] as const) {
      const plan: FaultPlan = { faults: [{ operation, nth: 3, fileName: 'hard-state' }] };
      const directory = FaultyDirectory.create(plan);
      const opened = await HardStateFile.open(directory, crc32c);
      await opened.close();
      const hardState = await HardStateFile.open(directory, crc32c);
      const results = await Promise.allSettled(states.map((each) => hardState.save(each)));
      const failures = results.filter((result) => result.status === 'rejected');
      expect(failures.length).toBeGreaterThan(2);
      expect(results.slice(-failures.length)).toEqual(failures);
      for (const { reason } of failures) expect(reason).toBeInstanceOf(InjectedFaultError);
      const lastSaved = states[states.length - failures.length - 1] ?? initial;
      expect(hardState.current).toEqual(lastSaved);
      const after = await HardStateFile.open(directory.afterCrash({ keep: 'none' }), crc32c);
      expect(after.current).toEqual(lastSaved);
    }
  });
});
