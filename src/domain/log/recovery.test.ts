import { beforeEach, describe, expect, it } from '@jest/globals';
import { crc32c } from '../../adapters/checksum/crc32c.js';
import {
  CorruptRangeError,
  ForeignLogError,
  MissingLogError,
  OffsetOutOfRangeError,
  UnsupportedFormatError,
} from './errors.js';
import { indexFileName, storeFileName, syncedIndexFileName } from './file-names.js';
import { verifyLog } from './inspect/verify.js';
import { Log } from './log.js';
import { toIndex, toOffset, toTerm } from './offsets.js';
import { sealBatch } from './record-batch.js';
import { decideRecovery, recoveryTable } from './recovery.js';
import { encodeStoreHeader } from './store-header.js';
import {
  append,
  batchBytes,
  bytesOf,
  change,
  cutAt,
  directory,
  fill,
  flip,
  options,
  makeBatch,
  notices,
  open,
  position,
  range,
  readAt,
  readable,
  checksum,
  store,
} from '../../../test/log/damage-bench.js';

describe('the recovery table', () => {
  it('has a row for every combination of findings, and uses every row', () => {
    const rows = new Set<unknown>();
    for (const segment of ['last', 'sealed'] as const)
      for (let bits = 0; bits < 32; bits++) {
        const [badBytes, validAfter, durableFound, syncedKnown, unreadable] = [1, 2, 4, 8, 16].map(
          (bit) => (bits & bit) !== 0,
        );
        rows.add(decideRecovery({ segment, badBytes, validAfter, durableFound, syncedKnown, unreadable }));
      }
    expect(rows.size).toBe(recoveryTable.length);
  });
});

describe('the last segment', () => {
  it('a clean end: continues', async () => {
    await fill(5);
    const log = await open();
    expect(log.recovery).toMatchObject({ torn: undefined, quarantined: [] });
    expect([log.endOffset, log.lastIndex]).toEqual([10, 5]);
    expect(notices).toEqual([]);
  });

  it.each([
    ['part of a batch', append(...makeBatch(5).header, 1, 2, 3)],
    ['part of a header', append(...makeBatch(5).header.subarray(0, 20))],
    ['zeros', append(...new Uint8Array(5000))],
    [
      'a whole batch with a wrong bit',
      append(...flip(60)(Uint8Array.of(...makeBatch(5).header, ...makeBatch(5).payload))),
    ],
    ['a batch of another index', append(...makeBatch(3).header, ...makeBatch(3).payload)],
  ])('a torn tail (%s): cut, saved to a file, and the log continues', async (_name, edit) => {
    await fill(5);
    const before = await bytesOf(store);
    await change(store, edit);
    const torn = (await bytesOf(store)).subarray(before.length);
    const log = await open();
    expect(log.recovery.torn?.bytes).toBe(torn.length);
    expect(notices.map(({ kind }) => kind)).toEqual(['torn tail cut']);
    expect(await bytesOf(store)).toEqual(before);
    expect(await bytesOf('00000000000000000000.torn-1')).toEqual(torn);
    await log.append([makeBatch(5)]);
    expect(await readable(log)).toEqual(range(0, 12));
  });

  it('saves every torn tail under a new name', async () => {
    await fill(5);
    for (const stored of ['.torn-1', '.torn-2', '.torn-3']) {
      await change(store, append(1, 2, 3));
      const log = await open();
      expect(log.recovery.torn?.fileName).toBe(`00000000000000000000${stored}`);
      await log.close();
    }
  });

  it.each(['with', 'without'])(
    'bad bytes with a valid batch after them, %s a synced-index file: quarantined',
    async (note) => {
      await fill(6);
      if (note === 'without') await directory.remove(syncedIndexFileName);
      await change(store, flip(position(2) + 60));
      const before = await bytesOf(store);
      const log = await open();
      expect(log.recovery.quarantined).toMatchObject([{ from: 4, to: 6, fromIndex: 3, toIndex: 4 }]);
      expect(await bytesOf(store)).toEqual(before);
      expect(await readable(log)).toEqual([0, 1, 2, 3, 6, 7, 8, 9, 10, 11]);
      await expect(log.append([makeBatch(6)])).rejects.toThrow(CorruptRangeError);
      await expect(log.readEntries(toIndex(3), { until: toIndex(7), bytesMax: 1 })).rejects.toThrow(CorruptRangeError);
      expect((await log.readEntries(toIndex(4), { until: toIndex(7), bytesMax: 1e6 })).length).toBe(3);
      await log.close();
      expect((await open()).recovery.quarantined).toHaveLength(1);
    },
  );

  it('bad bytes after the last synced batch, with valid ones after them: one torn group, cut', async () => {
    await fill(3);
    const group = [3, 4, 5].flatMap((number) => [...makeBatch(number).header, ...makeBatch(number).payload]);
    await change(store, append(...flip(60)(Uint8Array.from(group))));
    const log = await open();
    expect(log.recovery).toMatchObject({ quarantined: [], torn: { bytes: group.length } });
    expect([log.endOffset, log.lastIndex]).toEqual([6, 3]);
    await log.append([makeBatch(3)]);
    expect(await readable(log)).toEqual(range(0, 8));
  });

  it.each(['the synced-index file', 'the caller'])(
    'bad bytes at or below the durable index known from %s: quarantined',
    async (source) => {
      await fill(4);
      await change(store, flip(position(3) + 60));
      if (source === 'the caller') await directory.remove(syncedIndexFileName);
      const log = await open(source === 'the caller' ? { durableIndex: toIndex(4) } : {});
      const lost = source === 'the caller' ? { to: 6, endUnknown: true } : { to: 8 };
      expect(log.recovery.quarantined).toMatchObject([{ from: 6, ...lost, fromIndex: 4, toIndex: 5 }]);
      expect([log.endOffset, log.durableEndOffset]).toEqual([6, lost.to + (lost.endUnknown ? 1 : 0)]);
      expect(await readable(log)).toEqual(range(0, 6));
      await expect(log.append([makeBatch(3)])).rejects.toThrow(CorruptRangeError);
      await log.close();
      expect((await open()).recovery.quarantined).toHaveLength(1);
    },
  );

  it('a clean end below the durable index: quarantined, until an operator accepts the loss', async () => {
    await fill(4);
    await change(store, cutAt(position(2)));
    let log = await open();
    expect(log.recovery.quarantined).toMatchObject([{ from: 4, fromIndex: 3, toIndex: 5 }]);
    await expect(log.append([makeBatch(2)])).rejects.toThrow(CorruptRangeError);
    await log.truncateSuffix(toIndex(3));
    await log.append([makeBatch(2)]);
    await log.close();
    log = await open();
    expect(log.recovery.quarantined).toEqual([]);
    expect(await readable(log)).toEqual(range(0, 6));
  });

  it('accepting a loss in the middle cuts from the bad bytes on', async () => {
    await fill(6);
    await change(store, flip(position(2)));
    const log = await open();
    await log.truncateSuffix(toIndex(4));
    expect([log.lastIndex, log.endOffset]).toEqual([2, 4]);
    await log.append([makeBatch(2)]);
    expect(await readable(log)).toEqual(range(0, 6));
  });

  it('a damaged header: the whole segment is quarantined', async () => {
    await fill(5);
    await change(store, flip(3));
    const log = await open();
    expect(log.recovery.quarantined).toHaveLength(1);
    await expect(log.append([makeBatch(0)])).rejects.toThrow(CorruptRangeError);
    await log.truncateSuffix(toIndex(1));
    await log.append([makeBatch(0)]);
    expect(await readable(log)).toEqual([0, 1]);
    await log.close();
    expect(await readable(await open())).toEqual([0, 1]);
  });
});

describe('sealed segments', () => {
  /** A segment of 700 bytes holds six batches: offsets 0, 12, 24, 36. */
  const second = toOffset(12);
  beforeEach(() => fill(20));

  it('are not scanned on open', async () => {
    const log = await open();
    expect(log.segments).toBe(4);
    expect(log.recovery.scannedBytes).toBe((await bytesOf(storeFileName(toOffset(36)))).length);
  });

  it('with damage are found when they are read: never served, the rest readable, appends continue', async () => {
    await change(storeFileName(second), flip(position(2) + 80));
    const log = await open();
    expect(log.quarantined).toEqual([]);
    expect(await readable(log)).toEqual([...range(0, 16), ...range(18, 40)]);
    expect(log.quarantined).toMatchObject([{ from: 16, to: 18, fromIndex: 9, toIndex: 10 }]);
    expect(notices.map(({ kind }) => kind)).toEqual(['damage found by a read']);
    await log.append([makeBatch(20)]);
    expect((await log.read(second, { until: toOffset(40), bytesMax: 1e6 })).map((batch) => batch.baseOffset)).toEqual([
      12, 14,
    ]);
    await log.close();
    const reopened = await open();
    await reopened.append([makeBatch(21)]);
    expect(await readable(reopened)).toEqual([...range(0, 16), ...range(18, 44)]);
  });

  it('whose damage is found on open because the index is missing do not block appends either', async () => {
    await change(storeFileName(second), flip(position(2) + 80));
    await directory.remove(indexFileName(second));
    const log = await open();
    expect(log.recovery.quarantined).toMatchObject([{ from: 16, to: 18 }]);
    await log.append([makeBatch(20)]);
    await log.close();
    expect(await readable(await open())).toEqual([...range(0, 16), ...range(18, 42)]);
  });

  it('differ from the active segment: damage there blocks appends before and after a restart', async () => {
    const log = await open();
    const file = await directory.open(storeFileName(toOffset(36)));
    const bytes = flip(position(0) + 80)(await file.read(0, 1e6));
    await file.write(0, [bytes]);
    await expect(readAt(log, 36)).rejects.toThrow(CorruptRangeError);
    const refused = /^appends are refused: .*from offset 36/;
    await expect(log.append([makeBatch(20)])).rejects.toThrow(refused);
    await log.close();
    await expect((await open()).append([makeBatch(20)])).rejects.toThrow(refused);
  });

  it('whose damage is dropped by prefix truncation are no longer quarantined', async () => {
    await change(store, flip(position(2) + 80));
    const log = await open();
    await expect(readAt(log, 4)).rejects.toThrow(CorruptRangeError);
    await log.truncatePrefix(second);
    await log.append([makeBatch(20)]);
    expect(await readable(log)).toEqual(range(12, 42));
  });

  it('that are shorter than their footer says: the loss is quarantined', async () => {
    await change(storeFileName(second), cutAt(position(4)));
    const log = await open();
    expect(log.quarantined).toMatchObject([{ from: 20, to: 24, fromIndex: 11, toIndex: 13 }]);
    expect(await readable(log)).toEqual([...range(0, 20), ...range(24, 40)]);
  });

  it('with a damaged header are quarantined as a whole', async () => {
    await change(storeFileName(second), flip(30));
    const log = await open();
    expect(log.quarantined).toMatchObject([{ from: 12, to: 24, fromIndex: 7, toIndex: 13 }]);
    expect(await readable(log)).toEqual([...range(0, 12), ...range(24, 40)]);
  });

  it('that are missing in the middle are quarantined', async () => {
    await directory.remove(storeFileName(second));
    const log = await open();
    expect(log.quarantined).toMatchObject([{ from: 12, to: 24, fromIndex: 7, toIndex: 13 }]);
    expect(await readable(log)).toEqual([...range(0, 12), ...range(24, 40)]);
    await expect(readAt(log, 13)).rejects.toThrow(CorruptRangeError);
  });

  it('that are missing at the start are quarantined', async () => {
    await directory.remove(store);
    const log = await open();
    expect(log.quarantined).toMatchObject([{ from: 0, to: 12 }]);
    expect(await readable(log)).toEqual(range(12, 40));
  });

  const last = storeFileName(toOffset(36));
  const removeLastTwo = async (): Promise<void> => {
    for (const base of [24, 36]) await directory.remove(storeFileName(toOffset(base)));
  };
  describe.each([
    ['missing', 36, () => directory.remove(last)],
    ['missing like the one before it', 24, removeLastTwo],
    ['empty', 36, () => change(last, cutAt(0))],
    ['cut off within its header', 36, () => change(last, cutAt(20))],
    ['cut off after its header', 36, () => change(last, cutAt(position(0)))],
    ['cut off within a batch', 36, () => change(last, cutAt(position(0) + 70))],
    ['cut off after a batch', 38, () => change(last, cutAt(position(1)))],
  ])('of which the last is %s', (_what, end, damage) => {
    beforeEach(damage);

    it('lose their end, which is quarantined as far as it went, at each opening', async () => {
      for (let opening = 0; opening < 2; opening++) {
        const log = await open();
        expect(log.quarantined).toMatchObject([{ from: end, to: 40, toIndex: 21 }]);
        expect([log.endOffset, log.durableEndOffset]).toEqual([end, 40]);
        expect(await readable(log)).toEqual(range(0, end));
        for (const lost of [end, end + 1, 39]) await expect(readAt(log, lost)).rejects.toThrow(CorruptRangeError);
        await expect(readAt(log, 41)).rejects.toThrow(OffsetOutOfRangeError);
        await expect(log.append([makeBatch(end / 2)])).rejects.toThrow(CorruptRangeError);
        await log.close();
      }
    });

    it('lose an unknown number of records if only the durable index is known', async () => {
      await directory.remove(syncedIndexFileName);
      for (let opening = 0; opening < 2; opening++) {
        const log = await open({ durableIndex: toIndex(20) });
        expect([log.endOffset, log.durableEndOffset]).toEqual([end, end + 1]);
        for (const lost of [end, 39, 40, 500]) await expect(readAt(log, lost)).rejects.toThrow(CorruptRangeError);
        await log.close();
      }
    });
  });

  it('end where a synced-index file of version 1, which has no offset, does not say how much is lost', async () => {
    const bytes = new Uint8Array(36);
    bytes.set(await bytesOf(syncedIndexFileName).then((whole) => whole.subarray(0, 32)));
    bytes[4] = 1;
    new DataView(bytes.buffer).setUint32(32, crc32c(bytes.subarray(0, 32)));
    await change(syncedIndexFileName, () => bytes);
    await directory.remove(storeFileName(toOffset(36)));
    const log = await open();
    expect(log.quarantined).toMatchObject([{ from: 36, to: 36, endUnknown: true, fromIndex: 19, toIndex: 21 }]);
  });
});

describe('an index', () => {
  const name = indexFileName(toOffset(12));
  beforeEach(() => fill(20));

  it.each([
    ['missing', undefined],
    ['short', cutAt(30)],
    ['empty', cutAt(0)],
    [
      'padded with zeros (regression: zero padding of an unclean index was read as entries)',
      append(...new Uint8Array(4096)),
    ],
    ['all zeros', (bytes: Uint8Array) => bytes.fill(0)],
    ['wrong in its footer', (bytes: Uint8Array) => flip(bytes.length - 20)(bytes)],
  ])('that is %s is rebuilt from the store', async (_name, edit) => {
    const good = await bytesOf(name);
    if (edit) await change(name, edit);
    else await directory.remove(name);
    const log = await open();
    expect(log.recovery).toMatchObject({ indexesRebuilt: 1, quarantined: [] });
    expect(await bytesOf(name)).toEqual(good);
    expect(await readable(log)).toEqual(range(0, 40));
  });

  it('with a wrong entry is detected when it is loaded', async () => {
    await change(name, flip(11));
    const log = await open();
    expect(await readable(log)).toEqual(range(0, 40));
    expect(notices).toMatchObject([{ kind: 'index rebuilt', reason: 'entries checksum mismatch' }]);
  });

  it('that a crash left for the last segment is removed', async () => {
    const last = indexFileName(toOffset(36));
    await (await directory.create(last)).write(0, [new Uint8Array(500)]);
    await open();
    expect(await directory.list()).not.toContain(last);
  });
});

describe('regression: an index that was full surfaced as EOF after the store was written', () => {
  it('an index grows with its entries', async () => {
    const log = await open({ segmentBytesMax: 1 << 20, indexIntervalBytes: 1 });
    for (let number = 0; number < 1000; number += 100) await log.append(range(number, number + 100).map(makeBatch));
    expect(log.segments).toBe(1);
    expect((await readAt(log, 1999))[0].baseOffset).toBe(1998);
  });
});

describe('regression: reset deleted the directory and then listed it', () => {
  it('a log emptied from either end continues in its directory', async () => {
    await fill(20);
    const log = await open();
    await log.truncatePrefix(toOffset(40));
    await log.truncateSuffix(log.startIndex);
    expect([log.startOffset, log.endOffset, log.segments]).toEqual([36, 36, 1]);
    await log.append([makeBatch(18), makeBatch(19)]);
    await log.close();
    expect(await readable(await open())).toEqual(range(36, 40));
  });
});

describe('what a crash leaves', () => {
  it('temporary files are removed', async () => {
    await fill(3);
    await directory.create('00000000000000000006.store.tmp');
    const log = await open();
    expect(notices).toEqual([{ kind: 'leftover removed', fileName: '00000000000000000006.store.tmp' }]);
    expect(log.endOffset).toBe(6);
  });

  it('segments below the log start are removed', async () => {
    await fill(20);
    const stored = await bytesOf(store);
    let log = await open();
    await log.truncatePrefix(toOffset(24));
    await log.close();
    await (await directory.create(store)).write(0, [stored]);
    log = await open();
    expect(await directory.list()).not.toContain(store);
    expect([log.startOffset, log.quarantined]).toEqual([24, []]);
  });
});

describe('T18: a log start that is lost', () => {
  const spare = 'log-start.spare';
  const zeros = (): Promise<void> => change(spare, (bytes) => bytes.fill(0));
  let older: Uint8Array;
  beforeEach(async () => {
    await fill(20);
    const log = await open();
    await log.truncatePrefix(toOffset(12));
    older = await bytesOf('log-start');
    await log.truncatePrefix(toOffset(24));
    await log.close();
    notices.splice(0);
  });

  it.each([
    ['removed', () => directory.remove('log-start')],
    ['damaged', () => change('log-start', flip(30))],
    ['cut off', () => change('log-start', cutAt(51))],
    ['empty', () => change('log-start', cutAt(0))],
    ['put back from an older copy', () => change('log-start', () => older)],
    ['removed with its copy', () => Promise.all(['log-start', spare].map((name) => directory.remove(name)))],
    ['removed, and its copy damaged', () => Promise.all([directory.remove('log-start'), change(spare, flip(30))])],
    ['removed, with the spare file of an earlier version', () => Promise.all([directory.remove('log-start'), zeros()])],
  ])('is found again if it was %s', async (_what, damage) => {
    await damage();
    for await (const { problems } of verifyLog(directory, { crc32c })) expect(problems).toEqual([]);
    for (let opening = 0; opening < 2; opening++) {
      const log = await open();
      expect([log.startOffset, log.startIndex, log.quarantined]).toEqual([24, 13, []]);
      expect(await readable(log)).toEqual(range(24, 40));
      await log.close();
    }
    expect(notices).toMatchObject([{ kind: 'log start unknown' }]);
  });

  it.each([
    ['there', () => Promise.resolve()],
    ['removed', () => directory.remove('log-start')],
    ['damaged', () => change('log-start', flip(30))],
  ])('is not taken from a segment if the first one is missing and the file is %s', async (_what, damage) => {
    await damage();
    await directory.remove(storeFileName(toOffset(24)));
    const log = await open();
    expect([log.startOffset, log.quarantined]).toMatchObject([24, [{ from: 24, to: 36 }]]);
  });
});

describe('files of another log or format', () => {
  it('do not open when a store belongs to another log', async () => {
    await fill(3);
    const other = { ...options, logId: new Uint8Array(16).fill(9) };
    await expect(Log.open(directory, other)).rejects.toThrow(ForeignLogError);
    expect((await open()).endOffset).toBe(6);
  });

  it('do not open with another format version', async () => {
    await fill(3);
    await change(store, (bytes) => {
      const header = encodeStoreHeader({ offset: toOffset(0), index: toIndex(1), term: toTerm(0) }, checksum);
      header[4] = 2;
      new DataView(header.buffer).setUint32(48, crc32c(header.subarray(0, 48)));
      bytes.set(header);
      return bytes;
    });
    await expect(open()).rejects.toThrow(UnsupportedFormatError);
  });

  it('do not open as an empty log where there were entries before', async () => {
    await expect(open({ durableIndex: toIndex(1) })).rejects.toThrow(MissingLogError);
    await fill(3);
    await directory.remove(store);
    await expect(open()).rejects.toThrow(MissingLogError);
  });

  it('a batch of another log is cut as torn', async () => {
    await fill(3);
    const foreign = sealBatch({ ...makeBatch(3) }, { crc32c, logId: new Uint8Array(16).fill(9) });
    await change(store, append(...foreign.header, ...foreign.payload));
    const log = await open();
    expect(log.recovery.torn?.bytes).toBe(batchBytes);
  });
});
