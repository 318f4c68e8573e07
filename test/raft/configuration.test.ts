import { describe, expect, it } from '@jest/globals';
import { crc32c } from '../../src/adapters/checksum/crc32c.js';
import { firstConfiguration, peersOf } from '../../src/application/configuration/configuration.js';
import { ConfigurationFile } from '../../src/application/configuration/configuration-file.js';
import { Group, memberOf, records } from './group.js';

const forever = new AbortController().signal;
const names = ['n1', 'n2', 'n3'];

describe('a node that crashes before it has its first snapshot', () => {
  it('can follow a leader that stores the start of the log, and then one that does not', async () => {
    const retention = (name: string) => (name === 'n1' ? { bytesMax: 4 << 20 } : {});
    const group = await Group.of(names, { segmentBytesMax: 1 << 20, retention });
    // The first entries include configuration changes.
    await group.start('n4');
    const { node } = await group.leader();
    await group.until(() => node.leadership.configuration.confState.voters.length === 4);
    await group.settled((await group.leader()).cluster.removeMember('n4', forever));
    await group.stop('n4');
    await leads(group, 'n1');
    const { log } = group.get('n1');
    for (let i = 0; i < 12; i++) await group.settled(group.get('n1').node.propose(records('x'.repeat(900_000))));
    await group.until(() => log.startOffset > 1);
    // It loses power after its admission, before the first message arrives.
    for (const id of [1, 2, 3]) group.network.cut(id, 5);
    await group.start('n5');
    await group.crash('n5');
    await leads(group, 'n2');
    group.network.heal();
    await group.start('n5');
    await group.until(() => group.get('n5').node.highWatermark === 12);
    expect(group.get('n5').fatal).toEqual([]);
    expect(group.get('n5').node.leadership.configuration).toEqual(group.get('n2').node.leadership.configuration);
    // It can follow either leader.
    await leads(group, 'n1');
    await group.start('n6');
    await group.until(() => group.get('n6').node.highWatermark === 12);
    expect(group.get('n6').node.leadership.configuration).toEqual(group.get('n1').node.leadership.configuration);
  }, 60_000);
});

describe('a node that crashes while it takes a snapshot', () => {
  it('uses the configuration of the snapshot only once its log is stored', async () => {
    const group = await Group.of(names);
    const lagging = group.follower().member.name;
    await group.leader();
    await group.stop(lagging);
    await group.start('n4');
    await group.start('n5');
    const leader = await group.leader();
    await group.until(() => leader.node.leadership.configuration.confState.voters.length === 5);
    await group.settled(leader.cluster.removeMember('n4', forever));
    await group.settled(leader.node.propose(records('a')));
    const file = await ConfigurationFile.open(group.disk(lagging).raft, crc32c);
    await file.add(leader.node.leadership.configuration, leader.node.leadership.lastIndex + 1);
    const { node } = await group.start(lagging);
    await group.until(() => node.highWatermark === leader.node.highWatermark);
    expect(await historyOf(group, lagging)).toEqual(await historyOf(group, leader.member.name));
  });
});

describe('a node that was just admitted', () => {
  it('reaches the members at their current addresses, not at those of the first configuration', () => {
    const [first, moved] = [memberOf('n1', 1), { ...memberOf('n1', 1), rpcAddr: 'n1:9400' }];
    const stored = { id: 2, contacts: [moved, memberOf('n2', 2)], history: [firstConfiguration(first)] };
    expect(peersOf({ stored, current: firstConfiguration(first) }, 2)).toEqual([moved]);
  });
});

async function historyOf(group: Group, name: string): Promise<unknown> {
  return (await group.storedConfiguration(name))?.history;
}

async function leads(group: Group, name: string): Promise<void> {
  const { cluster, member } = await group.leader();
  if (member.name !== name) await group.settled(cluster.transferLeadership(name, forever));
  await group.until(() => group.get(name).node.leadership.isLeader);
}
