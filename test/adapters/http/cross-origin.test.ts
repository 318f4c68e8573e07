import { afterEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { type OutgoingHttpHeaders, request } from 'node:http';
import { connect, type IncomingHttpHeaders } from 'node:http2';
import { crossOriginOf } from '../../../src/adapters/http/cross-origin.js';
import type { HttpRequest } from '../../../src/adapters/http/http-message.js';
import { closeAll, serve } from './harness.js';

afterEach(closeAll);

const body = '{"record":{"value":"AA"}}';

describe('requests of web pages', () => {
  it('of another origin append nothing, whatever their content type', async () => {
    const { baseUrl, commitLog } = await serve();
    for (const origin of ['https://evil.example', 'null', 'http://127.0.0.1:1']) {
      const response = await fetch(baseUrl, { method: 'POST', body, headers: { origin } });
      expect(response.status).toBe(403);
      expect(response.headers.get('access-control-allow-origin')).toBeNull();
      expect(await response.json()).toMatchObject({ title: 'Origin not allowed' });
    }
    expect(commitLog.batches).toEqual([]);
  });

  it('of its own origin need no permission', async () => {
    const { baseUrl } = await serve();
    expect((await fetch(baseUrl, { method: 'POST', body, headers: { origin: baseUrl } })).status).toBe(200);
  });

  it('of a configured origin may, and see what Connect needs', async () => {
    const origin = 'https://console.example';
    const { baseUrl } = await serve({ corsOrigins: [origin] });
    const preflight = await fetch(`${baseUrl}/log.v1.Log/Produce`, {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get('access-control-allow-methods')).toBe('POST, GET');
    expect(preflight.headers.get('access-control-allow-headers')).toMatch(/Content-Type.*Connect-Protocol-Version/);
    expect(preflight.headers.get('vary')).toBe('Origin');

    const response = await fetch(`${baseUrl}/log.v1.Log/Produce`, {
      method: 'POST',
      body: '{"record":{}}',
      headers: { origin, 'content-type': 'application/json' },
    });
    expect(await response.text()).toBe('{}');
    expect(response.headers.get('access-control-allow-origin')).toBe(origin);
    expect(response.headers.get('access-control-expose-headers')).toMatch(/Grpc-Status.*golog-leader/);
    const refused = await fetch(`${baseUrl}/?offset=7`, { headers: { origin } });
    expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([404, origin]);
    expect((await fetch(baseUrl, { method: 'POST', body, headers: { origin: 'https://other.example' } })).status).toBe(
      403,
    );
  });

  it('of any origin may where * is configured', async () => {
    const { baseUrl } = await serve({ corsOrigins: ['*'] });
    const response = await fetch(baseUrl, { method: 'POST', body, headers: { origin: 'https://any.example' } });
    expect(response.status).toBe(200);
  });
});

/** The status of a request with these headers, which `fetch` does not let be set. */
function statusWith(port: number, path: string, headers: OutgoingHttpHeaders, method = 'GET') {
  return new Promise<{ status: number | undefined; type: string | undefined; text: string }>((resolve, reject) => {
    request({ port, host: '127.0.0.1', path, method, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response
        .on('data', (chunk: Buffer) => chunks.push(chunk))
        .on('end', () => {
          const text = Buffer.concat(chunks).toString();
          resolve({ status: response.statusCode, type: response.headers['content-type'], text });
        });
    })
      .on('error', reject)
      .end();
  });
}

describe('requests that a page of another origin causes without naming it', () => {
  const read = `/golog.v1.LogService/Read?connect=v1&encoding=json&message=${encodeURIComponent('{}')}`;
  const paths = [
    read,
    '/log.v1.Log/Consume?connect=v1&encoding=proto&message=',
    '/?offset=0',
    '/ui',
    '/readyz',
    '/healthz',
    '/no',
  ];
  const image = { 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' };
  const link = { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document', 'sec-fetch-user': '?1' };

  it.each(['cross-site', 'same-site', 'Cross-Site', 'same-origin, cross-site', ''])(
    'are refused, whatever they ask for: %j',
    async (site) => {
      const { port } = await serve();
      for (const path of paths)
        for (const method of ['GET', 'HEAD']) {
          const answer = await statusWith(port, path, { ...image, 'sec-fetch-site': site }, method);
          expect([path, answer.status, answer.type]).toEqual([path, 403, 'application/problem+json']);
          if (method === 'GET')
            expect(JSON.parse(answer.text)).toMatchObject({
              type: 'urn:golog:problem:cross-site-request',
              status: 403,
              detail: expect.stringMatching(/--cors-origins/),
            });
        }
    },
  );

  it('are refused over HTTP/2', async () => {
    const { baseUrl } = await serve();
    const session = connect(baseUrl);
    const stream = session.request({ ':path': read, 'sec-fetch-site': 'cross-site', ...image });
    const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders];
    session.destroy();
    expect(headers[':status']).toBe(403);
  });

  it('are served if they are links that are followed to a page, and are no calls', async () => {
    const { port, baseUrl } = await serve();
    await fetch(baseUrl, { method: 'POST', body });
    for (const site of ['cross-site', 'same-site']) {
      for (const path of ['/ui', '/?offset=0', '/healthz'])
        expect((await statusWith(port, path, { ...link, 'sec-fetch-site': site })).status).toBe(200);
      expect((await statusWith(port, read, { ...link, 'sec-fetch-site': site })).status).toBe(403);
      // A frame, and pages that a page has fetched before anybody follows a link.
      for (const more of [{ 'sec-fetch-dest': 'iframe' }, { 'sec-purpose': 'prefetch' }, { purpose: 'prefetch' }])
        expect((await statusWith(port, '/?offset=0', { ...link, 'sec-fetch-site': site, ...more })).status).toBe(403);
    }
  });

  it('are served where every origin may call, and where it is a configured one that names itself', async () => {
    const any = await serve({ corsOrigins: ['*'] });
    expect((await statusWith(any.port, read, { ...image, 'sec-fetch-site': 'cross-site' })).status).toBe(200);
    const origin = 'https://console.example';
    const { port } = await serve({ corsOrigins: [origin] });
    const cors = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'cors', origin };
    expect((await statusWith(port, read, cors)).status).toBe(200);
    expect((await statusWith(port, read, { ...image, 'sec-fetch-site': 'cross-site' })).status).toBe(403);
  });

  it('are not those of its own pages, of an address that was typed in, or of what is no browser', async () => {
    const { port } = await serve();
    for (const headers of [{}, { 'sec-fetch-site': 'same-origin' }, { 'sec-fetch-site': 'none' }])
      expect((await statusWith(port, read, { ...image, ...headers })).status).toBe(200);
  });

  it('are also those that say they are of its own origin while the browser says they are not', async () => {
    const { port } = await serve();
    const origin = `http://127.0.0.1:${port}`;
    expect((await statusWith(port, read, { origin, 'sec-fetch-site': 'same-origin' })).status).toBe(200);
    expect((await statusWith(port, read, { origin, 'sec-fetch-site': 'cross-site' })).status).toBe(403);
  });
});

describe('names of a listener on the loopback', () => {
  function statusFor(port: number, host: string, origin?: string): Promise<number | undefined> {
    return new Promise((resolve, reject) => {
      const headers = { host, ...(origin === undefined ? {} : { origin }) };
      const call = request({ port, host: '127.0.0.1', method: 'POST', headers, agent: false }, (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      call.on('error', reject).end(body);
    });
  }

  it('are those of the loopback; a name made to resolve to it is refused', async () => {
    const { port, commitLog } = await serve();
    for (const host of [
      'evil.example',
      `evil.example:${port}`,
      '127.evil.example',
      'localhost.evil.example',
      '10.0.0.1',
    ]) {
      expect(await statusFor(port, host, `http://${host}`)).toBe(421);
      expect(await statusFor(port, host)).toBe(421);
    }
    expect(commitLog.batches).toEqual([]);
    for (const host of ['localhost', 'LOCALHOST:80', `127.0.0.1:${port}`, '127.1.2.3', `[::1]:${port}`, '[::1]'])
      expect([host, await statusFor(port, host)]).toEqual([host, 200]);
  });

  it('are those of configured origins, too', async () => {
    const { port } = await serve({ corsOrigins: ['https://log.example:8443'] });
    expect(await statusFor(port, 'log.example')).toBe(200);
    expect(await statusFor(port, 'other.example')).toBe(421);
    expect(await statusFor((await serve({ corsOrigins: ['*'] })).port, 'other.example')).toBe(200);
  });

  it('do not matter elsewhere', async () => {
    const { port } = await serve({ host: '0.0.0.0' });
    expect(await statusFor(port, 'log.example')).toBe(200);
  });
});

describe('A8: the origin of a page is that of the listener', () => {
  it.each([
    ['http', 'http://n1:4001', 'n1:4001', 'same-origin'],
    ['https', 'https://n1:4001', 'n1:4001', 'same-origin'],
    ['https', 'http://n1:4001', 'n1:4001', 'refused'],
    ['http', 'https://n1:4001', 'n1:4001', 'refused'],
    ['https', 'https://n1', 'n1:443', 'same-origin'],
    ['http', 'http://n1', 'n1', 'same-origin'],
    ['http', 'http://N1:4001', 'n1:4001', 'same-origin'],
    ['http', 'http://n1:4002', 'n1:4001', 'refused'],
    ['http', 'http://n2:4001', 'n1:4001', 'refused'],
    ['http', 'ftp://n1:4001', 'n1:4001', 'refused'],
    ['http', 'null', 'n1:4001', 'refused'],
  ] as const)('over %s, for a page of %s that asks for %s: %s', (scheme, origin, host, verdict) => {
    expect(crossOriginOf({ headers: { origin, host } } as HttpRequest, [], scheme).verdict).toBe(verdict);
  });
});
