import { afterEach, describe, expect, it } from '@jest/globals';
import { toIndex, toOffset, toTerm } from '../../domain/log/offsets.js';
import { BatchKind, type RecordBatch, storedBytes } from '../../domain/log/record-batch.js';
import { message, type Message } from '../../domain/raft/message.js';
import { CatchUp } from './catch-up.js';

const batchBytes = 1024 * 1024;
const payload = new Uint8Array(batchBytes);

function batch(index: number): RecordBatch {
  return {
    kind: BatchKind.records,
    index: toIndex(index),
    term: toTerm(1),
    baseOffset: toOffset(index - 1),
    recordCount: 1,
    appendTimeMs: 0 as RecordBatch['appendTimeMs'],
    header: new Uint8Array(52),
    payload,
  };
}

/**
 * A log of a thousand batches of 1 MiB, and a follower that has the first and acknowledges what the test tells it to.
 */
class Pair {
  readonly sent: Message[] = [];
  readonly #catchUp: CatchUp;

  readonly #log = {
    startIndex: toIndex(1),
    lastIndex: toIndex(1000),
    bytes: 0,
    readEntries: (from: number) => Promise.resolve([batch(from)]),
    termAt: () => Promise.resolve(toTerm(1)),
  };

  constructor() {
    this.#catchUp = new CatchUp({
      log: this.#log,
      from: 1,
      to: 2,
      term: 1,
      match: 1,
      commit: () => 1000,
      send: (sent) => this.sent.push(sent),
      snapshot: () => Promise.reject(new Error('the follower needs no snapshot')),
      onFailure: (error) => expect(error).toBeUndefined(),
    });
  }

  tick(logGrowthBytes: number): void {
    this.#log.bytes += logGrowthBytes;
    this.#catchUp.tick();
  }

  /** The follower acknowledges everything sent. */
  acknowledge(): void {
    const index = this.#lastSent();
    this.#catchUp.handleResponse(message({ type: 'MsgAppResp', from: 2, to: 1, term: 1, index }));
  }

  /** Sums what is sent until nothing more is, while the follower acknowledges at once. */
  async bytesUntilQuiet(): Promise<number> {
    const before = this.sent.length;
    for (let last = -1; last !== this.#lastSent(); this.acknowledge()) {
      last = this.#lastSent();
      await settled();
    }
    return this.sent.slice(before).reduce((sum, { entries }) => sum + bytesOf(entries), 0);
  }

  stop(): void {
    this.#catchUp.stop();
  }

  #lastSent(): number {
    return this.sent.at(-1)?.entries.at(-1)?.index ?? 1;
  }
}

function bytesOf(entries: Message['entries']): number {
  return entries.reduce((sum, each) => sum + (each.batch === undefined ? 0 : storedBytes(each.batch)), 0);
}

/** Lets everything that only waits for promises run. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe('CatchUp', () => {
  let pair: Pair;
  afterEach(() => pair.stop());

  it('sends one window ahead of the acknowledgements', async () => {
    pair = new Pair();
    await settled();
    const bytes = pair.sent.reduce((sum, { entries }) => sum + bytesOf(entries), 0);
    expect(bytes).toBeGreaterThanOrEqual(16 * batchBytes);
    expect(bytes).toBeLessThan(18 * batchBytes);
  });

  it('sends as fast as it is acknowledged while nothing is appended', async () => {
    pair = new Pair();
    expect(await pair.bytesUntilQuiet()).toBeGreaterThan(900 * batchBytes);
  });

  it.each([
    ['when they are small', 1, 0, 2 * batchBytes],
    ['at first', 40 * batchBytes, 0, 24 * batchBytes],
    ['and outpaces them later', 40 * batchBytes, 600, 60 * batchBytes],
  ])('yields to appends, %s', async (_, growth, ticksBefore, expected) => {
    pair = new Pair();
    for (let ticks = 0; ticks <= ticksBefore; ticks++) pair.tick(growth);
    await pair.bytesUntilQuiet();
    for (let ticks = 0; ticks < 3; ticks++) {
      pair.tick(growth);
      expect(Math.abs((await pair.bytesUntilQuiet()) - expected)).toBeLessThanOrEqual(2 * batchBytes);
    }
    pair.tick(0);
    expect(await pair.bytesUntilQuiet()).toBeGreaterThan(500 * batchBytes);
  });
});
