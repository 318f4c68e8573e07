import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { sha256Of, writeCorpus } from '../end-to-end/corpus.js';
import { GologProcess } from '../end-to-end/golog-process.js';
import { eventually, tell } from './deadline.js';
import { clusterTests } from './fixture.js';
import type { LiveCluster } from './live-cluster.js';
import { expectFileAtEachNode, expectIdentical } from './verdict.js';

const run = clusterTests();

interface Summary {
  readonly records: number;
  readonly firstOffset: number;
  readonly lastOffset: number;
}

/** The highest watermark that any node shows. */
async function watermarkOf(nodes: LiveCluster): Promise<number> {
  const infos = await Promise.all(nodes.nodes.map((node) => node.info()));
  return Math.max(...infos.map((info) => info?.highWatermark ?? 0));
}

describe('a file of real text through a cluster whose leader is killed twice', () => {
  it.each([
    ['a million lines through a follower, with the others named besides', 'file-all', true, 1_000_000],
    ['through one node alone, which is killed when it leads', 'file-one', false, 200_000],
  ])(
    'comes out of every node as it went in: %s',
    (_, folder, named, linesMin) =>
      run(folder, async (own) => {
        const nodes = await own.cluster(3);
        const [original, copy] = [own.file('original'), own.file('copy')];
        const { lines } = writeCorpus(original, linesMin);
        const [follower] = await nodes.followers();
        const others = nodes.addresses.filter((address) => address !== follower.address);
        const addresses = named ? [follower.address, ...others].join(',') : follower.address;
        const startMs = performance.now();
        const produce = new GologProcess(['produce', '--addr', addresses, '--json', '--quiet', ...own.as('producer')]);
        // In three parts, so that at each kill there is something under way, and something to come.
        const text = readFileSync(original);
        const part = (from: number) => text.subarray((from * text.length) / 3, ((from + 1) * text.length) / 3);
        produce.child.stdin!.write(part(0));
        for (const kill of [1, 2]) {
          await eventually('a tenth of the file since the last kill', async () =>
            (await watermarkOf(nodes)) >= ((kill - 1) / 3 + 0.1) * lines ? true : undefined,
          );
          const leader = await nodes.leader();
          const through = leader === follower ? ', which the command talks to' : '';
          await leader.killNine();
          const killedAtMs = performance.now();
          const before = await watermarkOf(nodes);
          produce.child.stdin!.write(part(kill));
          if (!named && leader === follower) await leader.start();
          await eventually('records after the kill', async () =>
            (await watermarkOf(nodes)) > before ? true : undefined,
          );
          const gapMs = Math.round(performance.now() - killedAtMs);
          tell(`leader ${leader.name} killed at record ${before}${through}: more records after ${gapMs} ms`);
          if (!leader.isUp) await leader.start();
        }
        produce.child.stdin!.end();
        const { code, stdout, stderr } = await produce.finished;
        const seconds = (performance.now() - startMs) / 1_000;
        expect({
          code,
          stderr: stderr.replace(/^golog produce: (no server accepts .*|resumed)\n/gm, ''),
        }).toEqual({ code: 0, stderr: '' });
        expect(JSON.parse(stdout)).toMatchObject({
          records: lines,
          firstOffset: 0,
          lastOffset: lines - 1,
        } satisfies Summary);
        tell(`${lines} lines in ${seconds.toFixed(1)} s; golog produce said: ${stderr.trim()}`);
        await nodes.converged();
        await expectFileAtEachNode(nodes, copy, await sha256Of(original), own.as('consumer'));
        await expectIdentical(nodes, lines);
      })(),
    240_000,
  );
});
