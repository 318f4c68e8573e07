import { describe, expect, it } from '@jest/globals';
import { hasLogged } from '../logging/logged-lines.js';
import { eventually, tell } from './deadline.js';
import { damageHardState, readVote } from './directory-copies.js';
import { clusterTests } from './fixture.js';
import type { LiveCluster, LiveNode } from './live-cluster.js';
import type { Load } from './load.js';
import { expectAllKept } from './verdict.js';

const run = clusterTests();
const names = ['n1', 'n2', 'n3'];

/** Members of a cluster none of which runs. */
interface LostVote {
  /** Was killed before the last election. */
  readonly behind: LiveNode;
  /** Gave its vote to the last leader, and is to lose it. */
  readonly voter: LiveNode;
  readonly leader: LiveNode;
  readonly vote: { readonly term: number; readonly vote: number };
}

async function electWithout(nodes: LiveCluster, load: Load): Promise<LostVote> {
  await load.more(200);
  const voter = await nodes.leader();
  const [leader, behind] = await nodes.followers();
  await behind.killNine();
  await load.more();
  // It transfers leadership, and votes.
  expect(await voter.stop()).toBe(0);
  await leader.killNine();
  const vote = readVote(voter);
  expect(vote.term).toBeGreaterThan(readVote(behind).term);
  return { behind, voter, leader, vote };
}

const idOf = async (nodes: LiveCluster, { name }: LiveNode): Promise<number> =>
  (await nodes.voters(names)).members.find((member) => member.name === name)!.id;

/** A vote in that term is the one that it gave, or none that anybody else can use. */
function expectNoSecondVote({ voter, vote }: LostVote, id: number): void {
  const now = readVote(voter);
  expect(now.term).toBeGreaterThanOrEqual(vote.term);
  if (now.term === vote.term) expect([vote.vote, id]).toContain(now.vote);
}

describe('T2: a voter that lost its vote, and is asked for one in that term by a member that was away', () => {
  it.each(['the file', 'both slots'] as const)(
    'waits for the leader that it may have elected, since it knows that it lost it: %s',
    async (what) =>
      run(`lost ${what}`, async (own) => {
        const nodes = await own.cluster(3);
        const load = own.load(nodes);
        const lost = await electWithout(nodes, load);
        const { behind, voter, leader } = lost;
        damageHardState(voter, what);
        await Promise.all([voter.start(), behind.start()]);
        await eventually('the voter to say what it waits for', async () => {
          const problem = (await voter.view())?.problem ?? '';
          return problem.includes(leader.name) && problem.includes('(hard state lost)') ? true : undefined;
        });
        // The other one runs Raft, and finds no second vote.
        await eventually(
          'the other to be vouched for',
          () => hasLogged(behind.process!.stderr, 'vouched') || undefined,
        );
        expect(hasLogged(voter.process!.stderr, 'vouched')).toBe(false);
        expect(hasLogged(behind.process!.stderr, 'leader_elected')).toBe(false);
        await leader.start();
        await load.more();
        await nodes.replicating(3);
        expectNoSecondVote(lost, await idOf(nodes, voter));
        await expectAllKept(nodes, load);
      })(),
    240_000,
  );

  it.each(['the newest slot', 'one bit of the newest slot'] as const)(
    'grants none in that term, and the two of them go on: %s',
    async (what) =>
      run(`lost ${what}`, async (own) => {
        const nodes = await own.cluster(3);
        const load = own.load(nodes);
        const lost = await electWithout(nodes, load);
        const { behind, voter, leader, vote } = lost;
        damageHardState(voter, what);
        await Promise.all([voter.start(), behind.start()]);
        await load.more();
        tell(`${what}: ${voter.name} voted in term ${vote.term}; ${behind.name} and it go on in a later one`);
        expect((await (await nodes.leader()).view())?.term).toBeGreaterThan(vote.term);
        expect(hasLogged(voter.process!.stderr, 'hard_state_slot_corrupt')).toBe(true);
        await leader.start();
        await load.more();
        expectNoSecondVote(lost, await idOf(nodes, voter));
        await nodes.replicating(3);
        await expectAllKept(nodes, load);
      })(),
    240_000,
  );
});
