import { describe, expect, it } from '@jest/globals';
import { GologProcess, runGolog } from '../end-to-end/golog-process.js';
import { clusterTests } from './fixture.js';

const run = clusterTests();

/** Lines `from` to `until`, the last one left out. */
function lines(from: number, until: number): string {
  return Array.from({ length: until - from }, (_, n) => `line ${from + n}\n`).join('');
}

describe('golog consume --follow at several servers', () => {
  it(
    'goes on at the next one when the one that it reads from is killed, with no record missing or twice',
    run('consume', async (test) => {
      const nodes = await test.cluster(3);
      const addr = nodes.addresses.join(',');
      const follower = new GologProcess(['consume', '--addr', addr, '--follow', ...test.as('consumer')]);
      test.atEnd(async () => {
        follower.kill('SIGKILL');
        await follower.finished;
      });
      let sent = 0;
      const produce = async (count: number): Promise<void> => {
        const args = ['produce', '--addr', addr, '--quiet', ...test.as('producer')];
        const { code, stderr } = await runGolog(args, lines(sent, sent + count));
        expect({ code, stderr }).toMatchObject({ code: 0 });
        sent += count;
        await follower.until(`${sent} lines`, ({ stdout }) =>
          stdout.length >= lines(0, sent).length ? true : undefined,
        );
        expect(follower.stdout).toBe(lines(0, sent));
      };
      await produce(500);
      for (const node of nodes.nodes) {
        await node.killNine();
        await produce(500);
        await node.start();
      }
      await produce(10);
      expect(follower.stderr).toMatch(/connection lost .*; retrying for up to \d+ s\ngolog consume: resumed\n/);
    }),
    240_000,
  );
});
