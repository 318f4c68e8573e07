import { afterEach, describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../adapters/memory/manual-clock.js';
import type { Gossip, GossipMember } from '../ports/gossip.js';
import { Discovery } from './discovery.js';
import { encodeNodeTags } from './gossip-tags.js';

const [own, sought, foreign] = [1, 2, 3].map((n) => `${n}0000000-0000-4000-8000-000000000000`);
const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const tagsOf = (uuid: string, rpcAddr: string, clusterId?: string) =>
  ({ role: 'node', uuid, rpcAddr, httpAddr: '', version: '', ...(clusterId !== undefined && { clusterId }) }) as const;
const seen = (
  name: string,
  rpcAddr: string,
  status: GossipMember['status'] = 'alive',
  clusterId = own,
): GossipMember => ({
  ...{ name, addr: rpcAddr, status },
  tags: encodeNodeTags(tagsOf(sought, rpcAddr, clusterId)),
});
const member = { id: 2, name: 'n2', uuid: sought, rpcAddr: 'a:1' };

describe('the addresses of a member', () => {
  let discovery: Discovery;
  afterEach(() => discovery.close());

  const locatedAmong = async (members: readonly GossipMember[]): Promise<readonly string[] | undefined> => {
    const nothing = (): Promise<void> => Promise.resolve();
    const gossip: Gossip = {
      ...{ former: [], start: () => Promise.resolve('own:1'), members: () => members, join: () => Promise.resolve(0) },
      ...{ setTags: () => undefined, onChange: () => () => undefined, leave: nothing, close: nothing },
    };
    const rest = { startJoinAddrs: [], clock: new ManualClock(), logger: silent, onFailure: () => undefined };
    discovery = await Discovery.start({ gossip, tags: tagsOf(own, 'own:2', own), ...rest });
    return discovery.locate(member).seenAt;
  };

  it('begin with the one where it was heard last', async () => {
    await locatedAmong([seen('n2', 'b:1')]);
    let changes = 0;
    const stop = discovery.onChange(() => (changes += 1));
    for (const rpcAddr of ['c:1', 'd:1', 'd:1']) discovery.heard(sought, rpcAddr);
    discovery.heard(foreign, 'e:1');
    expect(discovery.locate(member).seenAt).toEqual(['d:1', 'b:1']);
    expect(changes).toBe(3);
    stop();
    discovery.heard(sought, member.rpcAddr);
    expect(discovery.locate(member).seenAt).toEqual(['b:1']);
    expect(changes).toBe(3);
  });

  it.each([
    ['exclude the configured one', [seen('n2', 'a:1')], []],
    ['are those at which gossip sees its UUID', [seen('n2', 'b:1')], ['b:1']],
    [
      'begin with the live node of its name',
      [seen('x', 'c:1'), seen('n2', 'd:1', 'failed'), seen('n2', 'b:1')],
      ['b:1', 'c:1', 'd:1'],
    ],
    ['exclude those of a node of another cluster with its UUID', [seen('n2', 'b:1', 'alive', foreign)], []],
    ['are at most four', [1, 2, 3, 4, 5, 6].map((n) => seen(`x${n}`, `x:${n}`)), ['x:1', 'x:2', 'x:3', 'x:4']],
  ])('%s', async (_what, members, addresses) => {
    expect(await locatedAmong(members)).toEqual(addresses);
  });
});
