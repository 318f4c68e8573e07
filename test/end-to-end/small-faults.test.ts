import { createServer } from 'node:net';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { freePort } from '../cluster/free-ports.js';
import { loggedLines } from '../logging/logged-lines.js';
import { compile, runGolog, Scratch, ServerProcess } from './golog-process.js';

const scratch = new Scratch();
beforeAll(compile, 120_000);
afterAll(() => scratch.remove());

describe('F34: a node', () => {
  it('whose gossip port is in use says which option to change, without a stack', async () => {
    const port = await freePort();
    const taken = createServer().listen(port, '127.0.0.1');
    await once(taken, 'listening');
    const flags = ['--data-dir', scratch.file('taken'), '--rpc-port', '0', '--http-port', '0'];
    const { code, stderr } = await runGolog(['serve', ...flags, '--bind-addr', `127.0.0.1:${port}`]);
    taken.close();
    expect(code).toBe(1);
    const reason = expect.stringMatching(
      new RegExp(`cannot listen on 127.0.0.1:${port} \\(--bind-addr\\): .*EADDRINUSE`),
    );
    expect(loggedLines(stderr, 'start_failed')).toEqual([expect.objectContaining({ reason })]);
    expect(stderr).not.toMatch(/ {4}at /);
  }, 60_000);

  it('writes its name into every log line, and answers /ui/ as /ui', async () => {
    const node = await ServerProcess.start(scratch.file('named'), undefined, ['--node-name', 'n7']);
    expect((await fetch(`http://${node.httpAddr}/ui/`)).status).toBe(200);
    expect(await node.stop()).toBe(0);
    const lines = node.stderr.trim().split('\n');
    expect(lines.length).toBeGreaterThan(3);
    for (const line of lines) expect(JSON.parse(line)).toMatchObject({ node: 'n7' });
  }, 60_000);
});
