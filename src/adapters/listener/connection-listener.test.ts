import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { afterEach, describe, expect, it } from '@jest/globals';
import { anonymous } from '../../application/access/access.js';
import { ConnectionListener, type ConnectionListenerOptions, type Protocol } from './connection-listener.js';

const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const defaults: ConnectionListenerOptions = {
  host: '127.0.0.1',
  port: 0,
  protocols: ['http1', 'http2'],
  connectionsMax: 10,
  connectionsPerAddressMax: 10,
  handshakeMs: 5_000,
  stallMs: 5_000,
};

/** Takes a socket in clear for one whose TLS handshake has negotiated this protocol. */
const negotiated =
  (alpnProtocol: string): NonNullable<ConnectionListenerOptions['secure']> =>
  (socket, take) => {
    take(Object.assign(socket, { alpnProtocol }) as Socket as TLSSocket, anonymous);
  };

let listener: ConnectionListener;
afterEach(() => listener.close(0));

/** Connects, sends the text, and resolves with what the listener makes of it. */
async function outcome(options: Partial<ConnectionListenerOptions>, text: string): Promise<Protocol | 'closed'> {
  let accepted = (_: Protocol): void => undefined;
  const protocol = new Promise<Protocol>((resolve) => (accepted = resolve));
  listener = new ConnectionListener({ ...defaults, ...options }, (connection) => {
    accepted(connection.protocol);
    return undefined;
  });
  const client = connect(await listener.listen(), '127.0.0.1');
  client.on('error', () => undefined).resume();
  client.write(text);
  return Promise.race([protocol, once(client, 'close').then(() => 'closed' as const)]);
}

describe('a connection', () => {
  it.each([
    ['in clear', {}],
    ['over TLS', { secure: negotiated('http/1.1') }],
  ])('%s that says nothing is closed after the handshake deadline', async (_, options) => {
    expect(await outcome({ ...options, handshakeMs: 20 }, '')).toBe('closed');
  });

  it('speaks what its first bytes say', async () => {
    expect(await outcome({}, 'POST / HTTP/1.1\r\n')).toBe('http1');
  });

  it.each([
    ['h2', preface, 'http2'],
    ['h2', 'GET / HTTP/1.1\r\n', 'closed'],
    ['http/1.1', preface, 'closed'],
    ['http/1.1', 'GET / HTTP/1.1\r\n', 'http1'],
  ])('over TLS that negotiated %s and sends %j is %s', async (alpnProtocol, text, expected) => {
    expect(await outcome({ secure: negotiated(alpnProtocol) }, text)).toBe(expected);
  });

  it('in HTTP/1.1 is closed where only HTTP/2 is spoken', async () => {
    expect(await outcome({ protocols: ['http2'] }, 'GET / HTTP/1.1\r\n')).toBe('closed');
  });
});
