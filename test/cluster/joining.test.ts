import { describe, expect, it } from '@jest/globals';
import { hasLogged } from '../logging/logged-lines.js';
import { eventually, tell } from './deadline.js';
import { clusterTests } from './fixture.js';
import { impostorAmong } from './impostors.js';
import { expectAllKept } from './verdict.js';

const run = clusterTests();

describe('a node that joins a live cluster', () => {
  it(
    'A11: gets one seat, however often it begins with an empty disk and is lost before it votes',
    run('one-seat', async (own) => {
      const nodes = await own.cluster(3);
      const load = own.load(nodes);
      await load.more();
      const newcomer = await own.node('n4');
      for (let round = 0; round < 5; round += 1) {
        const started = newcomer.start(nodes.joining).catch(() => undefined);
        await eventually(
          'the node to be admitted',
          () => hasLogged(newcomer.process?.stderr ?? '', 'cluster_joined') || undefined,
        );
        await newcomer.killNine();
        await started;
        newcomer.wipe();
        const { members } = (await (await nodes.leader()).view())!;
        expect(members.filter(({ name }) => name === 'n4').length).toBeLessThanOrEqual(2);
        expect(members.filter(({ name, role }) => name === 'n4' && role === 'learner').length).toBeLessThanOrEqual(1);
      }
      await load.more();
      await newcomer.start(nodes.joining);
      nodes.nodes.push(newcomer);
      await nodes.voters(['n1', 'n2', 'n3', 'n4']);
      await expectAllKept(nodes, load);
    }),
    240_000,
  );

  it(
    'A12: is admitted by those that answer, while one that it asks accepts its connections and says nothing',
    run('silent', async (own) => {
      const nodes = await own.cluster(3);
      const load = own.load(nodes);
      await load.more();
      const [silent] = await nodes.followers();
      const newcomer = await own.node('n4');
      silent.pause();
      await newcomer.start(nodes.joining);
      expect(hasLogged(newcomer.output, 'cluster_joined')).toBe(true);
      nodes.nodes.push(newcomer);
      await load.more();
      silent.resume();
      await nodes.voters(['n1', 'n2', 'n3', 'n4']);
      await nodes.replicating(4);
      await expectAllKept(nodes, load);
    }),
    240_000,
  );

  it.each(['silent', 'refusing'] as const)(
    'A12: is admitted in one round, while a forged member of the gossip is %s',
    async (kind) =>
      run(`impostor-${kind}`, async (own) => {
        const nodes = await own.cluster(3);
        const load = own.load(nodes);
        await load.more();
        const impostor = await impostorAmong(nodes, kind);
        own.atEnd(() => impostor.close());
        // With TLS, nodes refuse an address that speaks in clear.
        own.refuses();
        await eventually('the impostor in the gossip', async () => {
          const views = await Promise.all(nodes.nodes.map((node) => node.view()));
          return views.every((view) => view?.gossip.some(({ name }) => name.startsWith('impostor'))) || undefined;
        });
        const newcomer = await own.node('n4');
        await newcomer.start(nodes.joining);
        tell(`${kind}: called ${impostor.calls()} times before n4 joined`);
        expect(hasLogged(newcomer.output, 'cluster_joined')).toBe(true);
        nodes.nodes.push(newcomer);
        await nodes.voters(['n1', 'n2', 'n3', 'n4']);
        await nodes.replicating(4);
        await expectAllKept(nodes, load);
      })(),
    240_000,
  );
});
