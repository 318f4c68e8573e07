import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Client } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { PeerTrust, tlsCredentials } from '../../src/adapters/peer/index.js';
import { certifiedCaller, OutgoingTls } from '../../src/adapters/tls/index.js';
import { RecordingLogger } from '../logging/recording-logger.js';
import { CertificateSet } from './certificate-sets.js';
import { oddCertificate } from './odd-certificates.js';
import { SecureNode, tlsFlags } from './secure-node.js';

let set: CertificateSet;
const endings: (() => unknown)[] = [];
beforeAll(async () => (set = await CertificateSet.own('n1', 'n2')));
afterAll(() => set.remove());
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

const logger = new RecordingLogger();
const certificateFor = (...uris: string[]): Promise<{ cert: string; key: string }> =>
  oddCertificate(set, { commonName: 'a node', uris, dns: ['localhost'], usage: 'both' });

describe('two clusters of one CA', () => {
  it('pair each name of a certificate with its cluster', async () => {
    const { cert } = await certificateFor('golog://other/node/n1', 'golog://main/node/n2', 'golog://other/node/n3');
    const caller = certifiedCaller(new X509Certificate(cert));
    const others = [{ cluster: 'main', names: ['n2'] }];
    expect(caller?.node).toEqual({ cluster: 'other', names: ['n1', 'n3'], others });
    const reasonFor = (own: string, name: string): string | undefined =>
      new PeerTrust({
        ...{ requireNodeIdentity: true, logger },
        own: () => ({ subject: 'own', certified: true, node: { cluster: own, names: ['own'] } }),
      }).rejectionReason(caller, name);
    expect(reasonFor('main', 'n2')).toBeUndefined();
    expect(reasonFor('main', 'n1')).toBe('the certificate is for n2; expected n1');
    expect(reasonFor('other', 'n3')).toBeUndefined();
    expect(reasonFor('other', 'n2')).toBe('the certificate is for n1, n3; expected n2');
    expect(reasonFor('third', 'n2')).toBe('the certificate is for cluster other, main; expected third');
  });

  it('are told apart by a node that calls as well', async () => {
    const one = await SecureNode.start(tlsFlags(set, 'node-n1'));
    endings.push(() => one.stop());
    const authority = readFileSync(set.file('ca'), 'utf8');
    const connects = async (cluster: string, name?: string): Promise<boolean> => {
      const { cert, key } = await certificateFor(`golog://${cluster}/node/n2`);
      const outgoing = new OutgoingTls({ certificate: cert, key, authority }, logger);
      const own = (): ReturnType<typeof certifiedCaller> => certifiedCaller(outgoing.material.certificate);
      const credentials = tlsCredentials({ outgoing, identify: certifiedCaller, own, requireNodeIdentity: true });
      const client = new Client(one.rpcAddr, credentials(name), { 'grpc.use_local_subchannel_pool': 1 });
      return new Promise((resolve) => {
        client.waitForReady(Date.now() + 1_000, (error) => {
          client.close();
          outgoing.close();
          resolve(error === undefined);
        });
      });
    };
    for (const name of ['n1', undefined]) {
      expect(await connects('main', name)).toBe(true);
      expect(await connects('other', name)).toBe(false);
    }
  });
});
