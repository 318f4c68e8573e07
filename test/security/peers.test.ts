import { readFileSync, writeFileSync } from 'node:fs';
import { X509Certificate } from 'node:crypto';
import { Client } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from '@jest/globals';
import { tlsCredentials } from '../../src/adapters/peer/index.js';
import { identityMetadata } from '../../src/adapters/peer/identity/peer-identity.js';
import { certifiedCaller, OutgoingTls } from '../../src/adapters/tls/index.js';
import { ClusterClient, LogClient } from '../../src/client/index.js';
import { writeCertificateSet } from '../../src/infrastructure/certificate-set.js';
import { grpcCode } from './callers.js';
import { CertificateSet, hasCfssl } from './certificate-sets.js';
import { groupNames, Load, SecureGroup, valuesAt } from './secure-group.js';
import { aclFlags, Changeable, clientOf, policyFile, SecureNode, tlsFlags } from './secure-node.js';

const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

const strict = new Map([['require-node-identity', 'true']]);

async function ownSet(...nodes: string[]): Promise<CertificateSet> {
  const set = await CertificateSet.own(...nodes);
  endings.push(() => set.remove());
  return set;
}

async function cfsslSet(...nodes: string[]): Promise<CertificateSet> {
  const set = CertificateSet.cfssl(...nodes);
  endings.push(() => set.remove());
  return set;
}

async function startGroup(...args: Parameters<typeof SecureGroup.start>): Promise<SecureGroup> {
  const group = await SecureGroup.start(...args);
  endings.push(() => group.stop());
  return group;
}

describe.each([['golog certs init', ownSet], ...(hasCfssl ? [['make gencert', cfsslSet] as const] : [])] as const)(
  'three nodes with certificates by %s',
  (_, make) => {
    it('form a cluster that takes appends, reads and administration at any of them', async () => {
      const set = await make(...groupNames);
      const root = clientOf(set, 'root-client');
      const changeable = new Changeable();
      endings.push(() => changeable.remove());
      const policy = changeable.copy(policyFile, 'policy.csv');
      writeFileSync(policy, 'p, root, *, admin\n', { flag: 'a' });
      const acl = new Map([...aclFlags, ['acl-policy-file', policy] as const]);
      const group = await startGroup(set, (name) => `node-${name}`, acl, strict);
      await group.formed(root);
      const sent: string[] = [];
      for (const address of group.addresses) {
        const load = await Load.start(address, [address], root);
        await load.progress(5);
        sent.push(...(await load.stop()));
      }
      for (const address of group.addresses) expect(await valuesAt(address, root)).toEqual(sent);
      for (const address of group.addresses) {
        const cluster = new ClusterClient([address], root);
        for (const name of groupNames) expect(await cluster.transferLeadership(name)).toBe(name);
        cluster.close();
      }
      const denied = group.nodes
        .flatMap(({ logger }) => logger.audit())
        .filter((line) => !('audit' in line && (line.audit === 'admin' || line.audit === 'join')));
      expect(denied).toEqual([]);
    });
  },
);

describe('a node with the certificate of another name', () => {
  it('is not let into the cluster, and is told why', async () => {
    const set = await ownSet('n1', 'n2');
    const one = await SecureNode.start(tlsFlags(set, 'node-n1'));
    endings.push(() => one.stop());
    const flags = new Map<string, unknown>([
      ['node-name', 'n3'],
      ['start-join-addrs', one.gossipAddr],
    ]);
    await expect(SecureNode.start(tlsFlags(set, 'node-n2'), flags)).rejects.toThrow(
      'the cluster refuses this node: the certificate is for n2; expected n3',
    );
    expect(one.logger.audit()).toContainEqual(
      expect.objectContaining({ audit: 'denied', action: 'node', peer: 'n3', subject: 'golog://main/node/n2' }),
    );
    expect(one.logger.fieldsOf('admin_action')).toEqual([]);
  });

  it('is no peer of a member that it claims to be', async () => {
    const set = await ownSet(...groupNames);
    const root = clientOf(set, 'root-client');
    const group = await startGroup(set, (name) => `node-${name}`);
    await group.formed(root);
    const cluster = new ClusterClient([group.addresses[0]], root);
    const { clusterId, members } = await cluster.status({ local: true });
    cluster.close();
    const idOf = (name: string): number => members.find((member) => member.name === name)!.id;
    const call = (pair: string, from: string, name: string): Promise<string> =>
      grpcCode(
        group.addresses[0],
        clientOf(set, pair),
        '/golog.peer.v1.PeerService/GetLogEnd',
        identityMetadata({
          clusterId: Buffer.from(clusterId.replaceAll('-', ''), 'hex'),
          from: idOf(from),
          to: idOf('n1'),
          rpcAddr: '',
          name,
        }),
      );
    expect(await call('node-n2', 'n2', 'n2')).not.toBe('PERMISSION_DENIED');
    expect(await call('node-n2', 'n3', 'n3')).toBe('PERMISSION_DENIED');
    expect(await call('node-n2', 'n3', 'n2')).toBe('PERMISSION_DENIED');
    expect(await call('node-n2', 'n2', 'n3')).toBe('PERMISSION_DENIED');
    expect(await call('node-n2', 'n2', '')).toBe('PERMISSION_DENIED');
    expect(await call('root-client', 'n2', 'n2')).toBe('PERMISSION_DENIED');
  });

  it('is not taken for the one that a node dials', async () => {
    const set = await ownSet('n1', 'n2');
    const one = await SecureNode.start(tlsFlags(set, 'node-n1'));
    endings.push(() => one.stop());
    const { cert = '', key = '', ca = '' } = clientOf(set, 'node-n2');
    const outgoing = new OutgoingTls({ certificate: cert, key, authority: ca }, one.logger);
    const credentials = tlsCredentials({ outgoing, identify: certifiedCaller, requireNodeIdentity: true });
    let shown: readonly string[] | undefined;
    const connects = (name?: string): Promise<boolean> => {
      const channel = credentials(name);
      const client = new Client(one.rpcAddr, channel, { 'grpc.use_local_subchannel_pool': 1 });
      return new Promise((resolve) => {
        client.waitForReady(Date.now() + 1_000, (error) => {
          client.close();
          shown = channel.peerNames;
          resolve(error === undefined);
        });
      });
    };
    expect(await connects('n1')).toBe(true);
    expect(await connects()).toBe(true);
    expect(shown).toEqual(['n1']);
    expect(await connects('n2')).toBe(false);
  });
});

describe('a certificate that names no node', () => {
  it('is taken among peers with a warning, as the one of the original', async () => {
    const set = await ownSet();
    const group = await startGroup(set, () => 'server');
    await group.formed(clientOf(set, 'root-client'));
    for (const { logger } of group.nodes) {
      const warnings = logger.events('warn');
      expect(warnings).toContain('certificate_names_no_node');
      expect(warnings).toContain('peer_identity_unverified');
    }
  });

  it('is refused with --require-node-identity', async () => {
    const set = await ownSet('n1');
    const one = await SecureNode.start(tlsFlags(set, 'node-n1'), strict);
    endings.push(() => one.stop());
    const flags = new Map<string, unknown>([
      ['node-name', 'n2'],
      ['start-join-addrs', one.gossipAddr],
    ]);
    await expect(SecureNode.start(tlsFlags(set), flags)).rejects.toThrow(/the certificate names no node/);
  });
});

describe('who holds a certificate', () => {
  it('is its SAN URI, or its common name; a node is who may be a server as well', async () => {
    const set = await ownSet('n1');
    await writeCertificateSet({
      ...{ directory: set.folder, cluster: 'main', nodes: [], days: 1, caDays: 1, force: false },
      ...{ hosts: ['127.0.0.1'], clients: ['billing'] },
    });
    const callerOf = (pair: string): unknown => certifiedCaller(new X509Certificate(readFileSync(set.file(pair))));
    expect(callerOf('billing-client')).toEqual({ subject: 'billing', certified: true });
    expect(callerOf('server')).toEqual({ subject: 'golog server', certified: true, node: { names: [] } });
    expect(callerOf('node-n1')).toEqual({
      subject: 'golog://main/node/n1',
      certified: true,
      node: { cluster: 'main', names: ['n1'] },
    });
    if (!hasCfssl) return;
    const cfssl = await cfsslSet('n1');
    const node = certifiedCaller(new X509Certificate(readFileSync(cfssl.file('node-n1'))));
    expect(node).toEqual({ subject: 'n1', certified: true, node: { names: ['n1'] } });
    const server = certifiedCaller(new X509Certificate(readFileSync(cfssl.file('server'))));
    expect(server).toEqual({ subject: 'golog server', certified: true, node: { names: [] } });
  });
});

it('a client in clear learns from the log of the node alone', async () => {
  const set = await ownSet('n1');
  const one = await SecureNode.start(tlsFlags(set, 'node-n1'));
  endings.push(() => one.stop());
  const client = LogClient.connect(one.rpcAddr);
  await expect(client.info(AbortSignal.timeout(500))).rejects.toThrow();
  client.close();
});
