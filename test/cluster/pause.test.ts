import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { Consistency } from '../../src/gen/golog/v1/log_service_pb.js';
import { eventually, tell } from './deadline.js';
import { clusterTests, type Run } from './fixture.js';
import type { LiveCluster } from './live-cluster.js';
import type { Load } from './load.js';
import { Reader } from './reader.js';
import { expectAllKept } from './verdict.js';

const run = clusterTests();

/** Stops the leader for a time, with reads waiting for it when it goes on. */
async function pauseLeader(own: Run, nodes: LiveCluster, load: Load, pauseMs: number): Promise<void> {
  const leader = await nodes.leader();
  const linearizable = new Reader(leader.address, load, Consistency.LINEARIZABLE, own.tls('consumer'));
  const local = new Reader(leader.address, load, Consistency.LOCAL, own.tls('consumer'));
  await Promise.all([linearizable.read(), local.read()]);
  const before = load.acknowledgedEnd;
  leader.pause();
  const pausedAtMs = performance.now();
  const reads: Promise<void>[] = [linearizable.read()];
  const newLeader = await nodes.leader(leader);
  const gapMs = await load.more();
  while (performance.now() - pausedAtMs < pauseMs) {
    await delay(Math.min(200, pauseMs));
    reads.push(linearizable.read(), local.read());
  }
  for (let n = 0; n < 20; n += 1) reads.push(linearizable.read(), local.read());
  expect(load.acknowledgedEnd).toBeGreaterThan(before);
  leader.resume();
  const resumedAtMs = performance.now();
  while (performance.now() - resumedAtMs < 1_000) {
    await Promise.all([linearizable.read(), local.read()]);
  }
  await Promise.all(reads);
  expect(linearizable.stale).toEqual([]);
  // All of them were there when the node went on, and it had to decide.
  expect(linearizable.lost).toBe(0);
  // It follows a leader again, and then it does answer.
  await eventually('a linearizable read at the node that was stopped', async () => {
    const { answered } = linearizable;
    await linearizable.read();
    return linearizable.answered > answered ? true : undefined;
  });
  expect(linearizable.stale).toEqual([]);
  tell(
    `${leader.name} stopped for ${pauseMs} ms, ${newLeader.name} led, 60 records after ${Math.round(gapMs)} ms; ` +
      `linearizable reads at ${leader.name}: ${linearizable.describe()}; local ones: ${local.describe()}`,
  );
  linearizable.close();
  local.close();
}

describe('a leader that is stopped and goes on', () => {
  it(
    'gives no stale linearizable read, after 10 s and after shorter pauses',
    run('pause', async (own) => {
      const nodes = await own.cluster(3);
      const load = own.load(nodes);
      await load.more();
      for (const pauseMs of [700, 10_000, 1_500]) {
        await pauseLeader(own, nodes, load, pauseMs);
        await load.more();
      }
      await expectAllKept(nodes, load);
      tell(load.describe());
    }),
    240_000,
  );
});
