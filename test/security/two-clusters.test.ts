import { X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { Client } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { PeerTrust, tlsCredentials } from '../../src/adapters/peer/index.js';
import { certifiedCaller, OutgoingTls } from '../../src/adapters/tls/index.js';
import { ClusterClient } from '../../src/client/index.js';
import { RecordingLogger } from '../logging/recording-logger.js';
import { compile, Scratch, ServerProcess } from '../end-to-end/golog-process.js';
import { CertificateSet } from './certificate-sets.js';
import { oddCertificate } from './odd-certificates.js';
import { clientOf, SecureNode, tlsFlags } from './secure-node.js';

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

describe('A10: a live node whose certificate names nodes of two clusters', () => {
  const scratch = new Scratch();
  const flagsOf = (pair: string): string[] =>
    [...tlsFlags(set, pair)].flatMap(([name, value]) => [`--${name}`, String(value)]);

  beforeAll(compile, 120_000);
  afterAll(() => scratch.remove());

  it.each([
    ['its own first', ['golog://main/node/n4', 'golog://other/node/n2']],
    ['the other first', ['golog://other/node/n2', 'golog://main/node/n4']],
  ])(
    'is in each only who it is there: %s',
    async (order, uris) => {
      const pair = `odd-${order.replaceAll(' ', '-')}`;
      const { cert, key } = await certificateFor(...uris);
      writeFileSync(set.file(pair), cert);
      writeFileSync(set.file(`${pair}-key`), key, { mode: 0o600 });
      const own = [...flagsOf('node-n1'), '--require-node-identity', '--node-name', 'n1', '--bootstrap'];
      const first = await ServerProcess.start(scratch.file(`${pair}-n1`), undefined, own);
      const odd = [...flagsOf(pair), '--require-node-identity', '--start-join-addrs', first.gossipAddr];
      for (const name of ['n2', 'n3']) {
        const joining = ServerProcess.spawn(scratch.file(`${pair}-${name}`), '0', ['--node-name', name, ...odd]);
        const { code, stderr } = await joining.finished;
        expect([name, code, stderr]).toEqual([name, 1, expect.stringMatching(/the certificate is for n4; expected n/)]);
      }
      const fourth = await ServerProcess.start(scratch.file(`${pair}-n4`), undefined, ['--node-name', 'n4', ...odd]);
      const cluster = new ClusterClient([first.rpcAddr], clientOf(set, 'root-client'));
      for (;;) {
        const { members } = await cluster.status({});
        expect(['n1', 'n1,n4']).toContain(members.map(({ name }) => name).join());
        if (members.length === 2 && members.every(({ role }) => role !== 'learner')) break;
      }
      cluster.close();
      expect(await fourth.stop()).toBe(0);
      expect(await first.stop()).toBe(0);
    },
    120_000,
  );
});
