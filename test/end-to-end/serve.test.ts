import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { LogClient, Producer, RecordBatchBuilder } from '../../src/client/index.js';
import { root } from '../foundation/checkout.js';
import { compile, runGolog, Scratch, ServerProcess } from './golog-process.js';

const scratch = new Scratch();

beforeAll(compile, 120_000);
afterAll(() => scratch.remove());

/** What `curl -X METHOD ADDRESS -d BODY` sends. */
async function curl(method: string, address: string, body: string): Promise<string> {
  const [host, port] = address.split(':');
  const call = request({
    host,
    port,
    method,
    headers: { 'content-type': 'application/x-www-form-urlencoded', 'content-length': Buffer.byteLength(body) },
  });
  call.end(body);
  const [response] = (await once(call, 'response')) as [AsyncIterable<Buffer>];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return Buffer.concat(chunks).toString().trimEnd();
}

function lineBatch(line: string) {
  const builder = new RecordBatchBuilder(1_024);
  builder.add({ value: Buffer.from(line) });
  return builder.take()!;
}

describe('golog serve', () => {
  it('answers the curl exchanges of the documentation, word for word', async () => {
    const server = await ServerProcess.start(scratch.file('curl'));
    try {
      expect(await curl('POST', server.httpAddr, '{"record": {"value": "AA"}}')).toBe('{"offset":0}');
      expect(await curl('GET', server.httpAddr, '{"offset": 0}')).toBe('{"record":{"value":"AA","offset":0}}');
      expect(await (await fetch(`http://${server.httpAddr}/?offset=0`)).text()).toMatch(
        /^\{"record":\{"value":"AA","offset":0\}\}\n?$/,
      );
    } finally {
      expect(await server.stop()).toBe(0);
    }
  }, 60_000);

  it.each(['SIGTERM', 'SIGINT'] as const)(
    'stops in order on %s with streams open',
    async (signal) => {
      const server = await ServerProcess.start(scratch.file(signal));
      const client = LogClient.connect(server.rpcAddr);
      const producer = await Producer.open(client, { reconnectTimeoutMs: 0 });
      try {
        await producer.send(lineBatch('before'));
        await producer.flush();
        const tail = client.tail({ from: { position: 'earliest' } });
        expect((await tail.next()).done).toBe(false);
        const end = tail.next().then(
          () => 'ended',
          () => 'ended',
        );
        const startMs = performance.now();
        server.kill(signal);
        expect((await server.finished).code).toBe(0);
        expect(performance.now() - startMs).toBeLessThan(10_000);
        expect(await end).toBe('ended');
      } finally {
        producer.close();
        client.close();
      }
      const again = await ServerProcess.start(scratch.file(signal));
      expect((await runGolog(['consume', '--addr', again.rpcAddr])).stdout).toBe('before\n');
      await again.stop();
    },
    60_000,
  );

  describe('refuses, saying why,', () => {
    const serve = (...args: string[]) =>
      runGolog(['serve', '--rpc-port', '0', '--http-port', '0', '--bind-addr', '127.0.0.1:0', ...args]);

    it('a data directory that is a file', async () => {
      writeFileSync(scratch.file('a-file'), 'something');
      const { code, stderr } = await serve('--data-dir', scratch.file('a-file'));
      expect(code).toBe(1);
      expect(stderr).toMatch(/a-file must be a directory, but it is a file/);
      expect(readFileSync(scratch.file('a-file'), 'utf8')).toBe('something');
      const below = await serve('--data-dir', scratch.file('a-file/data'));
      expect([below.code, below.stderr]).toEqual([1, expect.stringMatching(/a-file is a file/)]);
    }, 60_000);

    it('a data directory that another process has open', async () => {
      const server = await ServerProcess.start(scratch.file('locked'));
      const { code, stderr } = await serve('--data-dir', scratch.file('locked'));
      expect([code, stderr]).toEqual([1, expect.stringMatching(`locked.*${server.child.pid}`)]);
      expect(await server.stop()).toBe(0);
    }, 60_000);

    it('a data directory of another version', async () => {
      const server = await ServerProcess.start(scratch.file('version'));
      await server.stop();
      const identity = join(scratch.file('version'), 'node.id');
      const written = readFileSync(identity, 'utf8');
      const other = written.replace(/\b1\b/, '77');
      expect(other).not.toBe(written);
      writeFileSync(identity, other);
      const { code, stderr } = await serve('--data-dir', scratch.file('version'));
      expect([code, stderr]).toEqual([1, expect.stringMatching(/version|format/)]);
    }, 60_000);

    it('data of unknown origin', async () => {
      mkdirSync(scratch.file('foreign/logs/default'), { recursive: true });
      writeFileSync(scratch.file('foreign/logs/default/00000000000000000000.store'), 'x');
      const { code, stderr } = await serve('--data-dir', scratch.file('foreign'));
      expect([code, stderr]).toEqual([1, expect.stringMatching(/node\.id|identity|origin/)]);
    }, 60_000);

    it('a port that is taken', async () => {
      const holder = createServer().listen(0, '127.0.0.1');
      await once(holder, 'listening');
      const { port } = holder.address() as { port: number };
      try {
        for (const flag of ['--http-port', '--rpc-port']) {
          const { code, stderr } = await serve('--data-dir', scratch.file('port'), flag, String(port));
          expect([code, stderr]).toEqual([1, expect.stringMatching(`${port}`)]);
          expect(stderr).toMatch(/in use|EADDRINUSE/);
        }
      } finally {
        holder.close();
      }
    }, 60_000);

    it('files of its configuration that it cannot use, and leaves the data directory free', async () => {
      const dataDir = scratch.file('unusable');
      const model = join(root, 'test/model.conf');
      const policy = join(root, 'test/policy.csv');
      for (const flags of [
        ['--server-tls-cert-file', model, '--server-tls-key-file', model],
        ['--server-tls-cert-file', scratch.file('none'), '--server-tls-key-file', scratch.file('none')],
        ['--acl-model-file', model, '--acl-policy-file', policy, '--start-join-addrs', '127.0.0.1:9'],
        ['--encrypt', 'AAAA'],
      ]) {
        const { code, stderr } = await serve('--data-dir', dataDir, ...flags);
        expect([flags, code, stderr]).toEqual([flags, 2, expect.stringMatching(/^golog serve: /m)]);
      }
      const server = await ServerProcess.start(dataDir);
      expect(await server.stop()).toBe(0);
    }, 60_000);

    it('what it does not know', async () => {
      const flag = await serve('--retention-byte', '1');
      expect([flag.code, flag.stderr]).toEqual([2, expect.stringMatching(/Did you mean --retention-bytes\?/)]);
      writeFileSync(scratch.file('config.yaml'), 'data-dri: x\n');
      const key = await serve('--config-file', scratch.file('config.yaml'));
      expect([key.code, key.stderr]).toEqual([2, expect.stringMatching(/"data-dri"; did you mean data-dir\?/)]);
      const value = await serve('--segment-bytes', 'many');
      expect([value.code, value.stderr]).toEqual([
        2,
        expect.stringMatching(/invalid --segment-bytes "many": expected a size in bytes or with a unit/),
      ]);
    }, 60_000);
  });

  it('starts with no number that lacks its unit, whichever the source, and drops nothing', async () => {
    const dataDir = scratch.file('units');
    const small = ['--segment-bytes', '4KiB'];
    const lines = Array.from({ length: 400 }, (_, number) => `${number}-${'x'.repeat(60)}\n`).join('');
    const first = await ServerProcess.start(dataDir, undefined, small);
    expect((await runGolog(['produce', '--quiet', '--addr', first.rpcAddr], lines)).code).toBe(0);
    await first.stop();
    const configFile = scratch.file('units.yaml');
    for (const line of ['retention-age: 30', 'retention-age: 1e3', 'dead-member-timeout: 72', 'retention-bytes: 1e3']) {
      writeFileSync(configFile, `${line}\n`);
      const { code, stderr } = await ServerProcess.spawn(dataDir, '0', [...small, '--config-file', configFile])
        .finished;
      const [name = '', value = ''] = line.split(': ');
      expect([code, stderr]).toEqual([
        2,
        expect.stringMatching(`^golog serve: invalid ${name} "${value}" in ${configFile}: `),
      ]);
      expect(stderr).toMatch(/expected a (duration with a unit|size in bytes or with a unit), such as/);
    }
    const again = await ServerProcess.start(dataDir, undefined, small);
    expect((await runGolog(['consume', '--addr', again.rpcAddr])).stdout).toBe(lines);
    expect(await again.stop()).toBe(0);
  }, 60_000);

  it('goes on serving after bad input', async () => {
    const server = await ServerProcess.start(scratch.file('bad-input'));
    try {
      for (const body of ['', '{', '[]', '{"record":{"value":"A","encoding":"base64"}}', '{"record":null}']) {
        expect(await curl('POST', server.httpAddr, body)).toMatch(/"status":400/);
      }
      for (const offset of ['-1', '1.5', '9007199254740993', '18446744073709551616', '"x"', '{}']) {
        expect(await curl('GET', server.httpAddr, `{"offset": ${offset}}`)).toMatch(/"status":4\d\d/);
      }
      expect(await curl('POST', server.httpAddr, '{"record": {"value": ""}}')).toBe('{"offset":0}');
    } finally {
      expect(await server.stop()).toBe(0);
    }
  }, 60_000);
});
