import { describe, expect, it } from '@jest/globals';
import type { ClientTls } from '../../src/client/index.js';
import { hasLogged, loggedLines } from '../logging/logged-lines.js';
import { clusterTests } from './fixture.js';
import { isSecured } from './security.js';
import { claimAll, joins, seatsOf } from './seat-claims.js';
import { expectAllKept } from './verdict.js';

const run = clusterTests();
const names = ['n1', 'n2', 'n3'];

describe('A3: callers of Join that know the UUIDs of the members', () => {
  it(
    'get no seat, not even one whose member is down and has a certificate; each is audited, and the cluster goes on',
    run('claimed-seats', async (own) => {
      own.refuses();
      const nodes = await own.cluster(3);
      const load = own.load(nodes);
      await load.more();
      const before = await nodes.voters(names);
      const leader = await nodes.leader();
      const [down] = await nodes.followers();
      const claim = async (tls?: ClientTls): Promise<void> => {
        // Without certificates, the UUID of a member that does not answer is all that it can prove.
        const { members } = before;
        const claimed = isSecured ? members : members.filter(({ name }) => nodes.node(name).isUp);
        const up = nodes.nodes.filter(({ isUp }) => isUp).map(({ address }) => address);
        const answers = await claimAll(up, { ...before, members: claimed }, joins(tls), [undefined, 'stranger', 'n4']);
        expect(answers.length).toBeGreaterThan(0);
        expect(answers.filter(({ kind }) => kind === 'joined' || kind === 'waiting')).toEqual([]);
      };
      const callers = [own.nodeTls('stranger'), own.nodeTls('n4')];
      for (const tls of isSecured ? callers : [undefined]) await claim(tls);
      const voters = await nodes.voters(names);
      expect([seatsOf(voters), voters.leader]).toEqual([seatsOf(before), before.leader]);
      const audit = nodes.nodes.flatMap(({ output }) => output.split('\n').filter((line) => line.includes('"audit":')));
      const refused = audit.filter((line) => /"audit":"join".*"decision":"refused"/.test(line));
      for (const { uuid } of before.members) expect(refused.filter((line) => line.includes(uuid))).not.toEqual([]);
      if (isSecured) expect(audit.join('\n')).toContain('golog://main/node/stranger');

      await down.killNine();
      await load.more();
      for (const tls of isSecured ? callers : [undefined]) await claim(tls);
      await leader.killNine();
      await down.start();
      await load.more();
      await leader.start();
      await Promise.all(nodes.nodes.map((node) => node.killNine()));
      await Promise.all(nodes.nodes.map((node) => node.start()));
      await load.more();
      await nodes.replicating(3);
      expect(seatsOf(await nodes.voters(names))).toEqual(seatsOf(before));
      for (const { output } of nodes.nodes) {
        expect(hasLogged(output, 'fatal_error')).toBe(false);
        expect(loggedLines(output, 'removed_from_cluster')).toEqual([]);
      }
      await expectAllKept(nodes, load);
    }),
    240_000,
  );
});
