import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { LogClient, Producer, RecordBatchBuilder } from '../../src/client/index.js';
import { loggedLines } from '../logging/logged-lines.js';
import { compile, type Finished, runGolog, Scratch, ServerProcess } from './golog-process.js';

const scratch = new Scratch();
beforeAll(compile, 120_000);
afterAll(() => scratch.remove());

describe('a server with a small --batch-bytes-max', () => {
  let server: ServerProcess;
  const produce = (input: string, ...args: string[]): Promise<Finished> =>
    runGolog(['produce', '--addr', server.rpcAddr, ...args], input);

  beforeAll(async () => {
    server = await ServerProcess.start(scratch.file('small'), undefined, ['--batch-bytes-max', '64KiB']);
  }, 60_000);
  afterAll(async () => {
    await server.stop();
  });

  it('gets smaller batches from a default client, which learns the limit', async () => {
    const { code, stdout, stderr } = await produce(`${'x'.repeat(999)}\n`.repeat(400), '--json');
    expect([code, stderr]).toEqual([0, '']);
    expect(JSON.parse(stdout)).toMatchObject({ records: 400 });
    const largest = await produce('y'.repeat(65_536 - 4 - 4) + '\n');
    expect([largest.code, largest.stderr]).toEqual([0, '']);
  }, 60_000);

  it('makes a record that is too large fail at once, naming the limit and the flag', async () => {
    const { code, stderr } = await produce(`${'x'.repeat(70_000)}\n`);
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(
        /line 1 makes a record of 70004 bytes; a record may have at most 65532: .* --batch-bytes-max 65536\n {2}nothing/,
      ),
    ]);
    const raw = await produce('x'.repeat(70_000), '--format', 'raw');
    expect([raw.code, raw.stderr]).toEqual([
      1,
      expect.stringMatching(/^golog produce: chunk 1 .*; give a smaller --chunk-bytes\n/),
    ]);
  }, 60_000);
});

describe('a server with a small --batch-bytes-max', () => {
  it('makes a client that sends a larger batch anyway fail at once, naming the limit', async () => {
    const server = await ServerProcess.start(scratch.file('anyway'), undefined, ['--batch-bytes-max', '64KiB']);
    const client = LogClient.connect(server.rpcAddr);
    try {
      for (const bytes of [100_000, 200_000]) {
        const producer = await Producer.open(client);
        const builder = new RecordBatchBuilder(1 << 20);
        builder.add({ value: Buffer.alloc(bytes) });
        await producer.send(builder.take()!);
        const refused = expect(producer.flush()).rejects;
        await refused.toMatchObject({
          code: 'INVALID_ARGUMENT',
          message: expect.stringMatching(/accepts at most 131072|the limit is 65536 bytes/),
        });
      }
    } finally {
      client.close();
      await server.stop();
    }
  }, 60_000);
});

describe('a server whose disk is full', () => {
  it('makes the client say so once, back off, and say that nothing was appended', async () => {
    const server = await ServerProcess.start(scratch.file('full'), undefined, ['--disk-reserve-bytes', '8000TiB']);
    const args = ['produce', '--addr', server.rpcAddr, '--reconnect-timeout', '300ms'];
    const { code, stderr, stdout } = await runGolog(args, 'x\n'.repeat(400));
    expect(stderr).toMatch(
      /^golog produce: no server accepts records now \(disk reserve reached: .*\(RESOURCE_EXHAUSTED\)\); retrying for up to 300 ms\ngolog produce: disk reserve reached: .*; no progress for 300 ms \(RESOURCE_EXHAUSTED\)\n {2}nothing was appended\n {2}refused: .* line 1;.*\n$/,
    );
    expect([code, stdout]).toEqual([1, expect.stringMatching(/^0 records, 0 bytes, /)]);

    const status = await runGolog(['cluster', 'status', '--addr', server.rpcAddr]);
    expect([status.code, status.stdout]).toEqual([
      5,
      expect.stringMatching(/^problem: the disk of .* is full: \d+ bytes/m),
    ]);
    const ready = await fetch(`http://${server.httpAddr}/readyz`);
    expect([ready.status, await ready.json()]).toMatchObject([503, { status: 'disk-full' }]);
    expect((await runGolog(['consume', '--addr', server.rpcAddr])).code).toBe(0);
    expect(loggedLines(server.stderr, 'disk_full')).toMatchObject([{ level: 'warn', role: 'leader' }]);
    await server.stop();
  }, 60_000);
});
