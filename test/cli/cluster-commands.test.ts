import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Command } from 'commander';
import { GrpcServer } from '../../src/adapters/grpc/index.js';
import { ManualClock } from '../../src/adapters/memory/manual-clock.js';
import { type ClusterStatus, FeatureNotEnabledError, MembershipError } from '../../src/application/ports/cluster.js';
import { OutcomeUnknownError, UnavailableError } from '../../src/application/errors.js';
import { addClusterCommand } from '../../src/cli/cluster-command.js';
import { addLeaderCommand } from '../../src/cli/leader-command.js';
import { addMemberCommand } from '../../src/cli/member-command.js';
import { addServersCommand } from '../../src/cli/servers-command.js';
import { addTruncateCommand } from '../../src/cli/truncate-command.js';
import { toIndex, toTerm } from '../../src/domain/log/offsets.js';
import { exampleStatus, FakeCluster } from '../adapters/grpc/fake-cluster.js';
import { FakeCommitLog } from '../adapters/grpc/fake-commit-log.js';
import { until } from '../adapters/grpc/fixture.js';
import { RecordingLogger } from '../logging/recording-logger.js';

let cluster: FakeCluster;
let clock: ManualClock;
let server: GrpcServer;
let address: string;

beforeEach(async () => {
  brokenAt = 'nothing';
  cluster = new FakeCluster();
  clock = new ManualClock();
  const options = { host: '127.0.0.1', port: 0 };
  server = new GrpcServer(options, new FakeCommitLog(), new RecordingLogger(), { cluster, clock });
  address = `127.0.0.1:${(await server.listen()).port}`;
});
afterEach(async () => {
  await server.close(0);
});

/** The output at which the reader closes the pipe. */
let brokenAt: string;
const brokenPipe = Object.assign(new Error('broken pipe'), { code: 'EPIPE' });

interface Run {
  readonly code: unknown;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command in this process; `interrupt` receives the output so far, and sends Ctrl-C by returning true. */
async function golog(args: string, interrupt?: (stdout: string) => boolean): Promise<Run> {
  const exitCode = process.exitCode;
  let stdout = '';
  let stderr = '';
  const print = (text: string | Uint8Array, printed?: BufferEncoding | ((error: Error | null) => void)): boolean => {
    stdout += String(text);
    if (typeof printed === 'function') printed(stdout.includes(brokenAt) ? brokenPipe : null);
    if (interrupt?.(stdout) === true) process.emit('SIGINT');
    return true;
  };
  const out = jest.spyOn(process.stdout, 'write').mockImplementation(print);
  const err = jest.spyOn(process.stderr, 'write').mockImplementation((text) => {
    stderr += String(text);
    return true;
  });
  try {
    const program = new Command('golog').exitOverride();
    for (const add of [addClusterCommand, addMemberCommand, addLeaderCommand, addServersCommand, addTruncateCommand])
      add(program);
    await program.parseAsync([...args.split(' '), '--addr', address], { from: 'user' });
    return { code: process.exitCode, stdout, stderr };
  } finally {
    out.mockRestore();
    err.mockRestore();
    process.exitCode = exitCode;
  }
}

describe('golog cluster status', () => {
  it('prints a headline, the problem, and a row per member', async () => {
    expect(await golog('cluster status')).toEqual({
      code: 5,
      stderr: '',
      stdout: `cluster 6f2f1c3e-6a39-4d0e-9f64-0a4b5b1f7a11
leader n1, term 7, commit index 1234 of 1240, high watermark 98765
feature level 1, generation 2
problem: n2 unreachable for 8 s; 1 of 3 voters synced, need 2
node  role     state                gRPC address    match index  lag  last heard
n1    leader   self                 127.0.0.1:8400         1240    0
n2    voter    unreachable          127.0.0.1:8410         1200   40     8 s ago
n3    voter    replicating          127.0.0.1:8420         1234    6   37 ms ago
n5    learner  probing, not joined  127.0.0.1:8440                         never
`,
    });
  });

  it('names the node whose view it is when that is not the leader', async () => {
    const { leader: _leader, problem: _problem, ...rest } = exampleStatus;
    const members = exampleStatus.members
      .slice(0, 2)
      .map(({ id, name, uuid, rpcAddr }) => ({ id, name, uuid, rpcAddr, role: 'voter', state: 'unknown' }) as const)
      .map((member) => (member.id === 1 ? { ...member, heardMsAgo: 3_723_000 } : member));
    cluster.localView = { ...rest, answeredBy: 'n2', members };
    expect((await golog('cluster status --local')).stdout).toBe(`cluster 6f2f1c3e-6a39-4d0e-9f64-0a4b5b1f7a11
no leader, term 7, commit index 1234 of 1240, high watermark 98765
feature level 1, generation 2
view of n2, which is not the leader
node  role   state    gRPC address    match index  lag  last heard
n1    voter  unknown  127.0.0.1:8400                    62 min ago
n2    voter  unknown  127.0.0.1:8410
`);
  });

  it('prints JSON', async () => {
    const { code, stdout } = await golog('cluster status --json');
    expect([code, JSON.parse(stdout)]).toEqual([5, exampleStatus]);
  });

  it('exits with 5 where there is a problem, and only there', async () => {
    const { problem: _, ...healthy } = exampleStatus;
    cluster.localView = healthy;
    expect((await golog('cluster status --local')).code).toBe(0);
    cluster.localView = { ...healthy, problem: 'no leader' };
    for (const flags of ['', ' --json']) expect((await golog(`cluster status --local${flags}`)).code).toBe(5);
  });

  it('follows until Ctrl-C', async () => {
    cluster.current = { ...exampleStatus, term: toTerm(1) };
    const run = golog('cluster status --watch --json', (stdout) => stdout.split('\n').length > 2);
    await until(() => clock.pending === 1);
    cluster.current = { ...exampleStatus, term: toTerm(2) };
    clock.advance(250);
    const { code, stdout, stderr } = await run;
    const terms = stdout.split('\n').map((line) => (line === '' ? '' : (JSON.parse(line) as ClusterStatus).term));
    expect([code, terms, stderr]).toEqual([130, [1, 2, ''], '']);
  });

  it('exits with 0 when the reader closes the pipe', async () => {
    brokenAt = '"term":7';
    const { code, stderr } = await golog('cluster status --watch --json');
    expect([code, stderr]).toEqual([0, '']);
  });

  it.each([
    [true, '\u001b[H\u001b[J', '\u001b[H\u001b[J'],
    [false, '', '\n'],
  ])('redraws only on a terminal (terminal: %p)', async (isTTY, before, between) => {
    const wasTTY = process.stdout.isTTY;
    process.stdout.isTTY = isTTY;
    process.env['TERM'] = 'xterm';
    try {
      const run = golog('cluster status --watch', (stdout) => stdout.split('term 7').length > 2);
      await until(() => clock.pending === 1);
      cluster.current = { ...exampleStatus, leader: 'n3' };
      clock.advance(250);
      const { stdout } = await run;
      expect(stdout.startsWith(`${before}cluster `)).toBe(true);
      expect(stdout).toContain(`never\n${between}cluster `);
    } finally {
      process.stdout.isTTY = wasTTY;
    }
  });

  it('prints no status in a pipe that differs only in the progress of appends and in times', async () => {
    const run = golog('cluster status --watch', (stdout) => stdout.includes('leader n3'));
    const { members } = exampleStatus;
    for (const seconds of [9, 10]) {
      await until(() => clock.pending === 1);
      cluster.current = {
        ...exampleStatus,
        commitIndex: toIndex(1_234 + seconds),
        members: members.map((member) => ({ ...member, matchIndex: toIndex(1_234 + seconds) })),
        problem: `n2 unreachable for ${seconds} s; 1 of 3 voters synced, need 2`,
      };
      clock.advance(250);
    }
    await until(() => clock.pending === 1);
    cluster.current = { ...exampleStatus, leader: 'n3' };
    clock.advance(250);
    expect((await run).stdout.match(/^cluster /gm)).toHaveLength(2);
  });
});

describe('golog member, golog leader', () => {
  it('adds a member, and says when nothing answers at its address', async () => {
    const { port } = new URL(`http://${address}`);
    const added = `added n4 at 127.0.0.1:${port} as a learner\n`;
    expect(await golog(`member add n4 --rpc-addr 127.0.0.1:${port}`)).toEqual({ code: 0, stdout: added, stderr: '' });
    expect(await golog('member add n4 --rpc-addr 127.0.0.1:1 --json')).toEqual({
      code: 0,
      stdout: '{"added":"n4","rpcAddr":"127.0.0.1:1"}\n',
      stderr: expect.stringMatching(
        /^golog member add: nothing answers at 127\.0\.0\.1:1 from here yet; start the node/,
      ),
    });
  });

  it.each([
    ['member promote n5', 'promoted n5 to voter\n'],
    ['member promote n5 --json', '{"promoted":"n5"}\n'],
    ['member remove n2', 'removed n2\n'],
    ['member remove n2 --json', '{"removed":"n2"}\n'],
    ['leader transfer', 'n3 is the leader\n'],
    ['leader transfer n2', 'n2 is the leader\n'],
    ['leader transfer n2 --json', '{"leader":"n2"}\n'],
  ])('%s', async (args, stdout) => {
    expect(await golog(args)).toEqual({ code: 0, stdout, stderr: '' });
    expect(cluster.calls).toHaveLength(1);
  });

  it.each([
    [new MembershipError('n5 lags by 40 entries'), 1, 'n5 lags by 40 entries (FAILED_PRECONDITION)'],
    [new UnavailableError('no leader'), 3, 'no leader (UNAVAILABLE); "golog cluster status" says why'],
    [new OutcomeUnknownError('leadership was lost'), 1, 'leadership was lost (ABORTED)'],
  ])('reports %p by message and exit code', async (failure, code, message) => {
    cluster.failures.push(failure);
    expect(await golog('member promote n5')).toEqual({
      code,
      stdout: '',
      stderr: `golog member promote: ${message}\n`,
    });
  });

  it('refuses an invalid address before it calls a server', async () => {
    await expect(golog('member add n4 --rpc-addr http://x')).rejects.toMatchObject({
      code: 'commander.invalidArgument',
    });
    expect(cluster.calls).toEqual([]);
  });

  it.each([
    'cluster',
    'cluster status',
    'cluster get',
    'cluster set',
    'truncate',
    'member add',
    'member promote',
    'member remove',
    'leader transfer',
    'servers',
  ])('%s has a help text with examples and exit codes', (path) => {
    const program = new Command('golog');
    for (const add of [addClusterCommand, addMemberCommand, addLeaderCommand, addServersCommand, addTruncateCommand])
      add(program);
    let command: Command | undefined = program;
    for (const name of path.split(' ')) command = command?.commands.find((child) => child.name() === name);
    let help = '';
    command?.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
    expect(help).toMatch(/Usage: golog[^]*Examples?:[^]*Exit codes/);
  });
});

describe('golog cluster get, golog cluster set', () => {
  it.each([
    ['cluster get', 'retention-bytes 10000000000B\nretention-age none\nproducers-max 20000\nproducer-expiry 1d\n'],
    ['cluster get retention-bytes', '10000000000B\n'],
    ['cluster get retention-age --json', '{"retention-age":null}\n'],
    ['cluster get producers-max --json', '{"producers-max":20000}\n'],
  ])('%s', async (args, stdout) => {
    expect(await golog(args)).toEqual({ code: 0, stdout, stderr: '' });
  });

  it.each([
    ['cluster set retention-age 36h', { retentionAgeMs: 129_600_000 }, '36h\n'],
    ['cluster set retention-bytes 4KiB', { retentionBytes: 4096 }, '4096B\n'],
    ['cluster set retention-bytes none', { retentionBytes: 0 }, 'none\n'],
    ['cluster set producers-max 7 --json', { producersMax: 7 }, '{"producers-max":7}\n'],
    ['cluster set producer-expiry 90s', { producerExpiryMs: 90_000 }, '90s\n'],
  ])('%s', async (args, change, stdout) => {
    expect(await golog(args)).toEqual({ code: 0, stdout, stderr: '' });
    expect(cluster.calls).toEqual([['changeSettings', change]]);
  });

  it.each([
    ['retention-age 30', 'expected a duration with a unit'],
    ['retention-age 0s', 'expected a duration with a unit'],
    ['retention-bytes 0', 'expected a size'],
    ['retention-bytes 1 parsec', 'too many arguments'],
    ['producers-max 0', 'expected a whole number'],
    ['producers-max none', 'expected a whole number'],
    ['producer-expiry none', 'expected a duration'],
    ['feature-level 2', 'Allowed choices are'],
  ])('refuses %s before it calls a server', async (args, reason) => {
    const run = await golog(`cluster set ${args}`).catch((error: Error) => ({ code: 2, stderr: error.message }));
    expect([run.code, run.stderr]).toEqual([2, expect.stringContaining(reason)]);
    expect(cluster.calls).toEqual([]);
  });

  it('says why a cluster with a member of an older release has no settings yet', async () => {
    cluster.failures.push(new FeatureNotEnabledError(1, 0));
    const { code, stderr } = await golog('cluster set producers-max 7');
    expect([code, stderr]).toEqual([
      1,
      expect.stringContaining('the cluster is at feature level 0, and this needs level 1'),
    ]);
  });
});

describe('golog truncate', () => {
  it.each([
    ['truncate --before 900 --yes', 'the log starts at offset 900\n'],
    ['truncate --before 7 --yes --json', '{"startOffset":400}\n'],
  ])('%s', async (args, stdout) => {
    expect(await golog(args)).toEqual({ code: 0, stdout, stderr: '' });
    expect(cluster.calls).toHaveLength(1);
  });

  it('does nothing without --yes where it cannot ask', async () => {
    const { code, stderr } = await golog('truncate --before 900');
    expect([code, stderr]).toEqual([2, expect.stringContaining('give --yes')]);
    expect(cluster.calls).toEqual([]);
  });
});

describe('golog servers', () => {
  it('tries the addresses in turn', async () => {
    address = `127.0.0.1:1,${address}`;
    const { code, stdout } = await golog('servers --json');
    expect([code, Object.keys(JSON.parse(stdout) as object)]).toEqual([0, ['servers']]);
  });
});
