import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { loggedLines } from '../logging/logged-lines.js';
import { compile, runGolog, Scratch, ServerProcess } from './golog-process.js';

let scratch: Scratch;
beforeAll(compile, 120_000);
beforeEach(() => {
  scratch = new Scratch();
});
afterEach(() => scratch.remove());

describe('T12: a running node whose lock files are removed', () => {
  it.each(['LOCK', 'raft/hard-state'])(
    'ends within seconds, and meanwhile no second one runs: %s',
    async (file) => {
      const dataDir = scratch.file('data');
      const node = await ServerProcess.start(dataDir);
      expect((await runGolog(['produce', '--addr', node.rpcAddr], 'one\ntwo\n')).code).toBe(0);
      rmSync(join(dataDir, file));
      const second = ServerProcess.spawn(dataDir, '0', []);
      const [first, other] = await Promise.all([
        node.finished,
        Promise.race([second.finished, second.served().then(({ rpcAddr }) => rpcAddr)]),
      ]);
      expect(first.code).not.toBe(0);
      const [{ error }] = loggedLines(first.stderr, 'fatal_error') as { error?: unknown }[];
      expect(JSON.stringify(error)).toContain(`${file} was removed or replaced while this node ran`);
      // It may only have come after the first one ended.
      if (typeof other !== 'string') expect(loggedLines(other.stderr, 'start_failed')).toHaveLength(1);
      second.kill('SIGKILL');
      await second.finished;

      const again = await ServerProcess.start(dataDir);
      const { stdout, code } = await runGolog(['consume', '--addr', again.rpcAddr]);
      expect([code, stdout]).toEqual([0, 'one\ntwo\n']);
      expect(await again.stop()).toBe(0);
    },
    60_000,
  );
});
