import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { JoinAnswer } from '../../src/application/ports/join-transport.js';
import { ClusterClient, type ClientTls, type ClusterStatus } from '../../src/client/index.js';
import { freePorts } from '../cluster/free-ports.js';
import { claimAll, joins, seatsOf } from '../cluster/seat-claims.js';
import { CertificateSet } from './certificate-sets.js';
import { oddCertificate } from './odd-certificates.js';
import { groupNames, Load, SecureGroup } from './secure-group.js';
import { clientOf, SecureNode, tlsFlags } from './secure-node.js';

const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

async function statusAt(address: string, tls?: ClientTls): Promise<ClusterStatus> {
  const cluster = new ClusterClient([address], tls);
  try {
    return await cluster.status({});
  } finally {
    cluster.close();
  }
}

describe('three nodes with certificates that name them', () => {
  let set: CertificateSet;
  let group: SecureGroup;
  let root: ClientTls;

  beforeAll(async () => {
    set = await CertificateSet.own(...groupNames, 'n4');
    root = clientOf(set, 'root-client');
    group = await SecureGroup.start(set, (name) => `node-${name}`);
    await group.formed(root);
  });
  afterAll(async () => {
    await group.stop();
    set.remove();
  });

  const web = async (): Promise<ClientTls> => ({
    ...(await oddCertificate(set, { commonName: 'www.example.org', dns: ['www.example.org', 'n9'], usage: 'both' })),
    ca: root.ca ?? '',
  });
  const unnamed = async (): Promise<ClientTls> => ({
    ...(await oddCertificate(set, { commonName: 'a web server', dns: ['www.example.org'], usage: 'both' })),
    ca: root.ca ?? '',
  });
  const callers: Record<string, () => Promise<ClientTls>> = {
    "a web server's certificate of the same CA": web,
    "a web server's certificate without a name of a node": unnamed,
    'the certificate for all nodes': async () => clientOf(set, 'server'),
    'the certificate of a node that is no member': async () => clientOf(set, 'node-n4'),
    'the certificate of another member': async () => clientOf(set, 'node-n2'),
  };

  it.each(Object.entries(callers))('lose no seat to the holder of %s', async (_, tlsOf) => {
    const before = await statusAt(group.addresses[0], root);
    const names = [undefined, 'n2', 'n4', 'n9', 'www.example.org'];
    const answers = await claimAll(group.addresses, before, joins(await tlsOf()), names);
    // n2 with its own name and UUID: it is alive, and that is all the caller is told.
    expect(answers.filter(({ kind }) => kind === 'joined' || kind === 'waiting')).toEqual([]);
    const after = await statusAt(group.addresses[0], root);
    expect([seatsOf(after), after.leader]).toEqual([seatsOf(before), before.leader]);
    const load = await Load.start('goes on', group.addresses, root);
    await load.progress(3);
    await load.stop();
  });

  it.each([
    ["a web server's certificate of the same CA", 'n9', web],
    ["a web server's certificate of the same CA", 'www.example.org', web],
    ["a web server's certificate without a name of a node", 'n9', unnamed],
    ['the certificate for all nodes', 'n9', async () => clientOf(set, 'server')],
  ] as const)('admit no new node with %s, as %s', async (_, name, tlsOf) => {
    const joiner = {
      name,
      uuid: '0d3fd9b2-6b0c-4e57-b6a4-222222222222',
      rpcAddr: '127.0.0.1:9',
      bootstrapExpect: 0,
      featureLevel: 1,
    };
    const transport = joins(await tlsOf());
    for (const address of group.addresses)
      expect(await transport.ask(address, joiner, AbortSignal.timeout(10_000))).toMatchObject({ kind: 'refused' });
    expect((await statusAt(group.addresses[0], root)).members).toHaveLength(3);
  });

  it('audit each decision with the certificate, the name, the UUID and the address', async () => {
    const { members } = await statusAt(group.addresses[0], root);
    const audit = group.nodes.flatMap(({ logger }) => logger.audit());
    for (const { name, uuid, rpcAddr } of members.filter(({ id }) => id !== 1))
      expect(audit).toContainEqual(
        expect.objectContaining({
          ...{ audit: 'join', decision: 'admitted', changed: true, name, uuid, rpcAddr },
          subject: `golog://main/node/${name}`,
          address: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
        }),
      );
    expect(audit).toContainEqual(
      expect.objectContaining({
        ...{ audit: 'join', decision: 'refused', name: 'n4', subject: 'golog://main/node/n4' },
        reason: expect.stringContaining('start it with --node-name'),
      }),
    );
    expect(audit).toContainEqual(
      expect.objectContaining({ audit: 'denied', action: 'node', peer: 'n9', subject: 'www.example.org' }),
    );
  });
});

describe('a node with --allowed-node-names', () => {
  it('takes no other for a peer, and one that it names by its DNS name', async () => {
    const set = await CertificateSet.own('n1', 'n4');
    endings.push(() => set.remove());
    const one = await SecureNode.start(tlsFlags(set, 'node-n1'), new Map([['allowed-node-names', 'n1,n5']]));
    endings.push(() => one.stop());
    const ask = async (name: string, tls: ClientTls): Promise<JoinAnswer> => {
      const joiner = {
        name,
        uuid: '0d3fd9b2-6b0c-4e57-b6a4-333333333333',
        rpcAddr: '127.0.0.1:9',
        bootstrapExpect: 0,
        featureLevel: 1,
      };
      return joins(tls).ask(one.rpcAddr, joiner, AbortSignal.timeout(10_000));
    };
    expect(await ask('n4', clientOf(set, 'node-n4'))).toMatchObject({
      kind: 'refused',
      reason: 'n4 is not in --allowed-node-names',
    });
    const named = await oddCertificate(set, { commonName: 'n5', dns: ['n5'], usage: 'both' });
    expect(await ask('n5', { ...named, ca: clientOf(set).ca ?? '' })).toMatchObject({ kind: 'joined' });
  });
});

describe('three nodes without TLS', () => {
  it('lose no seat to anybody while they answer, and the member warns', async () => {
    const addresses = (await freePorts(3)).map((port) => `127.0.0.1:${port}`);
    const gossip = (await freePorts(3)).map((port) => `127.0.0.1:${port}`);
    const nodes = await Promise.all(
      groupNames.map((name, i) =>
        SecureNode.start(
          new Map<string, unknown>([
            ...Object.entries({ 'node-name': name, 'rpc-port': addresses[i].split(':')[1], 'bind-addr': gossip[i] }),
            ...Object.entries({ 'bootstrap-expect': '3', 'start-join-addrs': gossip.join(',') }),
          ]),
        ),
      ),
    );
    endings.push(() => Promise.all(nodes.map((node) => node.stop())));
    let before = await statusAt(addresses[0]);
    while (before.members.filter(({ role }) => role !== 'learner').length < 3) before = await statusAt(addresses[0]);
    const answers = await claimAll(addresses, before, joins(), [undefined, 'n9', 'n1']);
    expect(answers.filter(({ kind }) => kind === 'joined' || kind === 'waiting')).toEqual([]);
    const after = await statusAt(addresses[0]);
    expect([seatsOf(after), after.leader]).toEqual([seatsOf(before), before.leader]);
    for (const { logger } of nodes) expect(logger.events('warn')).toContain('data_directory_copied');
    const load = await Load.start('goes on', addresses);
    await load.progress(3);
    await load.stop();
  });
});
