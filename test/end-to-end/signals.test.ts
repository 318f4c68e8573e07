import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { compile, runGolog, Scratch, ServerProcess } from './golog-process.js';

const scratch = new Scratch();
beforeAll(compile, 120_000);
afterAll(() => scratch.remove());

it.each(['SIGHUP', 'SIGUSR1'] as const)(
  'F14, F15: a node goes on after %s, without TLS and policy, and opens no inspector',
  async (signal) => {
    const node = await ServerProcess.start(scratch.file(signal));
    node.kill(signal);
    expect((await runGolog(['produce', '--addr', node.rpcAddr], 'a\n')).code).toBe(0);
    expect(node.stderr).not.toMatch(/Debugger listening/);
    expect(await node.stop()).toBe(0);
  },
  60_000,
);
