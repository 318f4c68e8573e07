import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { LogClient, Producer, RecordBatchBuilder } from '../../src/client/index.js';
import { sha256Of, writeCorpus } from './corpus.js';
import { compile, GologProcess, runGolog, Scratch, ServerProcess } from './golog-process.js';

const seed = Number(process.env['KILL_SEED'] ?? Date.now() % 1_000_000_007);
const again = `repeat with KILL_SEED=${seed}`;

/** mulberry32 */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

let scratch: Scratch;
let server: ServerProcess;

beforeAll(compile, 120_000);
beforeEach(async () => {
  scratch = new Scratch();
  server = await ServerProcess.start(scratch.file('data'));
  process.stderr.write(`${again}\n`);
});
afterEach(async () => {
  await server.killNine();
  scratch.remove();
});

async function verifyClean(): Promise<void> {
  const { code, stdout, stderr } = await runGolog(['verify', scratch.file('data'), '--json']);
  expect([code, stderr, again, stdout]).toEqual([0, expect.anything(), again, stdout]);
}

/** A producer that never resends: what it was told is exactly what was acknowledged. */
class OneConnection {
  readonly acknowledged = new Map<number, string>();
  readonly sent = new Set<string>();

  /** Sends numbered records, as fast as the server takes them, until the connection is lost; `onFirst` at the first ack. */
  async run(round: number, random: () => number, onFirst: () => void): Promise<void> {
    const client = LogClient.connect(server.rpcAddr);
    const underWay: string[][] = [];
    const producer = await Producer.open(client, {
      shared: true,
      reconnectTimeoutMs: 0,
      onAcknowledged: ({ baseOffset }) => {
        for (const [place, value] of underWay.shift()!.entries()) this.acknowledged.set(baseOffset + place, value);
        onFirst();
      },
    });
    try {
      for (let batch = 0; ; batch += 1) {
        const builder = new RecordBatchBuilder(1 << 20);
        const values = Array.from({ length: 1 + Math.floor(random() * 40) }, (_, n) => {
          return `round ${round} batch ${batch} record ${n} ${'.'.repeat(Math.floor(random() * 200))}`;
        });
        for (const value of values) {
          builder.add({ value: Buffer.from(value) });
          this.sent.add(value);
        }
        underWay.push(values);
        await producer.send(builder.take()!);
      }
    } catch (error) {
      expect(error).toBeInstanceOf(Error);
    } finally {
      onFirst();
      producer.close();
      client.close();
    }
  }
}

async function readAll(): Promise<Map<number, string>> {
  const client = LogClient.connect(server.rpcAddr);
  const found = new Map<number, string>();
  try {
    for (;;) {
      const { batches, highWatermark } = await client.read({ from: { offset: found.size } });
      for (const batch of batches) {
        for (const { offset, value } of batch.records()) found.set(offset, Buffer.from(value).toString());
      }
      if (found.size >= highWatermark) return found;
    }
  } finally {
    client.close();
  }
}

async function somethingStored(): Promise<void> {
  const client = LogClient.connect(server.rpcAddr);
  await client.tail({ from: { position: 'earliest' } }).next();
  client.close();
}

describe('kill -9', () => {
  it('loses nothing that was acknowledged, in twenty kills at random moments', async () => {
    const random = randomFrom(seed);
    const producer = new OneConnection();
    for (let round = 0; round < 20; round += 1) {
      let producing: Promise<void> | undefined;
      await new Promise<void>((resolve) => {
        producing = producer.run(round, random, resolve);
      });
      await delay(random() * 300);
      await server.killNine();
      await producing;
      if (round % 4 === 3) await verifyClean();
      server = await ServerProcess.start(scratch.file('data'), server);

      const found = await readAll();
      expect([again, [...found.keys()]]).toEqual([again, Array.from({ length: found.size }, (_, offset) => offset)]);
      for (const [offset, value] of producer.acknowledged) {
        if (found.get(offset) !== value)
          throw new Error(`${again}: offset ${offset} was acknowledged and is not there`);
      }
      for (const value of found.values()) {
        if (!producer.sent.has(value)) throw new Error(`${again}: ${value} was never sent`);
      }
      expect(new Set(found.values()).size).toBe(found.size);
    }
    expect(producer.acknowledged.size).toBeGreaterThan(0);
  }, 240_000);

  it('does not disturb golog produce: each line comes out once and in order', async () => {
    const random = randomFrom(seed + 1);
    const [original, copy] = [scratch.file('text'), scratch.file('copy')];
    const { lines } = writeCorpus(original, 150_000);
    const produce = new GologProcess([
      ...['produce', '--addr', server.rpcAddr, '--json', '--batch-bytes', '4KiB', '--in-flight', '4', original],
    ]);
    await somethingStored();
    let ended = false;
    void produce.finished.then(() => (ended = true));
    let kills = 0;
    for (; kills < 5; kills += 1) {
      await delay(200 + random() * 600);
      if (ended) break;
      await server.killNine();
      server = await ServerProcess.start(scratch.file('data'), server);
    }
    const { code, stdout, stderr } = await produce.finished;
    expect([again, code]).toEqual([again, 0]);
    expect(JSON.parse(stdout)).toMatchObject({ records: lines, firstOffset: 0, lastOffset: lines - 1 });
    expect(kills === 0 || stderr.includes('golog produce: resumed')).toBe(true);
    expect((await runGolog(['consume', '--addr', server.rpcAddr], '', copy)).code).toBe(0);
    expect(await sha256Of(copy)).toBe(await sha256Of(original));
    expect(await server.stop()).toBe(0);
    await verifyClean();
  }, 240_000);
});
