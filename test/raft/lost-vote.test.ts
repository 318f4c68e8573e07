import { describe, expect, it } from '@jest/globals';
import { crc32c } from '../../src/adapters/checksum/crc32c.js';
import { HardStateFile } from '../../src/domain/log/hard-state-file.js';
import { toTerm } from '../../src/domain/log/offsets.js';
import { Group, unanswered } from './group.js';
import { names, produce, rest, stopAll } from './vouching-group.js';

describe('a node that lost its vote', () => {
  it.each(['deleted', 'restored'] as const)(
    'grants none in a term that its peers have seen (hard state %s)',
    async (how) => {
      const group = await Group.of(names);
      const leader = await group.leader();
      await produce(group, leader, 0, 3);
      const { member } = group.follower();
      const { name } = member;
      await rest(group);
      const { term } = leader.node.leadership.status.hardState;
      await group.stop(name);
      const { raft } = group.disk(name);
      await raft.remove('hard-state');
      if (how === 'restored') {
        const older = await HardStateFile.open(raft, crc32c);
        await older.save({ ...older.current, term: toTerm(Math.max(0, term - 1)) });
        await older.close();
      }
      // Without a leader nobody tells it the term.
      const back = await group.start(name, { joinTransport: unanswered });
      const current = back.started.hardState.current;
      expect(current.term).toBeGreaterThanOrEqual(term);
      if (current.term === term) expect(current.vote).not.toBe(0);
    },
  );

  it('grants none up to the term of those that answer, if its directory was copied', async () => {
    const group = await Group.of(names);
    const leader = await group.leader();
    await produce(group, leader, 0, 3);
    const { name } = group.follower().member;
    await group.stop(name);
    await rest(group);
    const other = group.follower().member.name;
    await group.settled(leader.cluster.transferLeadership(other, new AbortController().signal));
    const { term } = (await group.leader()).node.leadership.status.hardState;
    // A leader would be heard, and the node with the original disk would have voted for it.
    await group.putBack(name, await group.copyDisk(name));
    const back = await group.start(name, { joinTransport: unanswered });
    const { current } = back.started.hardState;
    expect(current.term).toBeGreaterThanOrEqual(term);
    if (current.term === term) expect(current.vote).not.toBe(0);
  });
});

describe('a node that lost its vote for a candidate', () => {
  const five = [...names, 'n4', 'n5'];

  /** All of them have crashed; n1 asks n2 for its vote in the next term, which no other one knows, and gets it. */
  async function voteOf2(size: number): Promise<{ group: Group; term: number; before: Uint8Array }> {
    const group = await Group.of(five.slice(0, size));
    await produce(group, await group.leader(), 0, 3);
    await rest(group);
    const term = (await group.leader()).node.leadership.status.hardState.term + 1;
    // A leader that stops would transfer leadership, in another term.
    await stopAll(group, 'crash');
    const file = await group.disk('n2').raft.open('hard-state');
    const before = await file.read(0, await file.size());
    for (const name of ['n1', 'n2']) {
      const hardState = await HardStateFile.open(group.disk(name).raft, crc32c);
      await hardState.save({ ...hardState.current, term: toTerm(term), vote: 1 });
      await hardState.close();
    }
    return { group, term, before };
  }

  /** Expects that n2 has no vote left in the term once it takes part, after the others wait for their peers. */
  async function expectNoVote(group: Group, others: readonly string[], term: number): Promise<void> {
    for (const name of others) await group.begin(name, { joinTransport: unanswered });
    const { current } = (await group.start('n2', { joinTransport: unanswered })).started.hardState;
    expect(current.term).toBeGreaterThanOrEqual(term);
    if (current.term === term) expect(current.vote).not.toBe(0);
  }

  it('grants none to another one, although the candidate has lost its notes (hard state restored)', async () => {
    const { group, term, before } = await voteOf2(3);
    const file = await group.disk('n2').raft.open('hard-state');
    await file.write(0, [before]);
    await expectNoVote(group, ['n1', 'n3'], term);
  });

  it('grants none to another one, although the candidate does not answer (hard state deleted)', async () => {
    const { group, term } = await voteOf2(5);
    await group.disk('n2').raft.remove('hard-state');
    await expectNoVote(group, ['n3', 'n4', 'n5'], term);
  });

  it('grants none to another one, although the candidate does not answer (raft directory restored)', async () => {
    const { group, term, before } = await voteOf2(5);
    const file = await group.disk('n2').raft.open('hard-state');
    await file.write(0, [before]);
    await group.putBack('n2', { raft: group.disk('n2').raft });
    await expectNoVote(group, ['n3', 'n4', 'n5'], term);
  });
});
