import { mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../../src/adapters/memory/manual-clock.js';
import { Snapshot } from '../../../src/adapters/serf/snapshot.js';
import { eventually } from '../../cluster/deadline.js';

describe('a snapshot', () => {
  let directory: string;
  let path: string;
  const failures: unknown[] = [];
  const clock = new ManualClock();
  const open = (): Promise<Snapshot> => Snapshot.open(path, clock, (error) => failures.push(error));

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'golog-snapshot-'));
    path = join(directory, 'snapshot');
    failures.length = 0;
  });
  afterEach(() => rm(directory, { recursive: true }));

  it('remembers who was alive, and the times, in the text that serf writes', async () => {
    const snapshot = await open();
    snapshot.noteAlive('a', '127.0.0.1:1');
    snapshot.noteAlive('b c', '[::1]:2');
    snapshot.noteAlive('d', '127.0.0.1:3');
    snapshot.noteGone('d');
    snapshot.noteGone('unknown');
    snapshot.noteTimes({ member: 4, event: 5, query: 0 });
    snapshot.noteTimes({ member: 3, event: 5, query: 6 });
    await snapshot.close();
    expect((await readFile(path, 'utf8')).split('\n').slice(3)).toEqual([
      'alive: a 127.0.0.1:1',
      'alive: b c [::1]:2',
      'alive: d 127.0.0.1:3',
      'not-alive: d',
      'clock: 4',
      'event-clock: 5',
      'query-clock: 6',
      '',
    ]);
    const again = await open();
    expect([...again.alive]).toEqual([
      ['a', '127.0.0.1:1'],
      ['b c', '[::1]:2'],
    ]);
    expect(again.times).toEqual({ member: 4, event: 5, query: 6 });
    await again.close();
    expect(failures).toEqual([]);
  });

  it('passes over what says nothing, such as a line that was cut off', async () => {
    await writeFile(
      path,
      'alive: a 127.0.0.1:1\n# comment\n\0\0\nalive:\nclock: x\nclock: 99999999999999999999\nevent-clock: 7\nali',
    );
    const snapshot = await open();
    snapshot.noteAlive('b', '127.0.0.1:2');
    await snapshot.close();
    const again = await open();
    expect([...again.alive.keys()]).toEqual(['a', 'b']);
    expect(again.times).toEqual({ member: 0, event: 7, query: 0 });
    await again.close();
  });

  it('forgets nothing when the node leaves, not even where an agent has noted it', async () => {
    await writeFile(path, 'alive: a 127.0.0.1:1\nclock: 1\nleave\n');
    const snapshot = await open();
    expect([[...snapshot.alive.keys()], snapshot.times.member]).toEqual([['a'], 1]);
    await snapshot.close();
  });

  it('stays small however long it is written', async () => {
    const snapshot = await open();
    for (let time = 1; time <= 20_000; time++) {
      snapshot.noteTimes({ member: time, event: time, query: time });
      if (time % 1000 === 0) clock.advance(500);
    }
    snapshot.noteAlive('a', '127.0.0.1:1');
    await snapshot.close();
    expect((await stat(path)).size).toBeLessThan(300 << 10);
    expect(await readdir(directory)).toEqual(['snapshot']);
    const again = await open();
    expect([again.alive.size, again.times.event]).toEqual([1, 20_000]);
    await again.close();
  });

  it('goes on after the disk failed, and then has all again', async () => {
    const flush = async (wanted: () => Promise<boolean> | boolean): Promise<void> => {
      clock.advance(500);
      await eventually('the file to be written', async () => ((await wanted()) ? true : undefined));
    };
    const snapshot = await open();
    await rm(directory, { recursive: true });
    for (let time = 1; time <= 20_000; time++) snapshot.noteTimes({ member: time, event: 0, query: 0 });
    clock.advance(500);
    snapshot.noteAlive('a', '127.0.0.1:1');
    await flush(() => failures.length > 0);
    expect(failures).toEqual([expect.objectContaining({ code: 'ENOENT' })]);
    await mkdir(directory);
    snapshot.noteAlive('b', '127.0.0.1:2');
    await flush(async () => (await readdir(directory)).includes('snapshot'));
    await snapshot.close();
    const again = await open();
    expect([...again.alive]).toEqual([
      ['a', '127.0.0.1:1'],
      ['b', '127.0.0.1:2'],
    ]);
    await again.close();
  });
});
