import { claiming, type Fault, lacksFaultySystem, type Stage } from './fault.js';
import { hangsMs, type SystemFault } from './faulty-system.js';
import type { Random } from './random.js';

const mebibyte = 1024 * 1024;

const oneNode = (random: Random): { count: number; which: 'any' | 'leader' } => ({
  count: 1,
  which: random.percent(50) ? 'leader' : 'any',
});

const fullDisk: Fault = {
  name: 'full-disk',
  appendsGoOn: true,
  summary: 'a disk has less free than the reserve',
  begin: (stage, random) =>
    claiming(stage, random, oneNode(random), async ([{ disk }]) => {
      const mebibytes = random.between(2, 12);
      await disk.fill(mebibytes * mebibyte);
      return { how: `${mebibytes} MiB free`, end: async () => disk.free() };
    }),
};

const noByteFree: Fault = {
  name: 'no-byte-free',
  appendsGoOn: true,
  summary: 'a disk is filled to the last byte while its node runs',
  mayEndNodes: true,
  begin: (stage, random) =>
    claiming(stage, random, oneNode(random), async ([{ disk }]) => {
      await disk.fill(0);
      return { end: async () => disk.free() };
    }),
};

const noByteFreeAtStart: Fault = {
  name: 'no-byte-free-at-start',
  summary: 'a node is started on a disk without a free byte',
  begin: (stage, random) =>
    claiming(stage, random, oneNode(random), async ([node]) => {
      await node.kill();
      await node.disk.fill(0);
      node.start();
      return { end: async () => node.disk.free() };
    }),
};

/** A fault of the system that one node runs on: it has `value`, and 0 at the end. */
function systemFault(
  about: Pick<Fault, 'name' | 'summary'> & Partial<Fault>,
  fault: SystemFault,
  value: (random: Random) => number,
  describe: (value: number) => string,
): Fault {
  return {
    ...about,
    lacks: lacksFaultySystem,
    begin: (stage: Stage, random: Random) =>
      claiming(stage, random, oneNode(random), async ([{ system }]) => {
        const chosen = value(random);
        system?.set(fault, chosen);
        return { how: describe(chosen), end: async () => system?.set(fault, 0) };
      }),
  };
}

const slowDisk = systemFault(
  { name: 'slow-disk', summary: 'each sync takes 0.2 to 2 s longer', appendsGoOn: true },
  'syncDelayMs',
  (random) => random.between(200, 2_000),
  (ms) => `${ms} ms`,
);

const hungDisk = systemFault(
  {
    name: 'hung-disk',
    summary: 'syncs do not return while the fault lasts',
    lastsMs: [2_000, 15_000],
    appendsGoOn: true,
  },
  'syncDelayMs',
  () => hangsMs,
  () => 'hangs',
);

const failedSync = systemFault(
  { name: 'failed-sync', summary: 'a sync fails with EIO, and syncs nothing', mayEndNodes: true, appendsGoOn: true },
  'syncErrors',
  () => 1,
  () => 'once',
);

const shortWrites = systemFault(
  { name: 'short-writes', summary: 'writes to the log write one half of the bytes', appendsGoOn: true },
  'shortWrites',
  (random) => random.between(1, 200),
  (count) => `${count} times`,
);

const readErrors: Fault = {
  name: 'read-errors',
  summary: 'reads of the log fail with EIO; half of the time, those of a start',
  lacks: lacksFaultySystem,
  begin: (stage, random) =>
    claiming(stage, random, oneNode(random), async ([node]) => {
      const count = random.between(1, 3);
      const isAtStart = random.percent(50);
      if (isAtStart) await node.kill();
      node.system?.set('readErrors', count);
      if (isAtStart) node.start();
      return {
        how: `${count} times${isAtStart ? ', at a start' : ''}`,
        end: async () => node.system?.set('readErrors', 0),
      };
    }),
};

const hourSeconds = 3_600;

function clockJump(name: string, summary: string, offsetS: number): Fault {
  return systemFault(
    { name, summary },
    'clockOffsetS',
    () => offsetS,
    () => `${offsetS} s`,
  );
}

/** The faults of one disk, or of one clock. */
export const diskFaults: readonly Fault[] = [
  fullDisk,
  noByteFree,
  noByteFreeAtStart,
  slowDisk,
  hungDisk,
  failedSync,
  readErrors,
  shortWrites,
  clockJump('clock-forward', 'the wall clock of a node jumps forward by an hour, and back', hourSeconds),
  clockJump('clock-back', 'the wall clock of a node jumps back by an hour, and forward', -hourSeconds),
];
