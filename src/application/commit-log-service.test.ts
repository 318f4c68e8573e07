import { describe, expect, it } from '@jest/globals';
import { crc32c } from '../adapters/checksum/crc32c.js';
import { FaultyDirectory } from '../adapters/memory/faulty-directory.js';
import { ManualClock } from '../adapters/memory/manual-clock.js';
import { memoryDataDirectory } from '../adapters/memory/memory-data-directory.js';
import { MemoryPeerNetwork } from '../adapters/memory/memory-peer-network.js';
import { DiskReserveError, ExpectedOffsetMismatchError, OffsetOutOfRangeError } from '../domain/log/errors.js';
import { HardStateFile } from '../domain/log/hard-state-file.js';
import { Log } from '../domain/log/log.js';
import { toEpochMs, toOffset } from '../domain/log/offsets.js';
import type { Records } from '../domain/log/record-batch.js';
import { decodeRecord, encodeRecord } from '../domain/log/record.js';
import { defaultRecordLimits, forEachRecord, frameRecords } from '../domain/log/records.js';
import type { ReadResult } from './ports/commit-log.js';
import { CommitLogService } from './commit-log-service.js';
import { firstConfiguration } from './configuration/configuration.js';
import { ConfigurationBase } from './configuration/configuration-base.js';
import { ConfigurationFile } from './configuration/configuration-file.js';
import { PeerNotes } from './vouching/peer-notes.js';
import { DiskReserve } from './storage/disk-reserve.js';
import { OutcomeUnknownError, UnavailableError } from './errors.js';
import { RaftNode } from './raft/raft-node.js';
import { defaultTiming } from './raft/raft-options.js';

const signal = new AbortController().signal;

function records(...values: string[]): Records {
  return frameRecords(
    values.map((value) => encodeRecord({ value: Buffer.from(value) })),
    defaultRecordLimits,
  );
}

function valuesOf({ batches }: ReadResult): string[] {
  const values: string[] = [];
  for (const { payload } of batches) {
    forEachRecord(payload, (start, end) => {
      values.push(Buffer.from(decodeRecord(payload.subarray(start, end)).value).toString());
    });
  }
  return values;
}

/** A node's application over memory, built with `new` and nothing else. */
async function newService(directory = memoryDataDirectory(), reserveBytes = 0) {
  const clock = new ManualClock(toEpochMs(1_000));
  const hardState = await HardStateFile.open(directory.raft, crc32c);
  const log = await Log.open(directory.log, {
    logId: directory.logId,
    crc32c,
    segmentBytesMax: 4096,
    durableIndex: hardState.current.commit,
  });
  const diskReserve = await DiskReserve.open(directory.log, reserveBytes, clock, () => undefined);
  const failures: unknown[] = [];
  const configuration = await ConfigurationFile.open(directory.raft, crc32c);
  const self = { id: 1, name: 'n1', uuid: directory.nodeId, rpcAddr: '127.0.0.1:1' };
  if (configuration.stored === undefined)
    await configuration.write({ id: 1, contacts: [], history: [firstConfiguration(self)] });
  const consensus = await RaftNode.start({
    log,
    hardState,
    configuration,
    configurationBase: await ConfigurationBase.open(directory.log, crc32c),
    id: 1,
    transport: new MemoryPeerNetwork(clock).join(self.rpcAddr, directory.logId),
    random: (n) => Math.floor(n / 2),
    timing: defaultTiming,
    logger: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
    checksum: { crc32c, logId: directory.logId },
    clock,
    diskReserve,
    notes: await PeerNotes.open(directory.raft, crc32c),
    incarnation: 1,
    retention: { bytesMax: 10_000 },
    self,
    onFatal: (error) => failures.push(error),
  });
  const service = new CommitLogService(consensus, log, configuration);
  return { service, consensus, log, clock, directory, failures, configuration };
}

describe('CommitLogService', () => {
  it('appends in order with dense offsets and says what each acknowledgement rests on', async () => {
    const { service } = await newService();
    const receipts = await Promise.all([service.append(records('a')), service.append(records('b', 'c'))]);
    expect(receipts).toEqual([
      { baseOffset: 0, recordCount: 1, index: 2, term: 1, syncedOn: ['n1'] },
      { baseOffset: 1, recordCount: 2, index: 3, term: 1, syncedOn: ['n1'] },
    ]);
    expect(await service.info(signal)).toMatchObject({
      logStartOffset: 0,
      highWatermark: 3,
      logEndOffset: 3,
      segments: 1,
    });
  });

  it('reads from an offset within a batch, from either end, the last few, and since a time', async () => {
    const { service, clock } = await newService();
    await service.append(records('a', 'b', 'c'));
    clock.advance(500);
    await service.append(records('d'));
    const read = async (from: Parameters<CommitLogService['read']>[0]) =>
      valuesOf(await service.read(from, { signal }));
    expect(await read({ offset: toOffset(1) })).toEqual(['b', 'c', 'd']);
    expect(await read('earliest')).toEqual(['a', 'b', 'c', 'd']);
    expect(await read('latest')).toEqual([]);
    expect(await read({ last: 2 })).toEqual(['c', 'd']);
    expect(await read({ last: 100 })).toEqual(['a', 'b', 'c', 'd']);
    expect(await read({ since: toEpochMs(1_001) })).toEqual(['d']);
    expect(await read({ since: toEpochMs(9_999) })).toEqual([]);
    expect(await read({ offset: toOffset(4) })).toEqual([]);
  });

  it('follows from a time that is still to come without the records appended before it', async () => {
    const { service, clock } = await newService();
    await service.append(records('before'));
    const controller = new AbortController();
    const follow = service.follow({ since: toEpochMs(2_000) }, { signal: controller.signal });
    const next = follow.next();
    await service.append(records('a'));
    clock.advance(999);
    await service.append(records('b', 'c'));
    clock.advance(1);
    await service.append(records('d', 'e'));
    const { batches } = (await next).value;
    expect(batches[0]).toMatchObject({ baseOffset: 4, appendTimeMs: 2_000 });
    await service.append(records('f'));
    expect(valuesOf((await follow.next()).value)).toEqual(['f']);
    controller.abort();
  });

  it('bounds a result by records and by bytes, but always gives the first record', async () => {
    const { service } = await newService();
    await service.append(records('a', 'b'));
    await service.append(records('c', 'd'));
    const from = { offset: toOffset(1) };
    expect(valuesOf(await service.read(from, { signal, maxRecords: 2 }))).toEqual(['b', 'c']);
    expect(valuesOf(await service.read(from, { signal, maxBytes: 1 }))[0]).toBe('b');
  });

  it('refuses offsets beyond the watermark and below the log start, naming the range', async () => {
    const { service } = await newService();
    await service.append(records('a'));
    const read = service.read({ offset: toOffset(2) }, { signal });
    await expect(read).rejects.toEqual(new OffsetOutOfRangeError(2, toOffset(0), toOffset(1)));
  });

  it('appends only at the expected offset, and counts what is still on its way to the disk', async () => {
    const { service } = await newService();
    const first = service.append(records('a'), { expectedOffset: toOffset(0) });
    const missed = service.append(records('b'), { expectedOffset: toOffset(0) });
    const second = service.append(records('b'), { expectedOffset: toOffset(1) });
    await expect(missed).rejects.toEqual(new ExpectedOffsetMismatchError(0, toOffset(1)));
    expect((await first).baseOffset).toBe(0);
    expect((await second).baseOffset).toBe(1);
  });

  it('reads a record once for 64 followers that wait for it, and each gets it', async () => {
    const { service, log } = await newService();
    await service.append(records('a'));
    const follows = Array.from({ length: 640 }, () =>
      service.follow('earliest', { signal: new AbortController().signal }),
    );
    for (const follow of follows) expect(valuesOf((await follow.next()).value)).toEqual(['a']);
    const next = follows.map((follow) => follow.next());
    const late = service.follow('earliest', { signal });
    // They all wait.
    await service.info(signal);
    const reads = { count: 0 };
    const read = log.read.bind(log);
    log.read = (...range) => {
      reads.count += 1;
      return read(...range);
    };
    await service.append(records('b'));
    for (const result of await Promise.all(next)) expect(valuesOf(result.value)).toEqual(['b']);
    expect(reads.count).toBe(10);
    expect(valuesOf((await late.next()).value)).toEqual(['a', 'b']);
  });

  it('shares no read below a start of the log that has moved', async () => {
    const { service, configuration } = await newService();
    await service.append(records('a', 'b'));
    expect(valuesOf((await service.follow('earliest', { signal }).next()).value)).toEqual(['a', 'b']);
    const current = { settings: { startOffset: 1 } };
    Object.defineProperty(configuration, 'current', { value: current });
    await expect(service.follow({ offset: toOffset(0) }, { signal }).next()).rejects.toThrow(OffsetOutOfRangeError);
    expect(valuesOf((await service.follow('earliest', { signal }).next()).value)).toEqual(['b']);
  });

  it('follows the log: what is there, then what comes, until the signal aborts', async () => {
    const { service } = await newService();
    await service.append(records('a'));
    const controller = new AbortController();
    const follow = service.follow('earliest', { signal: controller.signal });
    expect(valuesOf((await follow.next()).value)).toEqual(['a']);
    const next = follow.next();
    await service.append(records('b'));
    expect(valuesOf((await next).value)).toEqual(['b']);
    const gone = new Error('gone');
    const last = follow.next();
    controller.abort(gone);
    await expect(last).rejects.toBe(gone);
  });

  it('waits for an offset that the caller knows to exist', async () => {
    const { service } = await newService();
    const read = service.read('earliest', { signal, notBeforeOffset: toOffset(0) });
    await service.append(records('a'));
    expect(valuesOf(await read)).toEqual(['a']);
  });

  it('keeps the log over a restart, in a new term, and never takes the watermark back', async () => {
    const before = await newService();
    await before.service.append(records('a', 'b'));
    await before.consensus.close();
    await before.log.close();
    const after = await newService(before.directory);
    expect((await after.service.info(signal)).highWatermark).toBe(2);
    expect(await after.service.append(records('c'))).toMatchObject({ baseOffset: 2, index: 4, term: 2 });
    expect(valuesOf(await after.service.read('earliest', { signal }))).toEqual(['a', 'b', 'c']);
  });

  it('refuses appends below the disk reserve while reads go on, and takes them again when there is space', async () => {
    const directory = memoryDataDirectory();
    let freeBytes = 1_000_000;
    directory.log.freeBytes = () => Promise.resolve(freeBytes);
    const { service, clock } = await newService(directory, 500_000);
    await service.append(records('a'));
    freeBytes = 100_000;
    clock.advance(1_000);
    await expect(service.append(records('b'))).rejects.toBeInstanceOf(DiskReserveError);
    expect(valuesOf(await service.read('earliest', { signal, maxRecords: 1 }))).toEqual(['a']);
    freeBytes = 1_000_000;
    clock.advance(1_000);
    expect((await service.append(records('b'))).baseOffset).toBe(1);
  });

  it('F13: refuses appends while a file of the log waits for a descriptor, and accepts them again afterwards', async () => {
    const directory = memoryDataDirectory();
    let lacksDescriptors = false;
    Object.defineProperty(directory.log, 'lacksDescriptors', { get: () => lacksDescriptors });
    const { service } = await newService(directory);
    await service.append(records('a'));
    lacksDescriptors = true;
    const refused = service.append(records('b'));
    await expect(refused).rejects.toBeInstanceOf(UnavailableError);
    await expect(refused).rejects.toThrow('ulimit -n');
    expect(valuesOf(await service.read('earliest', { signal, maxRecords: 1 }))).toEqual(['a']);
    lacksDescriptors = false;
    expect((await service.append(records('b'))).baseOffset).toBe(1);
  });

  it('keeps the order of appends that wait for a look at the disk, and of those that come meanwhile', async () => {
    const directory = memoryDataDirectory();
    let answer: () => void = () => undefined;
    directory.log.freeBytes = () => Promise.resolve(1_000_000);
    const { service, clock } = await newService(directory, 500_000);
    directory.log.freeBytes = () => new Promise((resolve) => (answer = () => resolve(1_000_000)));
    clock.advance(60_000);
    const appended = [service.append(records('a')), service.append(records('b'))];
    answer();
    for (let tick = 0; tick < 20; tick++) {
      await Promise.resolve();
      appended.push(service.append(records(`${tick}`)));
    }
    const offsets = (await Promise.all(appended)).map(({ baseOffset }) => baseOffset);
    expect(offsets).toEqual(offsets.map((_, i) => i));
  });

  it('says of an append whose sync failed that the outcome is unknown, and refuses all that come after it', async () => {
    const disk = FaultyDirectory.create();
    const { service, failures } = await newService({ ...memoryDataDirectory(), log: disk });
    await service.append(records('a'));
    disk.inject({ operation: 'sync' });
    await expect(service.append(records('b'))).rejects.toBeInstanceOf(OutcomeUnknownError);
    expect(failures).toHaveLength(1);
    await expect(service.append(records('c'))).rejects.toBeInstanceOf(UnavailableError);
    expect(valuesOf(await service.read('earliest', { signal }))).toEqual(['a']);
  });

  it('drops whole old segments beyond the retention, never the newest', async () => {
    const { service, clock, log } = await newService();
    for (let count = 0; count < 20; count += 1) await service.append(records('x'.repeat(2_000)));
    expect(service.infoNow().logStartOffset).toBe(0);
    clock.advance(10_000);
    while (log.startOffset === 0) await new Promise(setImmediate);
    const { logStartOffset, bytes, highWatermark } = service.infoNow();
    expect(logStartOffset).toBeGreaterThan(0);
    expect(bytes).toBeLessThanOrEqual(10_000 + 4096);
    expect(highWatermark).toBe(20);
    await expect(service.read({ offset: toOffset(0) }, { signal })).rejects.toBeInstanceOf(OffsetOutOfRangeError);
    expect(valuesOf(await service.read({ offset: logStartOffset }, { signal })).length).toBeGreaterThan(0);
  });

  it('finishes what it accepted when it closes and refuses what comes later as retryable', async () => {
    const { service, consensus } = await newService();
    const accepted = service.append(records('a'));
    const closing = consensus.close();
    await expect(service.append(records('b'))).rejects.toBeInstanceOf(UnavailableError);
    await closing;
    expect((await accepted).baseOffset).toBe(0);
  });
});
