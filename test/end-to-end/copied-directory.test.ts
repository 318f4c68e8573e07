import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { ClusterClient, type ClusterStatus, LogClient, Producer, RecordBatchBuilder } from '../../src/client/index.js';
import { compile, Scratch, ServerProcess } from './golog-process.js';
import { hasLogged, loggedLines } from '../logging/logged-lines.js';

const scratch = new Scratch();
const names = ['n1', 'n2', 'n3'];
let servers: ServerProcess[];

beforeAll(compile, 120_000);
afterAll(() => scratch.remove());

async function statusAt(address: string): Promise<ClusterStatus> {
  const client = new ClusterClient([address]);
  try {
    return await client.status({ signal: AbortSignal.timeout(5_000) });
  } finally {
    client.close();
  }
}

/** Resolves with the status once the condition holds at that node. */
async function settled(address: string, holds: (status: ClusterStatus) => boolean): Promise<ClusterStatus> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const status = await statusAt(address);
    if (holds(status)) return status;
    if (Date.now() > deadline) throw new Error(`never: ${JSON.stringify(status)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const allVote = ({ members }: ClusterStatus): boolean => members.filter(({ role }) => role !== 'learner').length === 3;

async function append(value: string): Promise<void> {
  const clients = servers.map(({ rpcAddr }) => LogClient.connect(rpcAddr));
  const producer = await Producer.open(clients);
  const builder = new RecordBatchBuilder(1_024);
  builder.add({ value: Buffer.from(value) });
  await producer.send(builder.take()!);
  await producer.flush();
  producer.close();
  for (const client of clients) client.close();
}

function copyOf(name: string): string {
  const copy = scratch.file(`copy-of-${name}`);
  rmSync(copy, { recursive: true, force: true });
  cpSync(scratch.file(name), copy, { recursive: true, filter: (path) => !path.endsWith('.sock') });
  rmSync(join(copy, 'LOCK'), { force: true });
  return copy;
}

const statesOf = ({ stderr }: ServerProcess): unknown[] =>
  loggedLines(stderr, 'readiness_changed').map(({ state }) => state);

it('a copy of the directory of a member that runs takes no seat, and both are told', async () => {
  const first = await ServerProcess.start(scratch.file('n1'), undefined, ['--node-name', 'n1', '--bootstrap']);
  const joining = ['--start-join-addrs', first.gossipAddr];
  const others = ['n2', 'n3'].map((name) =>
    ServerProcess.start(scratch.file(name), undefined, ['--node-name', name, ...joining]),
  );
  servers = [first, ...(await Promise.all(others))];
  await append('before');
  const before = await settled(first.rpcAddr, allVote);
  for (const name of names) {
    const server = servers[names.indexOf(name)];

    const renamed = ServerProcess.spawn(copyOf(name), '0', ['--node-name', 'n9', ...joining]);
    const { code, stderr } = await renamed.finished;
    expect([name, code]).toEqual([name, 1]);
    expect(stderr).toContain(`is that of the member ${name}, which is alive at ${server.rpcAddr}`);

    const twin = ServerProcess.spawn(copyOf(name), '0', ['--node-name', name, ...joining]);
    await twin.until('it waited', ({ stderr }) => hasLogged(stderr, 'member_running_elsewhere') || undefined);
    await twin.until('it said so', (each) => statesOf(each).includes('running-elsewhere') || undefined);
    expect(twin.stderr).toContain(`is alive at ${server.rpcAddr}`);
    await server.until('it was told', ({ stderr }) => (hasLogged(stderr, 'data_directory_copied') ? true : undefined));
    await append(`beside a copy of ${name}`);
    expect(await twin.stop()).toBe(0);
    expect(statesOf(twin)).not.toContain('ready');
  }
  const after = await settled(first.rpcAddr, allVote);
  expect(after.members.map(({ id, name, rpcAddr }) => [id, name, rpcAddr])).toEqual(
    before.members.map(({ id, name, rpcAddr }) => [id, name, rpcAddr]),
  );
}, 120_000);

it('a member that moves is back at once where it was, and soon where it is now', async () => {
  for (const name of names) {
    const i = names.indexOf(name);
    const { rpcAddr } = servers[i];
    await servers[i].killNine();
    servers[i] = await ServerProcess.start(scratch.file(name), servers[i], ['--node-name', name]);
    expect(hasLogged(servers[i].stderr, 'member_running_elsewhere')).toBe(false);
    await servers[i].killNine();
    servers[i] = await ServerProcess.start(scratch.file(name), undefined, ['--node-name', name]);
    expect(servers[i].rpcAddr).not.toBe(rpcAddr);
    await settled(servers[(i + 1) % 3].rpcAddr, (status) =>
      status.members.some(
        (member) =>
          member.name === name &&
          member.rpcAddr === servers[i].rpcAddr &&
          ['replicating', 'self'].includes(member.state),
      ),
    );
    await append(`after ${name} moved`);
  }
  for (const server of servers) expect(await server.stop()).toBe(0);
}, 120_000);
