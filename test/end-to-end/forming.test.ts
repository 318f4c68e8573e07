import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ClusterClient } from '../../src/client/index.js';
import { compile, runGolog, Scratch, ServerProcess } from './golog-process.js';
import { hasLogged } from '../logging/logged-lines.js';

const scratch = new Scratch();
const freePorts = ['--rpc-port', '0', '--http-port', '0', '--bind-addr', '127.0.0.1:0'];

beforeAll(compile, 120_000);
afterAll(() => scratch.remove());

/** Asks until the cluster is as it should be. */
async function settled(address: string, voters: number): Promise<string[]> {
  const client = new ClusterClient([address]);
  const deadline = Date.now() + 30_000;
  try {
    for (;;) {
      const { members } = await client.status({ signal: AbortSignal.timeout(5_000) });
      const voting = members.filter(({ role }) => role !== 'learner');
      if (voting.length === voters) return voting.map(({ name }) => name).sort();
      if (Date.now() > deadline) throw new Error(`not ${voters} voters: ${JSON.stringify(members)}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  } finally {
    client.close();
  }
}

describe('a cluster of processes', () => {
  it('forms from one that begins it and others that are told where that is, and goes on without being told', async () => {
    const first = await ServerProcess.start(scratch.file('a1'), undefined, ['--node-name', 'a1', '--bootstrap']);
    const join = ['--start-join-addrs', first.gossipAddr];
    const others = await Promise.all(
      ['a2', 'a3'].map((name) => ServerProcess.start(scratch.file(name), undefined, ['--node-name', name, ...join])),
    );
    expect(await settled(others[1].rpcAddr, 3)).toEqual(['a1', 'a2', 'a3']);
    await Promise.all([first, ...others].map((server) => server.stop()));
    const again = await Promise.all(
      [first, ...others].map((server, i) =>
        ServerProcess.start(scratch.file(`a${i + 1}`), server, ['--node-name', `a${i + 1}`]),
      ),
    );
    expect(await settled(again[0].rpcAddr, 3)).toEqual(['a1', 'a2', 'a3']);
    for (const server of again) expect(await server.stop()).toBe(0);
  }, 120_000);

  it('learns where a member is that came back on another port under another name', async () => {
    const before = await ServerProcess.start(scratch.file('moved'), undefined, ['--node-name', 'old']);
    await before.stop();
    const after = await ServerProcess.start(scratch.file('moved'), undefined, ['--node-name', 'new']);
    const client = new ClusterClient([after.rpcAddr]);
    try {
      for (;;) {
        const { members } = await client.status({ signal: AbortSignal.timeout(5_000) });
        if (members[0].name !== 'new') continue;
        expect(members).toMatchObject([{ id: 1, name: 'new', rpcAddr: after.rpcAddr }]);
        break;
      }
    } finally {
      client.close();
      await after.stop();
    }
  }, 60_000);

  it('is never begun anew by a node that has lost the knowledge of its own', async () => {
    const directory = scratch.file('lost');
    await (await ServerProcess.start(directory)).stop();
    rmSync(join(directory, 'raft', 'snapshot'));
    const { code, stderr } = await runGolog(['serve', ...freePorts, '--data-dir', directory]);
    expect(code).toBe(1);
    expect(stderr).toContain('raft/snapshot is missing: this node no longer knows its cluster');
  }, 60_000);

  it('may be waited for, and the wait ended', async () => {
    const args = ['--data-dir', scratch.file('waits'), ...freePorts];
    const server = new ServerProcess(['serve', ...args, '--start-join-addrs', '127.0.0.1:1']);
    await server.until('it waited', ({ stderr }) => (hasLogged(stderr, 'no_node_known') ? true : undefined));
    expect(await server.stop()).toBe(0);
  }, 60_000);
});
