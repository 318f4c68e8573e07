import { afterEach, describe, expect, it } from '@jest/globals';
import { closeAll, serve } from './harness.js';

afterEach(closeAll);

function call(url: string, message: string, contentType: string): Promise<Response> {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(Buffer.byteLength(message), 1);
  const body = contentType.includes('+') ? Buffer.concat([head, Buffer.from(message)]) : message;
  return fetch(url, { method: 'POST', body, headers: { 'content-type': contentType } });
}

const rounded = [
  '9007199254740993',
  '9007199254740992',
  '1e16',
  '1.0E300',
  '-9007199254740993',
  '18446744073709551615',
];

describe('a number that JSON rounds', () => {
  it.each(rounded)('is INVALID_ARGUMENT, not another number: %s', async (number) => {
    const { baseUrl } = await serve();
    const message = `{ "offset" : ${number} }`;
    for (const response of [
      await call(`${baseUrl}/log.v1.Log/Consume`, message, 'application/json; charset=utf-8'),
      await fetch(`${baseUrl}/log.v1.Log/Consume?connect=v1&encoding=json&message=${encodeURIComponent(message)}`),
    ]) {
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({
        code: 'invalid_argument',
        message: expect.stringContaining(number),
      });
    }
    const stream = await call(`${baseUrl}/log.v1.Log/ConsumeStream`, message, 'application/connect+json');
    expect(await stream.text()).toMatch(/"code":"invalid_argument"/);
  });

  it('is exact as a string, and harmless within one', async () => {
    const { baseUrl } = await serve();
    const consume = await call(`${baseUrl}/log.v1.Log/Consume`, '{"offset":"9007199254740993"}', 'application/json');
    expect(await consume.json()).toMatchObject({
      code: 'out_of_range',
      message: expect.stringContaining('9007199254740993'),
    });
    const value = Buffer.from('\\" 99999999999999999999').toString('base64');
    for (const record of [`{"value":"${value}"}`, '{"value":"99999999999999999999"}', '{"headers":{"\\"9e99":""}}'])
      expect((await call(`${baseUrl}/log.v1.Log/Produce`, `{"record":${record}}`, 'application/json')).status).toBe(
        200,
      );
    expect((await call(`${baseUrl}/log.v1.Log/Consume`, '{"offset":0}', 'application/json')).status).toBe(200);
  });
});

describe('a time that the calendar does not have', () => {
  it.each(['2026-02-30T00:00:00Z', '2026-04-31T12:00:00.5+02:00', '2025-02-29T00:00:00Z', '2026-01-31T24:00:00Z'])(
    'is INVALID_ARGUMENT, not a later day: %s',
    async (since) => {
      const { baseUrl } = await serve();
      const response = await call(`${baseUrl}/golog.v1.LogService/Read`, JSON.stringify({ since }), 'application/json');
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({
        code: 'invalid_argument',
        message: expect.stringContaining(`there is no such time as "${since}"`),
      });
      const stream = await call(
        `${baseUrl}/golog.v1.LogService/Tail`,
        JSON.stringify({ since }),
        'application/connect+json',
      );
      expect(await stream.text()).toMatch(/"code":"invalid_argument"/);
    },
  );

  it('is refused only where a time is read', async () => {
    const { baseUrl } = await serve();
    const read = await call(
      `${baseUrl}/golog.v1.LogService/Read`,
      '{"since":"2024-02-29T00:00:00Z"}',
      'application/json',
    );
    expect(read.status).toBe(200);
    const record = '{"record":{"headers":{"2026-02-30T00:00:00Z" :""}}}';
    expect((await call(`${baseUrl}/log.v1.Log/Produce`, record, 'application/json')).status).toBe(200);
  });
});

describe('a name that a record has twice', () => {
  it.each([
    '{"value":"QQ==","value":"Qg=="}',
    '{"headers":{"a":"QQ==","a":"Qg=="}}',
    String.raw`{"key":"","k\u0065y":"QQ=="}`,
  ])('is INVALID_ARGUMENT, in a record and in a batch: %s', async (record) => {
    const { baseUrl } = await serve();
    for (const [method, message] of [
      ['log.v1.Log/Produce', `{"record":${record}}`],
      ['golog.v1.LogService/Append', `{"records":[{"value":"QQ=="},${record}]}`],
    ]) {
      const response = await call(`${baseUrl}/${method}`, message ?? '', 'application/json');
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ code: 'invalid_argument' });
    }
  });
});

describe('a message that is not UTF-8', () => {
  const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

  it.each<[string, string, string]>([
    ['log.v1.Log/Produce', '{"record":{"headers":{"\xff":"QQ=="}}}', 'a byte that is in none'],
    ['log.v1.Log/Produce', '{"record":{"headers":{"\xe2\x82":"QQ=="}}}', 'a character that is cut off'],
    ['golog.v1.LogService/Append', '{"records":[{"headers":{"a\xff":"QQ=="}}]}', 'a byte in a batch'],
    ['golog.v1.LogService/Append', '{"records":[{"headers":{"\xed\xa0\xbd":"QQ=="}}]}', 'half a surrogate pair'],
    ['golog.v1.LogService/Append', '{"records":[],"\xc0\x80":1}', 'an overlong zero, in an unknown field'],
  ])('is INVALID_ARGUMENT, and nothing is stored: %s, %j, %s', async (method, message) => {
    const { baseUrl } = await serve();
    const response = await fetch(`${baseUrl}/${method}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: bytes(message),
    });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ code: 'invalid_argument', message: 'the message is not UTF-8' });
    const read = await call(`${baseUrl}/golog.v1.LogService/GetLogInfo`, '{}', 'application/json');
    expect(((await read.json()) as { highWatermark?: string }).highWatermark).toBeUndefined();
  });
});
