import { afterEach, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { connect } from 'node:net';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { CorruptRangeError, DiskReserveError } from '../../../src/domain/log/errors.js';
import { OutcomeUnknownError, OverloadedError, UnavailableError } from '../../../src/application/errors.js';
import { toOffset } from '../../../src/domain/log/offsets.js';
import { closeAll, serve } from './harness.js';

const run = promisify(execFile);
const hasCurl = await run('curl', ['--version']).then(
  () => true,
  () => false,
);

afterEach(closeAll);

async function post(baseUrl: string, body: string | Uint8Array): Promise<Response> {
  return fetch(baseUrl, { method: 'POST', body });
}

interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly [member: string]: unknown;
}

async function problemOf(response: Response): Promise<Problem> {
  expect(response.headers.get('content-type')).toBe('application/problem+json');
  const problem = (await response.json()) as Problem;
  expect(problem.status).toBe(response.status);
  expect(problem.type).toMatch(/^urn:golog:problem:[a-z-]+$/);
  expect(problem.title).not.toBe('');
  return problem;
}

(hasCurl ? describe : describe.skip)('curl, as README.md shows it', () => {
  const curl = async (port: number, command: string): Promise<string> => {
    const { stdout } = await run('bash', ['-c', command.replace('4001', String(port))]);
    return stdout;
  };

  it('produces, consumes by body and by query', async () => {
    const { port } = await serve();
    expect(await curl(port, `curl -s -X POST localhost:4001 -d '{"record": {"value": "AA"}}'`)).toBe('{"offset":0}');
    expect(await curl(port, `curl -s -X GET localhost:4001 -d '{"offset": 0}'`)).toBe(
      '{"record":{"value":"AA","offset":0}}',
    );
    expect(await curl(port, `curl -s 'localhost:4001/?offset=0'`)).toBe('{"record":{"value":"AA","offset":0}}');
  });

  it('does the same over HTTP/2 with prior knowledge', async () => {
    const { port } = await serve();
    const h2 = `curl -s --http2-prior-knowledge`;
    expect(await curl(port, `${h2} -X POST localhost:4001 -d '{"record": {"value": "AA"}}'`)).toBe('{"offset":0}');
    expect(await curl(port, `${h2} -X GET localhost:4001 -d '{"offset": 0}'`)).toBe(
      '{"record":{"value":"AA","offset":0}}',
    );
  });

  it('takes a body for which curl waits for 100 Continue', async () => {
    const { port } = await serve({ batchBytesMax: 4 << 20 });
    const command = `head -c 2000000 /dev/zero | tr '\\0' x | sed 's/^/{"record":{"value":"/; s/$/"}}/'`;
    expect(await curl(port, `${command} | curl -s -X POST localhost:4001 -d @-`)).toBe('{"offset":0}');
  });
});

describe('what was posted comes back', () => {
  it.each<[what: string, record: object, ...expected: object[]]>([
    ['empty', { value: '' }],
    ['text beyond ASCII', { value: 'grüße 😀 \u0000 \ufeff' }],
    ['a byte order mark', { value: '\ufeffx' }],
    ['bytes that are not UTF-8', { value: '/wA=', encoding: 'base64' }],
    ['UTF-8 posted as base64', { value: 'QUE=', encoding: 'base64' }, { value: 'AA' }],
    ['a key', { value: 'v', key: 'k' }],
    ['a key of other bytes', { value: 'v', key: { value: '/w==', encoding: 'base64' } }],
    ['headers', { value: 'v', headers: { a: 'b', c: { value: '/w==', encoding: 'base64' } } }],
    ['an empty key and no headers', { value: 'v', key: '', headers: {} }, { value: 'v' }],
    ['its own answer', { value: 'v', offset: 17 }, { value: 'v' }],
  ])('%s', async (_what, record, ...[expected]) => {
    const { baseUrl } = await serve();
    expect(await (await post(baseUrl, JSON.stringify({ record }))).text()).toBe('{"offset":0}');
    const response = await fetch(`${baseUrl}/?offset=0`);
    expect(response.headers.get('content-type')).toBe('application/json');
    expect(await response.json()).toEqual({ record: { ...(expected ?? record), offset: 0 } });
  });

  it('a header named __proto__', async () => {
    const { baseUrl } = await serve();
    const body = '{"record":{"value":"v","headers":{"__proto__":"x"}}}';
    expect((await post(baseUrl, body)).status).toBe(200);
    expect(await (await fetch(`${baseUrl}/?offset=0`)).text()).toBe(
      '{"record":{"value":"v","headers":{"__proto__":"x"},"offset":0}}',
    );
  });

  it('a record from inside a batch', async () => {
    const { baseUrl } = await serve();
    for (const value of ['a', 'b', 'c']) await post(baseUrl, JSON.stringify({ record: { value } }));
    expect(await (await fetch(`${baseUrl}/?offset=1`)).json()).toEqual({ record: { value: 'b', offset: 1 } });
  });
});

it('JSON with more names and values than are parsed at once is refused before they are', async () => {
  const { baseUrl, commitLog } = await serve();
  const names = (count: number, value: string): string =>
    Array.from({ length: count }, (_, i) => `"${i.toString(36)}":${value}`).join(',');
  for (const text of [
    `{"record":{"value":"a","headers":{${names(100_000, '""')}}}}`,
    `{"record":{"value":"a","headers":{${names(100_000, '1')}}}}`,
    `{"record":{"value":"a",${names(100_000, '1')}}}`,
    `{"record":{"value":"a","offset":[${'[],'.repeat(300_000)}[]]}}`,
    `{${'""'.repeat(600_000)}`,
  ]) {
    const response = await post(baseUrl, text);
    expect(response.status).toBe(400);
    expect((await problemOf(response)).detail).toMatch(/more than 12288 names and values/);
  }
  expect((await post(baseUrl, `{"record":{"value":"a","headers":{${names(3_000, '""')}}}}`)).status).toBe(200);
  // Each fault takes longer to tell than it does to find.
  const faults = await problemOf(await post(baseUrl, `{"record":{"value":"a","headers":{${names(3_000, '1')}}}}`));
  expect(String(faults.detail).length).toBeLessThan(2_000);
  expect(commitLog.batches).toHaveLength(1);
});

describe('bad input is refused, naming what is wrong and what was expected', () => {
  const value = (json: string): string => `{"record":{"value":${json}}}`;
  it.each<[string, string | Uint8Array, number, RegExp]>([
    ['no body', '', 400, /empty.*\{"record"/],
    ['no JSON', 'AA', 400, /not JSON/],
    ['half a JSON', '{"record":{"value":"AA"', 400, /not JSON/],
    ['a byte order mark', '\ufeff{}', 400, /not JSON/],
    ['no UTF-8', Buffer.from('{"record":{"value":"\xff"}}', 'latin1'), 400, /not UTF-8/],
    ['an array', '[]', 400, /expected object, received array.*Expected \{"record"/],
    ['no record', '{}', 400, /record: .*expected object/],
    ['a record that is null', '{"record":null}', 400, /record: /],
    ['no value', '{"record":{}}', 400, /record\.value: .*expected string/],
    ['a number as value', value('1'), 400, /record\.value: .*expected string, received number/],
    ['half a surrogate pair', value('"\\ud800"'), 400, /record\.value: .*surrogate/],
    ['an unknown key', '{"record":{"value":"AA","valeu":1}}', 400, /record: Unrecognized key: "valeu"/],
    ['an unknown key beside', '{"record":{"value":"AA"},"x":1}', 400, /Unrecognized key: "x"/],
    ['a key twice', '{"record":{"value":"A","value":"B"}}', 400, /"value" twice/],
    ['a key twice, once escaped', '{"record":{"value":"A","valu\\u0065":"B"}}', 400, /"value" twice/],
    ['wrong base64', '{"record":{"value":"A","encoding":"base64"}}', 400, /record\.value: is not base64/],
    ['base64 with white space', '{"record":{"value":"QU E=","encoding":"base64"}}', 400, /not base64/],
    ['unpadded base64', '{"record":{"value":"QUE","encoding":"base64"}}', 400, /not base64/],
    ['another encoding', '{"record":{"value":"A","encoding":"hex"}}', 400, /record\.encoding/],
    ['a key that is a number', '{"record":{"value":"A","key":1}}', 400, /record\.key: expected a string, or/],
    [
      'a key of wrong base64',
      '{"record":{"value":"A","key":{"value":"?","encoding":"base64"}}}',
      400,
      /record\.key\.value: is not base64/,
    ],
    ['headers in a list', '{"record":{"value":"A","headers":[]}}', 400, /record\.headers: .*object/],
    ['a header that is null', '{"record":{"value":"A","headers":{"h":null}}}', 400, /record\.headers\.h: /],
    ['deep nesting', `{"record":${'['.repeat(100_000)}`, 400, /deeper than 16/],
    ['too large a record', value(JSON.stringify('x'.repeat(1 << 20))), 413, /too large: the limit is 1048576/],
    ['too large a body', value(JSON.stringify('x'.repeat(2 << 20))), 413, /body is too large/],
  ])('%s', async (_what, body, status, detail) => {
    const { baseUrl, commitLog } = await serve();
    const response = await post(baseUrl, body);
    expect(response.status).toBe(status);
    expect((await problemOf(response)).detail).toMatch(detail);
    expect(commitLog.batches).toEqual([]);
    expect(await (await post(baseUrl, value('"AA"'))).text()).toBe('{"offset":0}');
  });

  it('a body without a length that is too large', async () => {
    const { baseUrl } = await serve();
    const chunk = new Uint8Array(64 * 1024);
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (let sent = 0; sent < 4 << 20; sent += chunk.length) yield await Promise.resolve(chunk);
    }
    // `duplex` is missing from the types of Node 20's fetch.
    const init = { method: 'POST', body: ReadableStream.from(endless()), duplex: 'half' } as RequestInit;
    const response = await fetch(baseUrl, init);
    expect(response.status).toBe(413);
    expect(await problemOf(response)).toMatchObject({ title: 'Body too large', limit: 1_463_638 });
  });

  it.each<[string, string]>([
    ['negative', '{"offset":-1}'],
    ['a fraction', '{"offset":1.5}'],
    ['a number that JSON rounds', '{"offset":9007199254740993}'],
    ['huge', '{"offset":1e300}'],
    ['null', '{"offset":null}'],
    ['missing', '{}'],
    ['an empty string', '{"offset":""}'],
    ['text', '{"offset":"one"}'],
    ['a negative string', '{"offset":"-1"}'],
    ['beyond uint64', '{"offset":"18446744073709551616"}'],
  ])('an offset that is %s', async (_what, body) => {
    const { port } = await serve();
    const { status, text } = await getWithBody(port, body);
    expect(status).toBe(400);
    expect((JSON.parse(text) as Problem).detail).toMatch(/offset is .*Expected an offset: a whole number from 0/);
  });

  it.each([
    '?offset=',
    '?offset=-1',
    '?offset=1.5',
    '?offset=1e3',
    '?offset=+1',
    '?offset=0x1',
    '?offset=18446744073709551616',
    '?offset=0&offset=1',
    '?offest=0',
  ])('the query %s', async (query) => {
    const { baseUrl } = await serve();
    const response = await fetch(`${baseUrl}/${query}`);
    expect(response.status).toBe(400);
    expect((await problemOf(response)).detail).toMatch(/Expected/);
  });

  it('an offset in the query and in the body', async () => {
    const { port } = await serve();
    expect((await getWithBody(port, '{"offset":0}', '/?offset=0')).status).toBe(400);
  });

  it('no offset at all', async () => {
    const { baseUrl } = await serve();
    expect((await problemOf(await fetch(baseUrl))).detail).toMatch(/GET \/\?offset=0/);
  });
});

/** `fetch` sends no body with GET. */
function getWithBody(port: number, body: string, path = '/'): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(
        `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
      );
    });
    socket.setEncoding('utf8').on('data', (chunk: string) => (answer += chunk));
    socket.on('error', reject).on('close', () => {
      resolve({ status: Number(answer.slice(9, 12)), text: answer.slice(answer.indexOf('\r\n\r\n') + 4) });
    });
  });
}

describe('errors of the log', () => {
  it('tells an offset out of range exactly, beyond 2^53 too', async () => {
    const { baseUrl, port } = await serve();
    await post(baseUrl, '{"record":{"value":"AA"}}');
    const response = await fetch(`${baseUrl}/?offset=1`);
    expect(response.status).toBe(404);
    expect(await problemOf(response)).toMatchObject({
      title: 'Offset out of range',
      code: 'OUT_OF_RANGE',
      offset: 1,
      logStartOffset: 0,
      highWatermark: 1,
    });
    expect(await problemOf(await fetch(`${baseUrl}/?offset=18446744073709551615`))).toMatchObject({
      status: 404,
      offset: '18446744073709551615',
    });
    expect(JSON.parse((await getWithBody(port, '{"offset":"9007199254740993"}')).text)).toMatchObject({
      status: 404,
      offset: '9007199254740993',
    });
  });

  it.each<[Error, number, object]>([
    [new UnavailableError('no leader', '10.0.0.7:8400'), 503, { leaderAddr: '10.0.0.7:8400' }],
    [new OutcomeUnknownError('leadership lost'), 503, { code: 'ABORTED' }],
    [new OverloadedError('appends waiting', 10), 429, { limit: 10 }],
    [new DiskReserveError(1, 2), 507, { freeBytes: 1, reserveBytes: 2 }],
    [new CorruptRangeError(toOffset(1), toOffset(4), 'CRC'), 500, { from: 1, to: 4 }],
  ])('%s', async (failure, status, members) => {
    const { baseUrl, commitLog } = await serve();
    commitLog.failure = failure;
    const response = await post(baseUrl, '{"record":{"value":"AA"}}');
    expect(await problemOf(response)).toMatchObject({ status, detail: failure.message, ...members });
    const retryable = failure instanceof UnavailableError || failure instanceof OverloadedError;
    expect(response.headers.get('retry-after')).toBe(retryable ? '1' : null);
    expect(response.headers.get('golog-leader')).toBe(failure instanceof UnavailableError ? '10.0.0.7:8400' : null);
  });

  it('tells nothing of an error that nobody foresaw, but logs it', async () => {
    const { baseUrl, commitLog, logger } = await serve();
    commitLog.failure = new Error('ENOENT: /var/lib/secret');
    const problem = await problemOf(await post(baseUrl, '{"record":{"value":"AA"}}'));
    expect(problem.status).toBe(500);
    expect(JSON.stringify(problem)).not.toMatch(/secret|ENOENT/);
    expect(logger.events('error')).toEqual(['request_failed']);
  });
});

describe('other requests', () => {
  it('sends a browser to the page', async () => {
    const { baseUrl } = await serve({ nodeName: 'n<1>' });
    const browser = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };
    const redirect = await fetch(baseUrl, { headers: browser, redirect: 'manual' });
    expect([redirect.status, redirect.headers.get('location')]).toEqual([302, '/ui']);
    const page = await fetch(baseUrl, { headers: browser });
    expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(await page.text()).toMatch(/node <b>n&lt;1&gt;<\/b>/);
    expect((await fetch(`${baseUrl}/?offset=0`, { headers: browser })).status).toBe(404);
  });

  it('answers HEAD like GET, without the body', async () => {
    const { baseUrl } = await serve();
    await post(baseUrl, '{"record":{"value":"AA"}}');
    const head = await fetch(`${baseUrl}/?offset=0`, { method: 'HEAD' });
    expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([200, '36', '']);
  });

  it.each<[string, string, number, string | null]>([
    ['PUT', '/', 405, 'GET, HEAD, POST'],
    ['OPTIONS', '/', 405, 'GET, HEAD, POST'],
    ['POST', '/healthz', 405, 'GET, HEAD'],
    ['GET', '/nothing', 404, null],
    ['GET', '//nothing', 404, null],
    ['POST', '/log.v1.Log/Nothing', 404, null],
    ['GET', '/log.v1.Log/Produce', 405, 'POST'],
    ['PUT', '/log.v1.Log/Consume', 405, 'POST, GET'],
  ])('%s %s → %d', async (method, path, status, allow) => {
    const { baseUrl } = await serve();
    const response = await fetch(`${baseUrl}${path}`, { method });
    expect([response.status, response.headers.get('allow')]).toEqual([status, allow]);
    await problemOf(response);
  });

  it('tells liveness and readiness', async () => {
    const { baseUrl, server } = await serve();
    const statusOf = async (path: string): Promise<number> => (await fetch(`${baseUrl}${path}`)).status;
    expect([await statusOf('/healthz'), await statusOf('/readyz')]).toEqual([200, 200]);
    const strict = { state: 'no-leader', problem: 'no leader; n2 unreachable for 8 s' } as const;
    server.setReadiness({ strict, latched: { ...strict, state: 'ready' } });
    const unready = await fetch(`${baseUrl}/readyz`);
    expect([await statusOf('/healthz'), unready.status, unready.headers.get('retry-after')]).toEqual([200, 503, '1']);
    expect(unready.headers.get('content-type')).toBe('application/json');
    expect(await unready.json()).toEqual({ status: 'no-leader', problem: strict.problem });
    const latched = await fetch(`${baseUrl}/readyz?latched`);
    expect([latched.status, await latched.json()]).toEqual([200, { status: 'ready', problem: strict.problem }]);
    const head = await fetch(`${baseUrl}/readyz`, { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([503, '']);
  });
});

describe('a request of no protocol that is served', () => {
  const json = { 'content-type': 'application/json' };

  it.each([
    ['Produce', {}, /^\/log\.v1\.Log\/Produce takes .* application\/json or application\/proto, .*; not "text\/plain;/],
    ['Produce', { 'content-type': 'application/json; charset=latin1' }, /; not "application\/json; charset=latin1"$/],
    ['Produce', { 'content-type': 'x'.repeat(4_000) }, /; not "x{100}"$/],
    ['ConsumeStream', json, /takes the content-type application\/connect\+json or .*; not "application\/json"$/],
    ['Consume', { 'content-type': 'application/grpc+thrift' }, /; not "application\/grpc\+thrift"$/],
  ])('is told what %s takes, with 415 (row %#)', async (method, headers, detail) => {
    const { baseUrl } = await serve();
    const response = await fetch(`${baseUrl}/log.v1.Log/${method}`, { method: 'POST', headers, body: '{}' });
    expect(response.status).toBe(415);
    expect(response.headers.get('accept-post')).toMatch(/^application\/(connect\+)?json, /);
    expect(await problemOf(response)).toMatchObject({ detail: expect.stringMatching(detail) });
  });

  it('is told that a method in both directions needs HTTP/2', async () => {
    const { baseUrl } = await serve();
    const headers = { 'content-type': 'application/connect+json' };
    const response = await fetch(`${baseUrl}/log.v1.Log/ProduceStream`, { method: 'POST', headers, body: '' });
    expect([response.status, (await problemOf(response)).detail]).toEqual([
      505,
      '/log.v1.Log/ProduceStream needs HTTP/2, and the request came over HTTP/1.1',
    ]);
  });

  it.each(['gzip', 'GZIP', 'br', 'gzip, gzip'])(
    'is told that / takes no %s, before its body is there',
    async (coding) => {
      const { baseUrl } = await serve();
      const body = gzipSync('{"record": {"value": "AA"}}');
      const response = await fetch(baseUrl, { method: 'POST', headers: { ...json, 'content-encoding': coding }, body });
      expect([response.status, response.headers.get('accept-encoding')]).toEqual([415, 'identity']);
      expect((await problemOf(response)).detail).toBe(
        `the body is encoded (${JSON.stringify(coding)}): send it as it is, or call a method by its name, which takes gzip and br`,
      );
      const plain = {
        method: 'POST',
        headers: { ...json, 'content-encoding': 'identity' },
        body: '{"record":{"value":"A"}}',
      };
      expect((await fetch(baseUrl, plain)).status).toBe(200);
    },
  );
});
