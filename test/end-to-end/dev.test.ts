import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { compile, GologProcess, runGolog, Scratch } from './golog-process.js';

const scratch = new Scratch();
/** The nodes are in process groups of their own: a killed `golog dev` would leave them behind. */
const pidsSeen = new Set<number>();

beforeAll(compile, 120_000);
afterAll(() => {
  for (const pid of [...pidsSeen].filter(isAlive)) process.kill(pid, 'SIGKILL');
  scratch.remove();
});

/** Not even as one that ended and that nobody has waited for. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return process.platform !== 'linux' || !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

interface View {
  readonly ready: boolean;
  readonly leader?: string;
  readonly term?: number;
  readonly nodes: readonly {
    readonly node: string;
    readonly pid?: number;
    readonly role: string;
    readonly state?: string;
    readonly highWatermark?: number;
    readonly lag?: number;
    readonly rpcAddr: string;
  }[];
}

class DevProcess extends GologProcess {
  constructor(directory: string, ...flags: readonly string[]) {
    super(['dev', '--dir', directory, ...flags]);
    for (const stream of [this.child.stdout, this.child.stderr]) stream!.setMaxListeners(0);
  }

  /** The first state printed so far, or later, that is as wanted. */
  view(what: string, wanted: (view: View) => boolean): Promise<View> {
    return this.until(what, ({ stdout }) => {
      const views = stdout
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line) as View);
      for (const { pid } of views.flatMap(({ nodes }) => nodes)) if (pid !== undefined) pidsSeen.add(pid);
      return views.find(wanted);
    });
  }
}

const freePorts = ['--rpc-port', '0', '--http-port', '0'];

describe('golog dev', () => {
  it('runs three nodes, shows a fail-over, stops them in order, and goes on with the same cluster', async () => {
    const directory = scratch.file('three');
    const first = new DevProcess(directory, '--nodes', '3', ...freePorts, '--json', '--', '--tick-interval', '50ms');
    const ready = await first.view('it was ready', (view) => view.ready);
    expect(ready.nodes.map(({ node, role, state }) => [node, role, state])).toEqual([
      ['n1', 'leader', 'self'],
      ['n2', 'voter', 'replicating'],
      ['n3', 'voter', 'replicating'],
    ]);
    const [n1, n2] = ready.nodes;
    expect(await runGolog(['produce', '--addr', n1.rpcAddr], 'a\nb\nc\n')).toMatchObject({ code: 0 });
    await first.view('all had it', ({ nodes }) =>
      nodes.every(({ highWatermark, lag }) => highWatermark === 3 && lag === 0),
    );

    process.kill(n1.pid!, 'SIGKILL');
    const after = await first.view('another led', ({ leader, term }) => leader !== 'n1' && term! > ready.term!);
    expect(after.nodes[0]).toMatchObject({ role: 'down', state: 'killed by SIGKILL' });
    expect(after.nodes[0].pid).toBeUndefined();
    expect(after.ready).toBe(false);

    first.kill('SIGINT');
    expect(await first.finished).toMatchObject({ code: 0, stderr: '' });
    expect([...pidsSeen].filter(isAlive)).toEqual([]);

    const again = new DevProcess(directory);
    const addresses = await again.until('it was ready', ({ stdout }) =>
      /ready after [\d.]+ s\n/.test(stdout) ? [...stdout.matchAll(/ is up, pid (\d+), gRPC (\S+),/g)] : undefined,
    );
    for (const [, pid] of addresses) pidsSeen.add(Number(pid));
    expect(addresses.map(([, , address]) => address).sort()).toEqual(ready.nodes.map(({ rpcAddr }) => rpcAddr).sort());
    expect((await runGolog(['consume', '--addr', n2.rpcAddr])).stdout).toBe('a\nb\nc\n');
    again.kill('SIGTERM');
    expect((await again.finished).code).toBe(0);
    expect([...pidsSeen].filter(isAlive)).toEqual([]);
  }, 90_000);

  it('kills the nodes at a second Ctrl-C', async () => {
    const dev = new DevProcess(scratch.file('twice'), '--nodes', '1', ...freePorts);
    const pid = Number(await dev.until('it was up', ({ stdout }) => /pid (\d+)/.exec(stdout)?.[1]));
    pidsSeen.add(pid);
    process.kill(pid, 'SIGSTOP');
    dev.kill('SIGINT');
    await dev.until('it was stopping', ({ stdout }) => (stdout.includes('\nstopping') ? true : undefined));
    dev.kill('SIGINT');
    expect((await dev.finished).code).toBe(130);
    while (isAlive(pid)) await pause(10);
  }, 60_000);

  it('shows the end of the log of a node that cannot start, and stops the others', async () => {
    const holder = createServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
    const { port } = holder.address() as { port: number };
    try {
      const dev = await runGolog(
        ['dev', '--nodes', '1', '--dir', scratch.file('taken')].concat('--rpc-port', `${port}`, '--http-port', '0'),
      );
      expect(dev.code).toBe(1);
      expect(dev.stderr).toMatch(/^golog dev: n1 could not start, it exited with 1: .*n1\.log\n/);
      expect(dev.stderr).toMatch(new RegExp(`cannot listen on 127\\.0\\.0\\.1:${port}`));
    } finally {
      holder.close();
    }
  }, 60_000);

  it('keeps what else is in its directory, and refuses flags that another cluster would need', async () => {
    const directory = scratch.file('mixed');
    mkdirSync(directory);
    writeFileSync(`${directory}/notes`, 'mine');
    for (const flags of [[], ['--reset']]) {
      const dev = new DevProcess(directory, '--nodes', '1', ...freePorts, '--json', ...flags);
      await dev.view('it was ready', (view) => view.ready);
      dev.kill('SIGINT');
      expect((await dev.finished).code).toBe(0);
    }
    expect(readFileSync(`${directory}/notes`, 'utf8')).toBe('mine');
    const other = await runGolog(['dev', '--nodes', '3', '--dir', directory]);
    expect([other.code, other.stderr]).toEqual([2, expect.stringMatching(/contains a cluster of 1 .*--reset/)]);
    expect((await runGolog(['dev', '--nodes', '2'])).code).toBe(2);
  }, 60_000);
});
