import { describe, expect, it } from '@jest/globals';
import { toEpochMs, toIndex, toOffset, toTerm } from '../domain/log/offsets.js';
import { BatchKind, type RecordBatch } from '../domain/log/record-batch.js';
import { LogWriter } from './log-writer.js';

function batch(index: number, payloadBytes = 1): RecordBatch {
  return {
    kind: BatchKind.records,
    index: toIndex(index),
    term: toTerm(1),
    baseOffset: toOffset(index),
    recordCount: 1,
    appendTimeMs: toEpochMs(0),
    header: new Uint8Array(52),
    payload: new Uint8Array(payloadBytes),
  };
}

/** A log whose syncs end when the test says so. */
class GatedLog {
  readonly groups: number[][] = [];
  #release: (() => void) | undefined;
  failure: Error | undefined;

  append(batches: readonly RecordBatch[]): Promise<void> {
    this.groups.push(batches.map(({ index }) => index));
    return Promise.resolve();
  }
  async sync(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#release = resolve;
    });
    if (this.failure !== undefined) throw this.failure;
  }
  async releaseSync(): Promise<void> {
    while (this.#release === undefined) await new Promise(setImmediate);
    const release = this.#release;
    this.#release = undefined;
    release();
  }
}

describe('LogWriter', () => {
  it('gathers what comes during a sync into the next group, and acknowledges in order, never before the sync', async () => {
    const log = new GatedLog();
    const writer = new LogWriter(log);
    const acknowledged: number[] = [];
    const writes = [1, 2, 3, 4].map((index) => writer.write(batch(index)).then(() => acknowledged.push(index)));
    await log.releaseSync();
    const late = writer.write(batch(5)).then(() => acknowledged.push(5));
    await writes[0];
    expect(log.groups[0]).toEqual([1, 2, 3, 4]);
    expect(acknowledged).not.toContain(5);
    await log.releaseSync();
    await Promise.all([...writes, late]);
    expect(acknowledged).toEqual([1, 2, 3, 4, 5]);
    expect(writer.pendingBytes).toBe(0);
  });

  it('bounds a group by bytes', async () => {
    const log = new GatedLog();
    const writer = new LogWriter(log);
    const writes = [1, 2, 3].map((index) => writer.write(batch(index, 5 * 1024 * 1024)));
    for (let group = 0; group < 3; group += 1) await log.releaseSync();
    await Promise.all(writes);
    expect(log.groups).toEqual([[1], [2], [3]]);
  });

  it('rejects every batch of a group whose sync failed', async () => {
    const log = new GatedLog();
    const writer = new LogWriter(log);
    const writes = Promise.allSettled([writer.write(batch(1)), writer.write(batch(2))]);
    log.failure = new Error('EIO');
    await log.releaseSync();
    expect((await writes).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  });

  it('runs an exclusive task between two groups, even under load without a lull', async () => {
    const log = new GatedLog();
    const writer = new LogWriter(log);
    const order: string[] = [];
    const first = writer.write(batch(1, 5 * 1024 * 1024)).then(() => order.push('first'));
    const second = writer.write(batch(2, 5 * 1024 * 1024)).then(() => order.push('second'));
    const task = writer.exclusively(() => {
      order.push('task');
      return Promise.resolve();
    });
    await log.releaseSync();
    await log.releaseSync();
    await Promise.all([first, second, task]);
    expect(order).toEqual(['first', 'task', 'second']);
  });
});
