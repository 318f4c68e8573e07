import 'reflect-metadata';
import { once } from 'node:events';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { OutgoingTls } from '../../src/adapters/tls/index.js';
import { RecordingLogger } from '../logging/recording-logger.js';
import { handshake } from './callers.js';
import { CertificateSet } from './certificate-sets.js';
import { oddCertificate } from './odd-certificates.js';
import { clientOf, SecureNode, tlsFlags } from './secure-node.js';

const dayMs = 86_400_000;

describe('A4: a certificate that expires while its holder is connected', () => {
  let set: CertificateSet;
  let node: SecureNode;
  beforeAll(async () => {
    set = await CertificateSet.own('n1');
    node = await SecureNode.start(tlsFlags(set, 'node-n1'));
  });
  afterEach(() => {
    jest.restoreAllMocks();
  });
  afterAll(async () => {
    await node.stop();
    set.remove();
  });

  const pass = (days: number): void => {
    const now = Date.now();
    jest.spyOn(Date, 'now').mockReturnValue(now + days * dayMs);
  };

  /** A connection that the node has accepted, with a ticket for another one. */
  async function connected(port: number, tls: object): Promise<{ socket: TLSSocket; ticket: Buffer }> {
    const socket = connectTls({ port, host: '127.0.0.1', ALPNProtocols: ['h2'], ...tls });
    socket.on('error', () => undefined);
    socket.on('secureConnect', () => socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0'));
    const [[ticket]] = (await Promise.all([once(socket, 'session'), once(socket, 'data')])) as [[Buffer], unknown];
    socket.resume();
    return { socket, ticket };
  }

  it.each(['rpcPort', 'httpPort'] as const)(
    'ends the connection, and admits no ticket of it, on the %s',
    async (name) => {
      const port = node[name];
      const own = await oddCertificate(set, { commonName: 'root', days: [-1, 2] });
      const [brief, lasting] = await Promise.all([
        connected(port, clientOf(set, 'root-client')),
        connected(port, { ...clientOf(set), ...own }),
      ]);
      expect(await handshake(port, { ...clientOf(set, 'root-client'), session: brief.ticket })).toBe('resumed');
      const closed = Promise.all([brief, lasting].map(({ socket }) => once(socket, 'close')));
      // The certificates of the set, and their CA, are valid for one day; time passes for golog alone, not for OpenSSL.
      pass(1.5);
      await closed;
      expect(await handshake(port, { ...clientOf(set, 'root-client'), session: brief.ticket })).not.toMatch(
        /open|resumed/,
      );
      const reasons = node.logger.fieldsOf('connection_refused');
      expect(reasons).toContainEqual(
        expect.objectContaining({ audit: 'refused', reason: 'its certificate has expired' }),
      );
      expect(reasons).toContainEqual(expect.objectContaining({ reason: 'its certificate is not valid at this time' }));
    },
  );

  it('ends a connection to a peer as well', async () => {
    const { cert, key, ca } = clientOf(set, 'node-n1');
    const outgoing = new OutgoingTls({ certificate: cert!, key: key!, authority: ca! }, new RecordingLogger());
    const { socket } = await connected(node.rpcPort, clientOf(set, 'node-n1'));
    outgoing.connected(socket, outgoing.context);
    const closed = once(socket, 'close');
    pass(1.5);
    await closed;
    outgoing.close();
  });
});
