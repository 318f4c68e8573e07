import { afterEach, describe, expect, it } from '@jest/globals';
import { request } from 'node:http';
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
