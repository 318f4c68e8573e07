import { describe, expect, it } from '@jest/globals';
import { DiskReserveError } from '../../domain/log/errors.js';
import { entry } from '../../domain/raft/entry.js';
import { RecordingLogger } from '../../../test/logging/recording-logger.js';
import { FollowerDiskGuard } from './follower-disk-guard.js';

describe('a follower whose disk is full', () => {
  it('accepts no entries until there is space, and logs once that this starts and that it ends', () => {
    let isFull = false;
    let isExhausted = false;
    const logger = new RecordingLogger();
    const guard = new FollowerDiskGuard(
      {
        refresh: () => undefined,
        get isExhausted() {
          return isExhausted;
        },
        refusalOf: (bytes) => (isFull ? new DiskReserveError(10, bytes) : undefined),
        admitOrThrow: () => undefined,
      },
      logger,
    );
    const entries = [entry({ data: new Uint8Array(3) })];
    expect(guard.admits(entries)).toBe(true);
    isFull = true;
    expect([guard.admits(entries), guard.admits(entries), guard.isFull]).toEqual([false, false, true]);
    // A heartbeat, and the entry that starts a term, need almost no space.
    expect([guard.admits([]), guard.admits([entry({})])]).toEqual([true, true]);
    isExhausted = true;
    expect([guard.admits([]), guard.admits([entry({})])]).toEqual([true, false]);
    [isFull, isExhausted] = [false, false];
    expect([guard.isFull, guard.admits(entries), guard.admits(entries)]).toEqual([false, true, true]);
    expect(logger.lines.map(({ event }) => event)).toEqual(['disk_full', 'disk_space_recovered']);
  });
});
