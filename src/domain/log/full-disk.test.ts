import { describe, expect, it } from '@jest/globals';
import { crc32c } from '../../adapters/checksum/crc32c.js';
import { FaultyDirectory } from '../../adapters/memory/faulty-directory.js';
import { indexFileName, logStartSpareFileName, storeFileName } from './file-names.js';
import { HardStateFile } from './hard-state-file.js';
import { Log } from './log.js';
import { toEpochMs, toIndex, toOffset, toTerm } from './offsets.js';
import { sealBatch, type RecordBatch } from './record-batch.js';
import { encodeRecord } from './record.js';
import type { LogNotice } from './recovery.js';
import { defaultRecordLimits, frameRecords } from './records.js';

const logId = new Uint8Array(16).fill(7);
const retention = { bytesMax: 1, now: toEpochMs(0), upTo: toIndex(1000) };

function makeBatch(number: number): RecordBatch {
  const { payload } = frameRecords([encodeRecord({ value: new Uint8Array(200) })], defaultRecordLimits);
  return sealBatch(
    {
      kind: 0,
      index: toIndex(number + 1),
      term: toTerm(1),
      baseOffset: toOffset(number),
      recordCount: 1,
      appendTimeMs: toEpochMs(1000),
      payload,
    },
    { crc32c, logId },
  );
}

async function openOn(directory: FaultyDirectory): Promise<{ log: Log; notices: LogNotice[] }> {
  const notices: LogNotice[] = [];
  const onNotice = (notice: LogNotice): unknown => notices.push(notice);
  return { log: await Log.open(directory, { logId, crc32c, segmentBytesMax: 700, onNotice }), notices };
}

/** Appends ten records, two per segment; then another process fills the disk. */
async function fullDisk(): Promise<{ directory: FaultyDirectory; log: Log; notices: LogNotice[] }> {
  const directory = FaultyDirectory.create();
  const { log, notices } = await openOn(directory);
  for (let number = 0; number < 10; number++) await log.append([makeBatch(number)]);
  await log.sync();
  directory.setFreeBytes(0);
  return { directory, log, notices };
}

async function readAll(log: Log): Promise<number[]> {
  const offsets: number[] = [];
  for (let at: number = log.startOffset; at < log.endOffset; at++) {
    const [batch] = await log.read(toOffset(at), { until: log.endOffset, bytesMax: 1 });
    offsets.push(batch.baseOffset);
  }
  return offsets;
}

describe('a log on a full disk', () => {
  it('frees space by retention, repeatedly', async () => {
    const { directory, log } = await fullDisk();
    await log.truncatePrefix(toOffset(2));
    expect(log.startOffset).toBe(2);
    await log.truncatePrefix(toOffset(4));
    expect(log.startOffset).toBe(4);
    await log.retain(retention);
    expect([log.startOffset, log.segments]).toEqual([8, 1]);
    await log.append([makeBatch(10)]);
    await log.close();
    expect(await readAll((await openOn(directory)).log)).toEqual([8, 9, 10]);
  });

  it('skips retention when even the spare file is missing; a later retention succeeds', async () => {
    const { directory, log, notices } = await fullDisk();
    await directory.remove(logStartSpareFileName);
    directory.setFreeBytes(0);
    await log.retain(retention);
    await log.retain(retention);
    expect(notices.map(({ kind }) => kind)).toEqual(['retention waits for space', 'retention waits for space']);
    expect(log.startOffset).toBe(0);
    directory.setFreeBytes(10_000);
    await log.retain(retention);
    expect(log.startOffset).toBe(8);
    await log.append([makeBatch(10)]);
  });

  it.each(['all', 'none'] as const)('serves reads after a restart (unsynced writes that survive: %s)', async (keep) => {
    const { directory } = await fullDisk();
    const after = directory.afterCrash({ keep });
    after.setFreeBytes(0);
    const { log } = await openOn(after);
    expect(await readAll(log)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    await log.close();
  });

  it('cuts a torn tail without saving a copy, and keeps a rebuilt index in memory', async () => {
    const { directory, log } = await fullDisk();
    await log.close();
    const last = await directory.open(storeFileName(toOffset(8)));
    directory.setFreeBytes(100);
    await last.write(await last.size(), [new Uint8Array(100).fill(1)]);
    await directory.remove(indexFileName(toOffset(0)));
    directory.setFreeBytes(0);
    const reopened = await openOn(directory);
    expect(reopened.log.recovery).toMatchObject({ torn: { bytes: 100, fileName: undefined }, indexesRebuilt: 1 });
    expect(await readAll(reopened.log)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect((await directory.list()).filter((name) => /tmp|torn/.test(name))).toEqual([]);
    await reopened.log.close();
  });

  it('still saves the hard state, whose space is preallocated', async () => {
    const directory = FaultyDirectory.create();
    const hardState = await HardStateFile.open(directory, crc32c);
    directory.setFreeBytes(0);
    for (let term = 1; term < 4; term++) await hardState.save({ term: toTerm(term), vote: 1, commit: toIndex(0) });
    expect(hardState.current.term).toBe(3);
  });
});
