import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { tell } from '../cluster/deadline.js';
import { freePort } from '../cluster/free-ports.js';
import { compile } from '../end-to-end/golog-process.js';
import { GossipNode, closeNodes } from './gossip-node.js';
import { GossipProcess, endGossipProcesses } from './gossip-process.js';
import { SerfAgent, endAgents, withoutSerf } from './serf-agent.js';
import { inTime, testMs, untilStatuses } from './statuses.js';

if (withoutSerf !== undefined) tell(`failures beside Debian's serf are skipped: ${withoutSerf}`);

const stopMs = 2000;

jest.setTimeout(testMs);

(withoutSerf === undefined ? describe : describe.skip)('two nodes and two agents of serf', () => {
  const directory = mkdtempSync(join(tmpdir(), 'golog-serf-'));
  let a1: SerfAgent;
  let a2: SerfAgent;
  let g1: GossipNode;
  let g2: GossipProcess;
  let g2Addr: string;

  beforeAll(async () => {
    compile();
    a1 = await SerfAgent.start({ name: 'a1' });
    a2 = await SerfAgent.start({ name: 'a2', join: a1.addr });
    g1 = await GossipNode.start('g1');
    await g1.join(a1.addr);
    g2Addr = `127.0.0.1:${await freePort()}`;
    g2 = await startG2(a1.addr);
    await allSee('a1 alive', 'a2 alive', 'g1 alive', 'g2 alive');
  });

  afterAll(async () => {
    await closeNodes();
    await endGossipProcesses();
    await endAgents();
    rmSync(directory, { recursive: true });
  });

  const startG2 = (joined?: string): Promise<GossipProcess> =>
    GossipProcess.start({
      name: 'g2',
      bindAddr: g2Addr,
      tags: { role: 'log' },
      snapshotPath: join(directory, 'g2.snapshot'),
      ...(joined !== undefined && { join: joined }),
    });

  const allSee = async (...wanted: readonly string[]): Promise<void> => {
    await untilStatuses('a1', wanted, () => a1.statuses());
    await untilStatuses('g1', wanted, () => g1.statuses());
  };

  it('a node that stands still for two seconds is suspected, and refutes it', async () => {
    const before = a1.output.length;
    g2.signal('SIGSTOP');
    await delay(stopMs);
    await inTime('an agent to suspect the node', () =>
      /memberlist: Suspect g2 has failed/.test(a1.output.slice(before) + a2.output) ? true : undefined,
    );
    g2.signal('SIGCONT');
    // Longer than the suspicion would take to become a failure.
    await delay(5000);
    expect(a1.output.slice(before)).not.toContain('member-failed');
    await allSee('a1 alive', 'a2 alive', 'g1 alive', 'g2 alive');
  });

  it('an agent that stands still for two seconds is not failed', async () => {
    const seen = new Set<string>();
    const stop = g1.gossip.onChange(() => {
      for (const status of g1.statuses()) seen.add(status);
    });
    a2.signal('SIGSTOP');
    await delay(stopMs);
    a2.signal('SIGCONT');
    await delay(5000);
    stop();
    expect([...seen]).not.toContain('a2 failed');
    await allSee('a1 alive', 'a2 alive', 'g1 alive', 'g2 alive');
  });

  it('who is killed is failed, and alive when it comes back, without being told whom to join', async () => {
    await g2.kill();
    await allSee('a1 alive', 'a2 alive', 'g1 alive', 'g2 failed');
    g2 = await startG2();
    await untilStatuses('g2', ['a1 alive', 'a2 alive', 'g1 alive', 'g2 alive'], () => g2.statuses);
    await allSee('a1 alive', 'a2 alive', 'g1 alive', 'g2 alive');
    await a2.kill();
    await allSee('a1 alive', 'a2 failed', 'g1 alive', 'g2 alive');
    a2 = await SerfAgent.start({ name: 'a2', bindAddr: a2.addr, join: g2Addr });
    await allSee('a1 alive', 'a2 alive', 'g1 alive', 'g2 alive');
  });
});
