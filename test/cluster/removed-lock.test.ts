import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { runGolog } from '../end-to-end/golog-process.js';
import { hasLogged, loggedLines } from '../logging/logged-lines.js';
import { eventually } from './deadline.js';
import { clusterTests } from './fixture.js';
import { LiveCluster } from './live-cluster.js';

const run = clusterTests();

describe('T12: a running node whose lock files are removed', () => {
  it.each(['LOCK', 'raft/hard-state'])(
    'ends within seconds, and meanwhile no second one runs: %s',
    async (file) =>
      run(`removed ${file.replace('/', '-')}`, async (own) => {
        const { nodes } = await own.cluster(1, [], ({ nodes: [node] }) => node.start(['--bootstrap']));
        const [node] = nodes;
        const { dataDir } = node;
        const produced = await runGolog(['produce', '--addr', node.address, ...own.as('producer')], 'one\ntwo\n');
        expect(produced).toMatchObject({ code: 0 });
        rmSync(join(dataDir, file));
        const second = own.nodeAt(own.secured({ ...(await LiveCluster.place('', node.name)), dataDir }));
        const isSecond = second.start().then(
          () => true,
          () => false,
        );
        const { code, stderr } = await node.process!.finished;
        expect(code).not.toBe(0);
        const [{ error }] = loggedLines(stderr, 'fatal_error') as { error?: unknown }[];
        expect(JSON.stringify(error)).toContain(`${file} was removed or replaced while this node ran`);
        // It may only have come after the first one ended.
        if (!(await isSecond)) expect(loggedLines(second.output, 'start_failed')).toHaveLength(1);
        await second.killNine();

        await node.start();
        await eventually('the node to serve', async () =>
          (await node.info())?.highWatermark === 2 ? true : undefined,
        );
        const { stdout } = await runGolog(['consume', '--addr', node.address, ...own.as('consumer')]);
        expect(stdout).toBe('one\ntwo\n');
        expect(hasLogged(node.process!.stderr, 'fatal_error')).toBe(false);
        expect(await node.stop()).toBe(0);
      })(),
    120_000,
  );
});
