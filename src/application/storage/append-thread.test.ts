import { describe, expect, it } from '@jest/globals';
import { type HardState } from '../../domain/log/hard-state-file.js';
import { type Index, toEpochMs, toIndex, toOffset, toTerm } from '../../domain/log/offsets.js';
import { BatchKind, type RecordBatch } from '../../domain/log/record-batch.js';
import { AppendThread } from './append-thread.js';

/** A log and a hard state that write down what is done to them; a sync ends when the test says so. */
class Disk {
  readonly done: string[] = [];
  lastIndex = toIndex(0);
  current: HardState = { term: toTerm(1), vote: 1, commit: toIndex(0) };
  readonly configuration = toIndex(0);
  onSync: (() => void) | undefined;
  failure: Error | undefined;

  async append(batches: readonly RecordBatch[]): Promise<void> {
    this.done.push(`append ${batches.map(({ index }) => index).join(',')}`);
    this.lastIndex = batches[batches.length - 1].index;
  }
  async sync(): Promise<void> {
    this.onSync?.();
    if (this.failure) throw this.failure;
    this.done.push('sync');
  }
  async truncateSuffix(from: Index): Promise<void> {
    this.done.push(`truncate from ${from}`);
    this.lastIndex = toIndex(from - 1);
  }
  async reset(): Promise<void> {
    this.done.push('reset');
  }
  async save(state: HardState): Promise<void> {
    this.done.push(`save ${state.term}/${state.vote}/${state.commit}`);
    this.current = state;
  }
}

function batch(index: number): RecordBatch {
  return {
    kind: BatchKind.noop,
    index: toIndex(index),
    term: toTerm(1),
    baseOffset: toOffset(0),
    recordCount: 0,
    appendTimeMs: toEpochMs(0),
    header: new Uint8Array(52),
    payload: new Uint8Array(0),
  };
}

function threadOver(disk: Disk): { thread: AppendThread; failures: unknown[] } {
  const failures: unknown[] = [];
  const thread = new AppendThread(
    disk,
    disk,
    {
      groupDone: () => disk.done.push('group done'),
      fail: (error) => failures.push(error),
    },
    { begins: () => undefined, ends: () => undefined },
  );
  return { thread, failures };
}

describe('AppendThread', () => {
  it('writes what gathers under one sync, the vote before the entries, and answers in order', async () => {
    const disk = new Disk();
    const { thread } = threadOver(disk);
    thread.enqueue({ batches: [batch(1)], done: () => disk.done.push('first done') });
    thread.enqueue({ batches: [batch(2)], vote: { term: 2, vote: 3 }, done: () => disk.done.push('second done') });
    await thread.idle();
    expect(disk.done).toEqual(['save 2/3/0', 'append 1,2', 'sync', 'first done', 'second done', 'group done']);
    expect(thread.pendingBytes).toBe(0);
  });

  it('cuts what conflicts before it writes what takes its place', async () => {
    const disk = new Disk();
    const { thread } = threadOver(disk);
    thread.enqueue({ batches: [batch(1), batch(2), batch(3)], done: () => undefined });
    thread.enqueue({ batches: [batch(2)], done: () => undefined });
    await thread.idle();
    expect(disk.done).toEqual(['append 1,2,3', 'truncate from 2', 'append 2', 'sync', 'group done']);
  });

  it('saves a commit index that is noted while a group is being written', async () => {
    const disk = new Disk();
    const { thread } = threadOver(disk);
    disk.onSync = () => {
      disk.onSync = undefined;
      thread.noteCommit(toIndex(1), 0);
    };
    thread.enqueue({ batches: [batch(1)], done: () => undefined });
    await thread.idle();
    expect(disk.current.commit).toBe(1);
  });

  it('says nothing to be done after a failed sync, then or later', async () => {
    const disk = new Disk();
    const { thread, failures } = threadOver(disk);
    disk.failure = new Error('EIO');
    let done = 0;
    thread.enqueue({ batches: [batch(1)], done: () => done++ });
    await thread.idle();
    disk.failure = undefined;
    thread.enqueue({ batches: [batch(2)], done: () => done++ });
    await thread.idle();
    expect({ done, failures }).toEqual({ done: 0, failures: [new Error('EIO')] });
  });
});
