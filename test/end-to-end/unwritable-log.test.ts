import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { freePorts } from '../cluster/free-ports.js';
import { hasLogged } from '../logging/logged-lines.js';
import { compile, runGolog, Scratch, ServerProcess } from './golog-process.js';

const scratch = new Scratch();
beforeAll(compile, 120_000);
afterAll(() => scratch.remove());

/** Starts a node whose standard error is that file, and waits until it is ready. */
async function serve(dataDir: string, stderr: string): Promise<{ node: ServerProcess; rpcAddr: string }> {
  const [rpcPort, httpPort] = await freePorts(2);
  const through = ['sh', '-c', 'exec 2>"$0" && exec "$@"', stderr];
  const node = ServerProcess.spawn(dataDir, `${rpcPort}`, ['--http-port', `${httpPort}`], { through });
  let ended = false;
  void node.finished.then(() => (ended = true));
  for (;;) {
    if (ended) throw new Error('the node ended');
    const answer = await fetch(`http://127.0.0.1:${httpPort}/readyz`).catch(() => undefined);
    if (answer?.status === 200) return { node, rpcAddr: `127.0.0.1:${rpcPort}` };
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function expectToServe({ node, rpcAddr }: { node: ServerProcess; rpcAddr: string }): Promise<void> {
  expect((await runGolog(['produce', '--addr', rpcAddr], 'a\n')).code).toBe(0);
  expect((await runGolog(['consume', '--addr', rpcAddr])).stdout).toBe('a\n');
  expect(await node.stop()).toBe(0);
}

const isLinux = process.platform === 'linux';
if (!isLinux) console.warn('skipped: /dev/full is a device of Linux');

(isLinux ? it : it.skip)(
  'F12: a node whose log has no space serves, and stops in order',
  async () => {
    await expectToServe(await serve(scratch.file('full'), '/dev/full'));
  },
  60_000,
);

it('F12, A14: a node whose log nobody reads serves, and stops in order', async () => {
  const pipe = scratch.file('pipe');
  execFileSync('mkfifo', [pipe]);
  const ends = openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK);
  const filler = 'x'.repeat(1_024);
  const untilEagain = (act: () => void): void => {
    for (;;)
      try {
        act();
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return;
        throw error;
      }
  };
  untilEagain(() => writeSync(ends, filler));
  const serving = await serve(scratch.file('unread'), pipe);
  const drained = Buffer.alloc(1 << 16);
  let text = '';
  untilEagain(() => (text += drained.toString('utf8', 0, readSync(ends, drained))));
  while (!hasLogged(text.replace(/^x+/, ''), 'serving')) {
    untilEagain(() => (text += drained.toString('utf8', 0, readSync(ends, drained))));
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  untilEagain(() => writeSync(ends, filler));
  await expectToServe(serving);
  closeSync(ends);
}, 60_000);
