import { describe, expect, it } from '@jest/globals';
import { runGolog } from '../end-to-end/golog-process.js';
import { eventually } from './deadline.js';
import { clusterTests } from './fixture.js';

describe('the settings of a live cluster', () => {
  const inRun = clusterTests();

  it(
    'are the same at every node and replica, and survive a new leader and restarts',
    inRun('settings', async (run) => {
      const nodes = await run.cluster(3);
      const cluster = async (...args: string[]): Promise<string> => {
        const [verb, ...rest] = args;
        const asked = ['--addr', nodes.addresses[1], ...run.as('operator')];
        const { code, stdout, stderr } = await runGolog(['cluster', verb, ...rest, ...asked]);
        if (code !== 0) throw new Error(`golog cluster ${args.join(' ')} exited with ${code}: ${stderr}`);
        return stdout;
      };
      expect(await cluster('set', 'retention-bytes', '64MiB')).toBe('67108864B\n');
      expect(await cluster('set', 'retention-age', '7d')).toBe('7d\n');

      const replica = await run.node('r1');
      await replica.start(['--replica', ...nodes.joining]);
      const agreed = (): Promise<true> =>
        eventually('the same settings at all', async () => {
          const views = await Promise.all([...nodes.nodes, replica].map((node) => node.view()));
          const wanted = { retentionBytes: 67_108_864, retentionAgeMs: 604_800_000, featureLevel: 1 };
          const same = views.every((view) =>
            Object.entries(wanted).every(([name, value]) =>
              Object.entries(view?.settings ?? {}).some(([n, v]) => n === name && v === value),
            ),
          );
          return same ? true : undefined;
        });
      await agreed();

      await (await nodes.leader()).killNine();
      await nodes.leader(nodes.nodes.find(({ isUp }) => !isUp));
      for (const node of nodes.nodes) {
        await node.stop();
        await node.start();
      }
      await agreed();
      expect(await cluster('get', 'retention-age')).toBe('7d\n');
    }),
    120_000,
  );

  it(
    'hold the start of the log: truncate moves it at every node, also at one that is down, and at a replica',
    inRun('truncate', async (run) => {
      const nodes = await run.cluster(3, ['--segment-bytes', '4KiB']);
      const replica = await run.node('r1', ['--segment-bytes', '4KiB']);
      await replica.start(['--replica', ...nodes.joining]);
      const load = run.load(nodes);
      await load.more();
      await load.end();
      await nodes.converged();
      const end = (await nodes.nodes[0].info())!.highWatermark;
      const [down] = await nodes.followers();
      await down.stop();
      const before = end - 1;
      const [address] = nodes.nodes.filter((node) => node !== down).map((node) => node.address);
      const truncate = ['truncate', '--before', String(before), '--addr', address, ...run.as('operator')];
      expect(await runGolog(truncate)).toMatchObject({ code: 2 });
      const { code, stdout } = await runGolog([...truncate, '--yes']);
      expect([code, stdout]).toEqual([0, `the log starts at offset ${before}\n`]);
      await down.start();
      const all = [...nodes.nodes, replica];
      const started = async (): Promise<true> =>
        eventually('the new start at all', async () => {
          const starts = await Promise.all(all.map((node) => node.info()));
          return starts.every((info) => info?.logStartOffset === before) ? true : undefined;
        });
      await started();
      for (const { log } of all)
        await expect(log.read({ from: { offset: before - 1 } })).rejects.toMatchObject({ code: 'OUT_OF_RANGE' });
      for (const node of all) {
        await node.killNine();
        await node.start(node === replica ? ['--replica'] : []);
      }
      await started();
      const auditOf = nodes.nodes.map(({ output }) => output).join('');
      expect(auditOf).toMatch(/"audit":"admin"[^\n]*TruncateLog/);
    }),
    120_000,
  );
});
