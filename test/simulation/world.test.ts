import { describe, expect, it } from '@jest/globals';
import { FileNotFoundError } from '../../src/domain/log/directory.js';
import { Chance } from './chance.js';
import { SimulatedDisk } from './simulated-disk.js';
import { SimulatedProcess } from './simulated-process.js';
import { World } from './world.js';

function worldWith(seed = 1): { world: World; process: SimulatedProcess; disk: SimulatedDisk } {
  const world = new World(seed);
  return {
    world,
    process: new SimulatedProcess(world, 'n1.1', () => 0),
    disk: new SimulatedDisk(world.chance.fork('disk')),
  };
}

describe('a world', () => {
  it('runs events by time, then in the order in which they were scheduled', async () => {
    const { world } = worldWith();
    const seen: string[] = [];
    const say = (atMs: number, word: string): (() => void) => world.schedule(atMs, word, () => seen.push(word));
    say(20, 'late');
    say(10, 'first');
    say(10, 'second');
    const cancel = say(10, 'cancelled');
    cancel();
    await world.run(15);
    expect(seen).toEqual(['first', 'second']);
    expect(world.nowMs).toBe(15);
    await world.run(30);
    expect(seen).toEqual(['first', 'second', 'late']);
  });

  it('lets promises settle before the next event', async () => {
    const { world } = worldWith();
    const seen: string[] = [];
    world.schedule(1, 'a', () => {
      void (async () => {
        for (let turns = 0; turns < 50; turns++) await Promise.resolve();
        seen.push('promises');
      })();
    });
    world.schedule(1, 'b', () => seen.push('event'));
    await world.run(2);
    expect(seen).toEqual(['promises', 'event']);
  });

  it('ends a run with the first failure', async () => {
    const { world } = worldWith();
    world.schedule(1, 'a', () => world.fail(new RangeError('first')));
    world.schedule(2, 'b', () => world.fail(new RangeError('second')));
    await expect(world.run(5)).rejects.toThrow('first');
  });

  it('gives each subsystem its own randomness', () => {
    const draw = (chance: Chance): number[] => Array.from({ length: 5 }, () => chance.below(1000));
    const chance = new Chance(7);
    const disk = draw(chance.fork('disk'));
    chance.below(10);
    expect(draw(chance.fork('disk'))).toEqual(disk);
    expect(draw(chance.fork('network'))).not.toEqual(disk);
  });
});

describe('a process', () => {
  it('gets late, in order, the events that happen while it is paused', async () => {
    const { world, process } = worldWith();
    const seen: string[] = [];
    process.clock.after(10, () => seen.push(`timer at ${world.nowMs}`));
    process.schedule(20, 'message', () => seen.push(`message at ${world.nowMs}`));
    const cancel = process.clock.after(15, () => seen.push('cancelled while held back'));
    process.pause();
    await world.run(100);
    expect(seen).toEqual([]);
    cancel();
    process.resume();
    await world.run(101);
    expect(seen).toEqual(['timer at 100', 'message at 100']);
  });

  it('gets no event after its end', async () => {
    const { world, process } = worldWith();
    const seen: string[] = [];
    process.clock.after(10, () => seen.push('timer'));
    process.whenEnded(() => seen.push('ended'));
    process.end();
    process.schedule(1, 'message', () => seen.push('message'));
    await world.run(100);
    expect(seen).toEqual(['ended']);
  });
});

describe('a simulated disk', () => {
  const bytes = Uint8Array.of(1, 2, 3);

  it('takes virtual time, and takes effect at the end of it', async () => {
    const { world, process, disk } = worldWith();
    let written = false;
    const directory = disk.directoryFor(process);
    void (async () => {
      const file = await directory.create('a');
      await file.write(0, [bytes]);
      await file.sync();
      await directory.sync();
      written = true;
    })();
    await world.run(0);
    expect(written).toBe(false);
    await world.run(1000);
    expect(written).toBe(true);
    disk.crash('none');
    expect(await (await disk.root.open('a')).read(0, 10)).toEqual(bytes);
  });

  it('loses unsynced data at a power cut, and does nothing for a process that has ended', async () => {
    const { world, process, disk } = worldWith();
    const directory = disk.directoryFor(process);
    let went = '';
    void (async () => {
      const file = await directory.create('a');
      went += 'created ';
      await directory.sync();
      await file.write(0, [bytes]);
      went += 'written ';
      disk.weather.slowness = 1000;
      await file.sync();
      went += 'synced';
    })();
    await world.run(100);
    expect(went).toBe('created written ');
    process.end();
    disk.crash('none');
    await world.run(100_000);
    expect(went).toBe('created written ');
    expect(await (await disk.root.open('a')).size()).toBe(0);
  });

  it('keeps written data at a kill, and perhaps a part of a write in flight', async () => {
    const lengths = new Set<number>();
    for (let seed = 1; seed <= 60; seed++) {
      const { world, process, disk } = worldWith(seed);
      const directory = disk.directoryFor(process);
      void (async () => {
        const file = await directory.create('a');
        await file.write(0, [bytes]);
        disk.weather.slowness = 1000;
        await file.write(3, [bytes]);
      })();
      await world.run(10);
      process.end();
      disk.crash('all');
      lengths.add(await (await disk.root.open('a')).size());
    }
    expect([...lengths].sort()).toEqual([3, 4, 5, 6]);
  });

  it('is empty after a wipe', async () => {
    const { world, process, disk } = worldWith();
    void disk.directoryFor(process).create('a');
    await world.run(10);
    disk.wipe();
    await expect(disk.root.open('a')).rejects.toBeInstanceOf(FileNotFoundError);
  });
});
