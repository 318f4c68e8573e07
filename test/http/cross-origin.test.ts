import { afterEach, describe, expect, it } from '@jest/globals';
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
