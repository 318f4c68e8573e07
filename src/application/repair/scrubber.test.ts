import { expect, it } from '@jest/globals';
import { RecordingLogger } from '../../../test/logging/recording-logger.js';
import { crc32c } from '../../adapters/checksum/crc32c.js';
import { ManualClock } from '../../adapters/memory/manual-clock.js';
import { MemoryDirectory } from '../../adapters/memory/memory-directory.js';
import { type Index, toIndex } from '../../domain/log/offsets.js';
import { ScrubPositionFile } from './scrub-position.js';
import { Scrubber } from './scrubber.js';

it('says when the last pass ended by the wall clock, which outlasts a restart', async () => {
  const wallClockMs = Date.parse('2026-01-31T09:30:00Z');
  const clock = new ManualClock(wallClockMs);
  const directory = new MemoryDirectory();
  const position = await ScrubPositionFile.open(directory, crc32c);
  const ends = [toIndex(5), undefined];
  const log = {
    startIndex: toIndex(1),
    sealedEnd: toIndex(5),
    quarantined: [],
    bytesBelow: () => 100,
    scrub: async () => ends.shift(),
  };
  const outside = { clock, logger: new RecordingLogger(), repair: () => undefined, bytesPerSecond: 1 };
  const scrubber = new Scrubber({ log, position, ...outside, onFatal: () => undefined });
  while (position.current.completedAtMs === undefined) await new Promise(setImmediate);
  expect(scrubber.status.completedAtMs).toBe(wallClockMs);
  await scrubber.stop();
  expect((await ScrubPositionFile.open(directory, crc32c)).current.completedAtMs).toBe(wallClockMs);
});

it('ends a pass on a log that grows faster than it is read', async () => {
  const position = await ScrubPositionFile.open(new MemoryDirectory(), crc32c);
  const read: number[] = [];
  const log = {
    startIndex: toIndex(1),
    sealedEnd: toIndex(3),
    quarantined: [],
    bytesBelow: () => 100,
    scrub: async (from: Index) => {
      read.push(from);
      log.sealedEnd = toIndex(log.sealedEnd + 2);
      return toIndex(Math.max(from, 1) + 1);
    },
  };
  const logger = new RecordingLogger();
  const outside = { clock: new ManualClock(), logger, repair: () => undefined, bytesPerSecond: 1 };
  const scrubber = new Scrubber({ log, position, ...outside, onFatal: () => undefined });
  while (position.current.completedAtMs === undefined) await new Promise(setImmediate);
  await scrubber.stop();
  expect(read).toEqual([0, 2]);
});
