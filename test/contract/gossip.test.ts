import { expect, it } from '@jest/globals';
import { systemClock } from '../../src/adapters/clock/system-clock.js';
import { MemoryGossipNetwork } from '../../src/adapters/memory/memory-gossip.js';
import { SerfGossip } from '../../src/adapters/serf/index.js';
import { lanTiming, type GossipTiming } from '../../src/domain/gossip/timing.js';
import { eventually } from '../cluster/deadline.js';
import { describeGossip } from './gossip.js';
import { RecordingLogger } from '../logging/recording-logger.js';

describeGossip('MemoryGossip', () => {
  const network = new MemoryGossipNetwork(systemClock);
  return (options) => network.node(options);
});

/** A failure is found in one to two seconds. */
const fast: GossipTiming = {
  ...lanTiming,
  probeIntervalMs: 200,
  probeTimeoutMs: 100,
  gossipIntervalMs: 40,
  pushPullIntervalMs: 1000,
  streamTimeoutMs: 2000,
};

describeGossip('SerfGossip', () => {
  const logger = new RecordingLogger();
  return ({ addr = '127.0.0.1:0', ...options }) =>
    new SerfGossip({ bindAddr: addr, timing: fast, clock: systemClock, logger, ...options });
});

it('MemoryGossip reports nodes that are cut off as failed until it heals', async () => {
  const network = new MemoryGossipNetwork(systemClock);
  const [a, b, c] = ['a', 'b', 'c'].map((name) => network.node({ name, tags: new Map() }));
  if (!a || !b || !c) throw new Error('unreachable');
  for (const node of [a, b, c]) await node.start();
  await a.join([b.addr, c.addr], new AbortController().signal);
  const statuses = (): string =>
    [a, b, c]
      .map((node) =>
        node
          .members()
          .map(({ status }) => status[0])
          .join(''),
      )
      .join(' ');
  const until = (wanted: string): Promise<true> =>
    eventually(
      () => `${wanted} instead of ${statuses()}`,
      () => (statuses() === wanted ? true : undefined),
    );
  await until('aaa aaa aaa');
  network.cut('c');
  await until('aaf aaf ffa');
  await expect(c.join([a.addr], new AbortController().signal)).rejects.toThrow();
  network.heal();
  await until('aaa aaa aaa');
});
