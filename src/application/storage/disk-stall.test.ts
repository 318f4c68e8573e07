import { describe, expect, it } from '@jest/globals';
import { RecordingLogger } from '../../../test/logging/recording-logger.js';
import { DiskStall } from './disk-stall.js';

function stallOf(ticksMax: number) {
  const logger = new RecordingLogger();
  const stall = new DiskStall({ tickMs: 100, ticksMax, logger });
  const ticks = (count: number): void => {
    for (let i = 0; i < count; i++) stall.tick();
  };
  return { stall, ticks, events: () => logger.lines.map(({ event }) => event) };
}

describe('DiskStall', () => {
  it('says that the disk hangs once a write has not ended in time, and for how long', () => {
    const { stall, ticks, events } = stallOf(10);
    stall.begins();
    ticks(9);
    expect(stall.isStalled).toBe(false);
    ticks(1);
    expect([stall.isStalled, stall.stalledMs, events()]).toEqual([true, 1_000, ['disk_stalled']]);
    ticks(20);
    expect(stall.stalledMs).toBe(3_000);
  });

  it('says nothing of many short writes, or of no write', () => {
    const { stall, ticks, events } = stallOf(10);
    for (let i = 0; i < 20; i++) {
      stall.begins();
      ticks(9);
      stall.ends();
    }
    ticks(100);
    expect([stall.stalledMs, events()]).toEqual([undefined, []]);
  });

  it('takes slow writes one after the other as one stall, until one ends in time', () => {
    const { stall, ticks, events } = stallOf(10);
    for (let i = 0; i < 3; i++) {
      stall.begins();
      ticks(15);
      stall.ends();
    }
    expect([stall.stalledMs, events()]).toEqual([4_500, ['disk_stalled']]);
    stall.begins();
    ticks(1);
    stall.ends();
    expect([stall.isStalled, events()]).toEqual([false, ['disk_stalled', 'disk_recovered']]);
  });

  it('ends when nothing more is written', () => {
    const { stall, ticks } = stallOf(10);
    stall.begins();
    ticks(15);
    stall.ends();
    ticks(1);
    expect(stall.isStalled).toBe(false);
  });
});
