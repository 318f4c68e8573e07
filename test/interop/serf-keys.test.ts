import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { UnavailableError } from '../../src/application/errors.js';
import { tell } from '../cluster/deadline.js';
import { GossipNode, closeNodes } from './gossip-node.js';
import { SerfAgent, endAgents, withoutSerf } from './serf-agent.js';
import { inTime, testMs, untilStatuses } from './statuses.js';

if (withoutSerf !== undefined) tell(`encrypted gossip with Debian's serf is skipped: ${withoutSerf}`);

const firstKey = 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=';
const secondKey = 'EBESExQVFhcYGRobHB0eHw==';
const names = ['a1', 'a2', 'g1', 'g2', 'g3'];
/** The other agent got its key by -encrypt. */
const namesWithFile = ['a1', 'g1', 'g2', 'g3'];

jest.setTimeout(testMs);

(withoutSerf === undefined ? describe : describe.skip)('encrypted gossip of three nodes and two agents of serf', () => {
  const directory = mkdtempSync(join(tmpdir(), 'golog-serf-keys-'));
  const keyringPath = (name: string): string => join(directory, `${name}.json`);
  const keysOf = (name: string): unknown => JSON.parse(readFileSync(keyringPath(name), 'utf8'));
  let agents: SerfAgent[];
  let nodes: GossipNode[];

  beforeAll(async () => {
    writeFileSync(keyringPath('a1'), JSON.stringify([firstKey]));
    const a1 = await SerfAgent.start({ name: 'a1', keyringPath: keyringPath('a1') });
    const a2 = await SerfAgent.start({ name: 'a2', encryptKey: firstKey, join: a1.addr });
    agents = [a1, a2];
    nodes = [];
    for (const name of ['g1', 'g2', 'g3']) {
      const node = await GossipNode.start(name, { encryptKey: firstKey, keyringPath: keyringPath(name) });
      await node.join(a1.addr);
      nodes.push(node);
    }
  });

  afterAll(async () => {
    await closeNodes();
    await endAgents();
    rmSync(directory, { recursive: true });
  });

  const allSeeAll = async (): Promise<void> => {
    const wanted = names.map((name) => `${name} alive`);
    for (const agent of agents) await untilStatuses('an agent', wanted, () => agent.statuses());
    for (const node of nodes) await untilStatuses(node.name, wanted, () => node.statuses());
  };

  /** Again where one member did not hear of it. */
  const keys = (...args: readonly string[]): Promise<string> =>
    inTime(`serf keys ${args.join(' ')} at all`, async () => {
      const { ok, output } = (await agents[0]?.try('keys', ...args)) ?? {};
      return ok && output.replace(/ +/g, ' ');
    });

  it('works with the key', allSeeAll);

  it('does not without it, nor with another', async () => {
    const [a1] = agents;
    const [g1] = nodes;
    for (const options of [{}, { encryptKey: secondKey }]) {
      const stranger = await GossipNode.start('stranger', options);
      await expect(stranger.join(a1?.addr ?? '')).rejects.toBeInstanceOf(UnavailableError);
      await expect(stranger.join(g1?.addr ?? '')).rejects.toBeInstanceOf(UnavailableError);
      expect(stranger.statuses()).toEqual(['stranger alive']);
      await stranger.close();
    }
    const agent = await SerfAgent.start({ name: 'stranger' });
    const { ok, output } = await agent.try('join', g1?.addr ?? '');
    expect([ok, output]).toEqual([undefined, expect.stringContaining('Error joining')]);
    expect(await agent.statuses()).toEqual(['stranger alive']);
    await agent.kill();
    await allSeeAll();
  });

  it('serf keys rotates the key of all', async () => {
    expect(await keys('-list')).toContain(`${firstKey} [5/5]`);
    await keys(`-install=${secondKey}`);
    expect(await keys('-list')).toContain(`${secondKey} [5/5]`);
    await keys(`-use=${secondKey}`);
    await keys(`-remove=${firstKey}`);
    const list = await keys('-list');
    expect(list).toContain(`${secondKey} [5/5]`);
    expect(list).not.toContain(firstKey);
    for (const name of namesWithFile) expect(keysOf(name)).toEqual([secondKey]);
    await allSeeAll();
  });

  it('a node that comes back has the new key, from its file', async () => {
    const [, g2] = nodes;
    await g2?.gossip.leave();
    await g2?.close();
    const again = await GossipNode.start('g2', { keyringPath: keyringPath('g2'), encryptKey: firstKey });
    nodes = nodes.map((node) => (node === g2 ? again : node));
    await again.join(agents[0]?.addr ?? '');
    await allSeeAll();
  });

  it('refuses to remove the key in use, and a key that is none', async () => {
    const removed = await agents[1]?.try('keys', `-remove=${secondKey}`);
    expect(removed?.ok).toBeUndefined();
    expect(removed?.output).toContain('removing the primary key is not allowed');
    for (const name of namesWithFile) expect(keysOf(name)).toEqual([secondKey]);
  });
});
