import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { join } from 'node:path';
import { root } from '../foundation/checkout.js';
import { compile, type Finished, GologProcess, runGolog, Scratch, ServerProcess } from './golog-process.js';

const scratch = new Scratch();
let server: ServerProcess;

beforeAll(async () => {
  compile();
  server = await ServerProcess.start(scratch.file('data'));
  await produce(Array.from({ length: 1_000 }, (_, n) => `line ${n}\n`).join(''));
}, 120_000);
afterAll(async () => {
  await server.stop();
  scratch.remove();
});

const produce = (input: string, ...args: string[]): Promise<Finished> =>
  runGolog(['produce', '--addr', server.rpcAddr, ...args], input);
const consume = (...args: string[]): Promise<Finished> => runGolog(['consume', '--addr', server.rpcAddr, ...args]);

describe('golog consume', () => {
  it('starts where it is told and stops at the limit', async () => {
    expect((await consume('--from', '7', '--limit', '2')).stdout).toBe('line 7\nline 8\n');
    expect((await consume('--from', '2026-01-01T00:00Z', '--limit', '1')).stdout).toBe('line 0\n');
    expect((await consume('--from', '1h', '--limit', '1')).stdout).toBe('line 0\n');
    expect(await consume('--from', 'latest')).toEqual({ code: 0, stdout: '', stderr: '' });
    const [line] = (await consume('--from', '3', '--limit', '1', '--format', 'ndjson')).stdout.split('\n');
    expect(JSON.parse(line)).toEqual({
      offset: 3,
      term: expect.any(Number),
      appendTime: expect.stringMatching(/^\d{4}-.*Z$/),
      value: 'line 3',
    });
  }, 60_000);

  it('refuses a local time that a change to summer time skips', async () => {
    const at = (time: string, zone: string): Promise<Finished> =>
      runGolog(['consume', '--addr', server.rpcAddr, '--from', time], '', undefined, { env: { TZ: zone } });
    const { code, stderr } = await at('2026-03-29T02:30', 'Europe/Berlin');
    expect([code, stderr]).toEqual([2, expect.stringMatching(/there is no such time/)]);
    expect((await at('2026-03-29T02:30', 'Asia/Tokyo')).code).toBe(0);
  }, 60_000);

  it('says which offsets there are when asked for another', async () => {
    const { code, stderr } = await consume('--from', '5000000');
    expect(code).toBe(1);
    expect(stderr).toMatch(/offset 5000000 is out of range: the log has offsets from 0/);
  }, 60_000);

  it.each(['consume --addr "$ADDR"', 'help consume'])(
    'ends quietly when its reader left: %s',
    async (command) => {
      const pipeline = spawn('sh', ['-c', `"$NODE" bin/golog ${command}; echo "code $?" >&2`], {
        cwd: root,
        env: { ...process.env, NODE_OPTIONS: '', NODE: process.execPath, ADDR: server.rpcAddr },
      });
      let stderr = '';
      pipeline.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
      pipeline.stdout.destroy();
      await once(pipeline, 'close');
      expect(stderr).toBe('code 0\n');
    },
    60_000,
  );

  it('serves a pipe into head', async () => {
    const pipeline = spawn('sh', ['-c', `"$NODE" "$GOLOG" consume --addr "$ADDR" | head -1`], {
      env: {
        ...process.env,
        NODE_OPTIONS: '',
        NODE: process.execPath,
        GOLOG: join(root, 'bin/golog'),
        ADDR: server.rpcAddr,
      },
    });
    let output = '';
    pipeline.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    pipeline.stderr.setEncoding('utf8').on('data', (text: string) => (output += text));
    await once(pipeline, 'close');
    expect(output).toBe('line 0\n');
  }, 60_000);

  it('follows the log, and says on Ctrl-C where to go on', async () => {
    const follower = new GologProcess(['consume', '--addr', server.rpcAddr, '--from', '-1', '--follow']);
    await follower.until('the last record', ({ stdout }) => (stdout.endsWith('\n') ? true : undefined));
    const { stdout } = await produce('later\neven later\n', '--json');
    const { lastOffset } = JSON.parse(stdout) as { lastOffset: number };
    await follower.until('the later records', (run) => (run.stdout.includes('even later\n') ? true : undefined));
    follower.kill('SIGINT');
    const end = await follower.finished;
    expect([end.code, end.stderr]).toEqual([130, `next offset: ${lastOffset + 1}\n`]);
    expect(end.stdout).toMatch(/^.*\nlater\neven later\n$/);
  }, 60_000);

  it('follows over a restart of the server, with no record missing or twice', async () => {
    const dataDir = scratch.file('restart');
    let node = await ServerProcess.start(dataDir);
    const follower = new GologProcess(['consume', '--addr', node.rpcAddr, '--follow']);
    try {
      await runGolog(['produce', '--addr', node.rpcAddr], 'one\n');
      await follower.until('one', ({ stdout }) => (stdout === 'one\n' ? true : undefined));
      await node.killNine();
      node = await ServerProcess.start(dataDir, node);
      await runGolog(['produce', '--addr', node.rpcAddr], 'two\n');
      await follower.until('two', ({ stdout }) => (stdout === 'one\ntwo\n' ? true : undefined));
    } finally {
      follower.kill('SIGKILL');
      await node.stop();
    }
  }, 60_000);
});

describe('golog produce', () => {
  it('names a line that is too long, after all before it is stored', async () => {
    const { code, stdout, stderr } = await produce(`short\n${'x'.repeat(2_000_000)}\nafter\n`, '--json');
    expect(code).toBe(1);
    expect(stderr).toMatch(/line 2 has 2000000 bytes; a record may have at most 1048572/);
    expect(stderr).toMatch(/acknowledged: 1 record, the first 6 bytes/);
    expect(stderr).toMatch(/tail -c \+7 /);
    expect(JSON.parse(stdout)).toMatchObject({ records: 1 });
    expect((await consume('--from', '-1')).stdout).toBe('short\n');
  }, 60_000);

  it('gives advice after a bad line that resumes the input when it is followed as printed', async () => {
    const file = scratch.file("it's $HOME.ndjson");
    writeFileSync(file, '\ufeff{"value":"one"}\n\n{"value":"two"}\n\n{"value":3}\n{"value":"four"}\n');
    const { code, stderr } = await produce('', file, '--format', 'ndjson', '--quiet', '--linger', '1ms');
    expect([code, stderr]).toEqual([1, expect.stringMatching(/line 5: "value" must be a string/)]);
    const advice = /to resume after the acknowledged input: (.*)/.exec(stderr)?.[1] ?? '';
    expect(advice).toContain(`| bin/golog produce --addr ${server.rpcAddr} --format ndjson --quiet --linger 1ms`);
    writeFileSync(file, readFileSync(file, 'utf8').replace('3', '"3"'));
    const resumed = spawnSync('sh', ['-c', advice], { cwd: root });
    expect(String(resumed.stdout)).toMatch(/^2 records, /);
    expect((await consume('--from', '-4')).stdout).toBe('one\ntwo\n3\nfour\n');
  }, 60_000);

  it('gives no advice to resume where nothing was appended', async () => {
    const { code, stderr } = await produce('{}\n', '--format', 'ndjson');
    expect([code, stderr]).toEqual([1, 'golog produce: line 1: has no "value"\n  nothing was appended\n']);
    const nobody = await runGolog(['produce', '--addr', server.rpcAddr.replace(/\d+$/, '1')], 'x\n');
    expect(nobody.stderr).toMatch(
      /^golog produce: cannot reach .*: ECONNREFUSED; start a node there, .*\n {2}nothing was appended\n$/,
    );
  }, 60_000);

  it('counts one record as one', async () => {
    expect((await produce('x\n')).stdout).toMatch(/^1 record, 1 byte, .* s, offset \d+\n$/);
  }, 60_000);

  it('takes the longest line there may be', async () => {
    const longest = 'y'.repeat(1024 * 1024 - 8);
    expect((await produce(`${longest}\n`)).code).toBe(0);
    expect((await consume('--from', '-1')).stdout).toBe(`${longest}\n`);
    const { code, stderr } = await produce(`${longest}y\n`);
    expect([code, stderr]).toEqual([1, expect.stringMatching(/line 1 makes a record of 1048573 bytes/)]);
  }, 60_000);

  it('names a line that is larger than the limit of the server, without sending it', async () => {
    const { code, stderr } = await produce(`short\n${'x'.repeat(1_100_000)}\n`, '--record-bytes-max', '2MiB');
    expect(code).toBe(1);
    expect(stderr).toMatch(/line 2 makes a record of 1100004 bytes; .* the server has --batch-bytes-max 1048576/);
  }, 60_000);

  it('names a line that is not a record', async () => {
    const { code, stderr } = await produce('{"value":"good"}\n{"valeu":"bad"}\n', '--format', 'ndjson');
    expect([code, stderr]).toEqual([1, expect.stringMatching(/line 2: unknown field "valeu"/)]);
    expect((await consume('--from', '-1')).stdout).toBe('good\n');
  }, 60_000);

  it('sends what a slow writer has written so far, and stops in order on Ctrl-C', async () => {
    const producer = new GologProcess(['produce', '--addr', server.rpcAddr, '--json']);
    const follower = new GologProcess(['consume', '--addr', server.rpcAddr, '--from', '-1', '--follow']);
    await follower.until('the last record', ({ stdout }) => (stdout.endsWith('\n') ? true : undefined));
    producer.child.stdin!.write('slowly\nand unfinis');
    await follower.until('the line', ({ stdout }) => (stdout.endsWith('\nslowly\n') ? true : undefined));
    producer.kill('SIGINT');
    const end = await producer.finished;
    expect(end.code).toBe(130);
    expect(JSON.parse(end.stdout)).toMatchObject({ records: 1 });
    follower.kill('SIGKILL');
    await follower.finished;
  }, 60_000);

  it('says what file it cannot read', async () => {
    const absent = await produce('', scratch.file('absent'));
    expect([absent.code, absent.stderr]).toEqual([1, expect.stringMatching(/cannot read .*absent: ENOENT/)]);
    const folder = await produce('', scratch.path);
    expect([folder.code, folder.stderr]).toEqual([1, expect.stringMatching(/is a directory/)]);
  }, 60_000);
});

describe('every command', () => {
  it('lists the servers', async () => {
    const { code, stdout } = await runGolog(['servers', '--addr', server.rpcAddr, '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      servers: [{ id: expect.any(String), rpcAddr: server.rpcAddr, isLeader: true, role: 'leader', gossip: 'alive' }],
    });
  }, 60_000);

  it('exits with 3 when nobody is there', async () => {
    const { rpcAddr } = server;
    const nobody = rpcAddr.replace(/\d+$/, '1');
    for (const command of ['produce', 'consume', 'servers']) {
      const { code, stderr } = await runGolog([command, '--addr', nobody]);
      expect([code, stderr]).toEqual([
        3,
        expect.stringMatching(`cannot reach ${nobody}: ECONNREFUSED; start a node there, or give`),
      ]);
    }
  }, 60_000);

  it.each([
    [['consume', '--form', 'latest'], /unknown option '--form'\n\(Did you mean .*--from/],
    [['serve', '--data-dri', 'x'], /unknown option '--data-dri'\n\(Did you mean --data-dir\?\)/],
    [['prodcue'], /unknown command 'prodcue'\n\(Did you mean produce\?\)/],
    [['consume', '--from', 'yesterday'], /expected earliest, latest, an offset/],
    [['consume', 'file'], /too many arguments/],
    [['produce', '--format', 'csv'], /Allowed choices are text, ndjson, raw/],
    [['produce', '--addr', 'http://localhost:1'], /expected HOST:PORT/],
    [[], /Usage: golog/],
  ])(
    'exits with 2 for %j',
    async (args, message) => {
      const { code, stdout, stderr } = await runGolog(args);
      expect([code, stdout, stderr]).toEqual([2, '', expect.stringMatching(message)]);
    },
    60_000,
  );

  it('explains itself', async () => {
    const version = await runGolog(['--version']);
    expect([version.code, version.stdout]).toEqual([0, expect.stringMatching(/^\d+\.\d+\.\d+\n$/)]);
    for (const command of ['', 'serve', 'produce', 'consume', 'servers', 'verify', 'dump']) {
      const { code, stdout } = await runGolog([...(command === '' ? [] : [command]), '--help']);
      expect([code, stdout]).toEqual([0, expect.stringMatching(/Usage: golog[^]*Examples:[^]*Exit codes/)]);
    }
  }, 60_000);
});
