import 'reflect-metadata';
import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { CertificateAuthority } from '../../src/adapters/tls/certificate-authority.js';
import { type ClientTls, LogClient } from '../../src/client/index.js';
import { handshake } from './callers.js';
import { CertificateSet, hasCfssl } from './certificate-sets.js';
import { clientOf, SecureNode, tlsFlags } from './secure-node.js';

/** A session that does not answer is let go after one to two of these. */
const pingEveryMs = 20_000;

describe.each([
  ['golog certs init', () => CertificateSet.own('n1')],
  ...(hasCfssl ? [['make gencert', async () => CertificateSet.cfssl('n1')] as const] : []),
] as const)('a node with certificates by %s', (_, make) => {
  let set: CertificateSet;
  let stranger: CertificateSet;
  let node: SecureNode;
  beforeAll(async () => {
    [set, stranger] = [await make(), await CertificateSet.own()];
    node = await SecureNode.start(tlsFlags(set, 'node-n1'));
  });
  afterAll(async () => {
    await node.stop();
    set.remove();
    stranger.remove();
  });

  it('serves a client with a certificate', async () => {
    const client = LogClient.connect(node.rpcAddr, clientOf(set, 'root-client'));
    expect((await client.info()).highWatermark).toBe(0);
    client.close();
    for (const port of [node.rpcPort, node.httpPort])
      expect(await handshake(port, clientOf(set, 'root-client'))).toBe('open');
  });

  it('lets nobody in without one, with one of another CA, or with an older TLS', async () => {
    const { ca } = clientOf(set);
    for (const port of [node.rpcPort, node.httpPort]) {
      expect(await handshake(port, { ca })).not.toBe('open');
      expect(await handshake(port, { ...clientOf(stranger, 'root-client'), ca })).not.toBe('open');
      expect(await handshake(port, { ...clientOf(set, 'root-client'), maxVersion: 'TLSv1.2' })).not.toBe('open');
    }
    const reasons = node.logger.fieldsOf('connection_refused');
    expect(reasons).toContainEqual(
      expect.objectContaining({ audit: 'refused', reason: 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE' }),
    );
    expect(reasons).toContainEqual(expect.objectContaining({ reason: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' }));
  });

  it('lets nobody in whose certificate has expired, is for a server alone, or names nobody', async () => {
    if (!set.isOwn) return;
    const authority = await CertificateAuthority.load({
      certificate: readFileSync(set.file('ca'), 'utf8'),
      key: readFileSync(set.file('ca-key'), 'utf8'),
    });
    const as = async (pair: Promise<{ certificate: string; key: string }>): Promise<ClientTls> => {
      const { certificate, key } = await pair;
      return { ...clientOf(set), cert: certificate, key };
    };
    const forged = await as(authority.client('root\nroot', 1));
    for (const port of [node.rpcPort, node.httpPort]) {
      expect(await handshake(port, await as(authority.client('root', -0.001)))).not.toBe('open');
      expect(await handshake(port, forged)).not.toBe('open');
      expect(await handshake(port, await as(authority.client('r'.repeat(64), 1)))).toBe('open');
    }
    const reasons = node.logger.fieldsOf('connection_refused');
    expect(reasons).toContainEqual(expect.objectContaining({ reason: 'CERT_HAS_EXPIRED' }));
    expect(reasons).toContainEqual(expect.objectContaining({ reason: 'the certificate names nobody' }));
  });

  it('shows nothing to a client in clear', async () => {
    for (const port of [node.rpcPort, node.httpPort]) {
      const socket = connectTcp(port, '127.0.0.1');
      const got: Buffer[] = [];
      socket.on('data', (chunk) => got.push(chunk)).on('error', () => undefined);
      socket.write('POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 25\r\n\r\n{"record":{"value":"AA"}}');
      await once(socket, 'close');
      expect(Buffer.concat(got).toString('latin1')).not.toMatch(/HTTP/);
    }
  });

  it('lets go of a session that its client has closed, before it asks whether it is there', async () => {
    for (const port of [node.rpcPort, node.httpPort]) {
      const socket = connectTls({ port, host: '127.0.0.1', ALPNProtocols: ['h2'], ...clientOf(set, 'root-client') });
      await once(socket, 'secureConnect');
      socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0');
      await once(socket, 'data');
      socket.end();
      await once(socket.resume(), 'end', { signal: AbortSignal.timeout(pingEveryMs / 2) });
    }
  });

  it('has a client notice that it is not the server that it looks for', async () => {
    for (const port of [node.rpcPort, node.httpPort])
      expect(await handshake(port, { ...clientOf(set, 'root-client'), ca: clientOf(stranger).ca! })).not.toBe('open');
  });
});
