import { readdirSync } from 'node:fs';
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  Http2SessionManager,
} from '@connectrpc/connect-node';
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { identityMetadata } from '../../src/adapters/peer/identity/peer-identity.js';
import type { ClientTls } from '../../src/client/index.js';
import { Log } from '../../src/gen/log/v1/log_pb.js';
import { eventually, tell } from '../cluster/deadline.js';
import { Run } from '../cluster/fixture.js';
import type { LiveCluster, LiveNode } from '../cluster/live-cluster.js';
import { expectAllKept } from '../cluster/verdict.js';
import { compile, type Finished, runGolog, Scratch, ServerProcess } from '../end-to-end/golog-process.js';
import { testMs } from '../interop/statuses.js';
import { curl, grpcCode, handshake, hasCurl } from './callers.js';
import { CertificateSet } from './certificate-sets.js';
import { oddCertificate } from './odd-certificates.js';
import { valuesAt } from './secure-group.js';
import { clientOf } from './secure-node.js';
import { type NodeCertificates, rootOf, securePlaces } from './secure-places.js';

if (!hasCurl) tell('curl by mutual TLS is skipped: it is not installed');

const names = ['n1', 'n2', 'n3'];
/** By each kind of intruder at each port. */
const attempts = 10;
jest.setTimeout(testMs);

const scratch = new Scratch();
const run = new Run(scratch, 'secure');
let set: CertificateSet;
let stranger: CertificateSet;
let nodes: LiveCluster;
let certificates: NodeCertificates;

beforeAll(async () => {
  compile();
  [set, stranger] = await Promise.all([CertificateSet.own(...names, 'n4'), CertificateSet.own(...names)]);
  const secured = await securePlaces(run.folder(), names.length, set);
  ({ certificates } = secured);
  nodes = await run.clusterAt(secured.places);
}, 120_000);
afterAll(async () => {
  await run.end();
  set.remove();
  stranger.remove();
  scratch.remove();
});

const portOf = (address: string): number => Number(address.split(':').at(-1));
const ports = (node: LiveNode): number[] => [node.address, node.httpAddr].map(portOf);

/** The audit lines of a node, from the place where its output was. */
function auditOf(node: LiveNode, from = 0): unknown[] {
  const lines = node.output.slice(from).split('\n');
  return lines.filter((line) => line.includes('"audit":')).map((line) => JSON.parse(line) as unknown);
}

/** Flags of the CLI; as nobody in particular where there is no pair. */
function cliFlags(pair?: string): string[] {
  const own =
    pair === undefined
      ? ['--reconnect-timeout', '200ms']
      : ['--tls-cert-file', set.file(pair), '--tls-key-file', set.file(`${pair}-key`)];
  return ['--addr', nodes.addresses.join(), '--tls-ca-file', set.file('ca'), ...own];
}

const produce = (text: string, pair?: string): Promise<Finished> => runGolog(['produce', ...cliFlags(pair)], text);
const consume = (from: string, pair?: string): Promise<Finished> =>
  runGolog(['consume', '--from', from, ...cliFlags(pair)]);

it('root produces and consumes by the command line, nobody does not, and nobody gets in without a certificate', async () => {
  const produced = await produce('one\ntwo\n', 'root-client');
  expect(produced).toMatchObject({ code: 0 });
  expect(await consume('-2', 'root-client')).toMatchObject({ code: 0, stdout: 'one\ntwo\n' });

  const denied = await Promise.all([produce('three\n', 'nobody-client'), consume('earliest', 'nobody-client')]);
  for (const { code, stderr } of denied) {
    expect(code).toBe(1);
    expect(stderr).toMatch(/nobody.*may not|not permitted/);
  }
  const strangers = await Promise.all([produce('three\n'), consume('earliest')]);
  for (const { code } of strangers) expect(code).toBe(3);
  for (const [produced, consumed] of [denied, strangers])
    expect([produced.stdout, consumed.stdout]).toEqual([expect.stringMatching(/^(0 records.*\n)?$/), '']);
  expect(await consume('earliest', 'root-client')).toMatchObject({ code: 0, stdout: 'one\ntwo\n' });
});

it('root produces and consumes at each node by every protocol, nobody does not', async () => {
  const sessions: Http2SessionManager[] = [];
  const of = (tls: ClientTls, node: LiveNode): ReturnType<typeof createGrpcTransport>[] => {
    const [rpc, http] = [`https://${node.address}`, `https://${node.httpAddr}`];
    const nodeOptions = { ...tls };
    const http2 = (baseUrl: string): { baseUrl: string; sessionManager: Http2SessionManager } => {
      const sessionManager = new Http2SessionManager(baseUrl, undefined, nodeOptions);
      sessions.push(sessionManager);
      return { baseUrl, sessionManager };
    };
    return [
      createGrpcTransport(http2(rpc)),
      createGrpcTransport(http2(http)),
      createGrpcWebTransport({ baseUrl: http, httpVersion: '1.1', nodeOptions }),
      createConnectTransport({ ...http2(http), httpVersion: '2' }),
      createConnectTransport({ baseUrl: http, httpVersion: '1.1', nodeOptions }),
    ];
  };
  for (const node of nodes.nodes) {
    for (const [place, transport] of of(rootOf(set), node).entries()) {
      const client = createClient(Log, transport);
      const value = Buffer.from(`${node.name} ${place}`);
      const { offset } = await client.produce({ record: { value } });
      const { record } = await eventually('a follower to know that it is committed', () =>
        client.consume({ offset }).catch((error: unknown) => {
          if (ConnectError.from(error).code !== Code.OutOfRange) throw error;
          return undefined;
        }),
      );
      expect(Buffer.from(record?.value ?? [])).toEqual(value);
    }
    for (const transport of of(clientOf(set, 'nobody-client'), node)) {
      const client = createClient(Log, transport);
      await expect(client.produce({ record: {} })).rejects.toThrow(/permission_denied/);
      await expect(client.consume({ offset: 0n })).rejects.toThrow(/permission_denied/);
    }
    for (const transport of of(clientOf(set), node))
      await expect(createClient(Log, transport).consume({ offset: 0n })).rejects.toThrow(
        /unavailable|internal|aborted/,
      );
  }
  for (const session of sessions) session.abort();
});

(hasCurl ? it : it.skip)('root produces and consumes by curl at each node, nobody does not', async () => {
  for (const node of nodes.nodes) {
    const url = `https://${node.httpAddr}/`;
    const as = (pair: string): string[] => [
      ...['--cacert', set.file('ca'), '--cert', set.file(pair), '--key', set.file(`${pair}-key`)],
    ];
    const produced = await curl(...as('root-client'), url, '-d', `{"record": {"value": "curl ${node.name}"}}`);
    const { offset } = JSON.parse(produced.stdout) as { offset: number };
    const consumed = await eventually('a follower to know that it is committed', async () => {
      const { stdout } = await curl(...as('root-client'), `${url}?offset=${offset}`);
      return stdout.includes('OUT_OF_RANGE') ? undefined : stdout;
    });
    expect(JSON.parse(consumed)).toMatchObject({ record: { value: `curl ${node.name}`, offset } });
    expect(JSON.parse((await curl(...as('nobody-client'), `${url}?offset=0`)).stdout)).toMatchObject({
      code: 'PERMISSION_DENIED',
      subject: 'nobody',
    });
    expect(await curl('--cacert', set.file('ca'), `${url}?offset=0`)).toEqual({ code: expect.any(Number), stdout: '' });
  }
});

it('does not let a node join by the certificate of another, nor of another CA', async () => {
  const join = async (set: CertificateSet, pair: string): Promise<Finished> => {
    certificates.renew('n4', set, pair);
    certificates.trust('n4', set);
    const flags = ['--node-name', 'n4', ...nodes.joining, ...certificates.flags('n4')];
    return ServerProcess.spawn(run.file(`n4-${pair}`), '0', flags).finished;
  };
  const { code, stderr } = await join(set, 'node-n2');
  expect(code).toBe(1);
  expect(stderr).toMatch(/the cluster refuses this node: the certificate is for n2; expected n4/);

  // One whose certificate no member takes asks on.
  const before = nodes.nodes.map(({ output }) => output.length);
  certificates.renew('n4', stranger, 'node-n1');
  certificates.trust('n4', set);
  const flags = ['--node-name', 'n4', ...nodes.joining, ...certificates.flags('n4')];
  const foreign = ServerProcess.spawn(run.file('n4-foreign'), '0', flags);
  await eventually(
    () => `a member to refuse it: ${foreign.stderr}`,
    () => nodes.nodes.some((node, place) => auditOf(node, before[place]).length > 0) || undefined,
  );
  await foreign.stop();
  await nodes.voters(names);
});

it('gets nobody further than the handshake whose certificate is missing or none for it, and leaves nothing behind', async () => {
  const ca = clientOf(set).ca ?? '';
  const odd = async (...args: Parameters<typeof oddCertificate>): Promise<ClientTls> => ({
    ...(await oddCertificate(...args)),
    ca,
  });
  const uris = ['golog://main/node/n1'];
  const intruders: Record<string, ClientTls> = {
    'no certificate': { ca },
    'another CA': { ...clientOf(stranger, 'root-client'), ca },
    'another CA, as a node': { ...clientOf(stranger, 'node-n1'), ca },
    expired: await odd(set, { commonName: 'root', days: [-2, -0.01] }),
    'expired, as a node': await odd(set, { commonName: 'n1', uris, usage: 'serverAuth', days: [-2, -0.01] }),
    'not good yet': await odd(set, { commonName: 'root', days: [1, 2] }),
    'for servers alone': await odd(set, { commonName: 'root', usage: 'serverAuth' }),
    'a node for servers alone': await odd(set, { commonName: 'n1', uris, usage: 'serverAuth' }),
    'signed by a client': await odd(set, { commonName: 'admin' }, 'root-client'),
    'names nobody': await odd(set, { commonName: 'root\n\u001b[2Jroot' }),
  };
  const node = await nodes.leader();
  const before = node.output.length;
  const descriptors = (): number => readdirSync(`/proc/${node.pid}/fd`).length;
  const atRest = descriptors();
  for (const port of ports(node)) expect(await handshake(port, rootOf(set))).toBe('open');
  for (const [kind, tls] of Object.entries(intruders)) {
    for (const port of ports(node)) {
      const ways = await Promise.all(Array.from({ length: attempts }, () => handshake(port, tls)));
      expect([kind, new Set(ways).has('open')]).toEqual([kind, false]);
    }
  }
  for (const port of ports(node))
    expect(await handshake(port, { ...rootOf(set), maxVersion: 'TLSv1.2' })).not.toBe('open');
  await eventually(
    () => `the descriptors to be ${atRest} again: ${descriptors()}`,
    () => descriptors() < atRest + attempts || undefined,
  );
  const kinds = [
    'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE',
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    'CERT_HAS_EXPIRED',
    'CERT_NOT_YET_VALID',
    'INVALID_PURPOSE',
    'the certificate names nobody',
  ];
  for (const reason of kinds)
    expect(auditOf(node)).toContainEqual(expect.objectContaining({ audit: 'refused', reason, address: '127.0.0.1' }));
  const attempted = Object.keys(intruders).length * attempts * ports(node).length;
  expect(auditOf(node, before).length).toBeLessThan(attempted / 4);
});

it('takes no client for a peer, and no node for another', async () => {
  const [n1] = nodes.nodes;
  const { clusterId, members } = (await n1.view())!;
  const idOf = (name: string): number => members.find((member) => member.name === name)!.id;
  const call = (pair: string, name: string, method: string): Promise<string> =>
    grpcCode(
      n1.address,
      clientOf(set, pair),
      `/golog.peer.v1.PeerService/${method}`,
      identityMetadata({
        clusterId: Buffer.from(clusterId.replaceAll('-', ''), 'hex'),
        ...{ from: idOf(name), to: idOf('n1'), rpcAddr: '', name },
      }),
    );
  const before = n1.output.length;
  for (const method of ['Control', 'Bulk', 'Append', 'GetLogEnd', 'ReadEntries']) {
    for (const pair of ['root-client', 'nobody-client', 'node-n2', 'node-n4'])
      expect([method, pair, await call(pair, 'n3', method)]).toEqual([method, pair, 'PERMISSION_DENIED']);
  }
  expect(await call('node-n3', 'n3', 'GetLogEnd')).not.toBe('PERMISSION_DENIED');
  const audit = auditOf(n1, before);
  const denied = { audit: 'denied', action: 'node' };
  expect(audit).toContainEqual(expect.objectContaining({ ...denied, subject: 'root' }));
  expect(audit).toContainEqual(
    expect.objectContaining({ ...denied, subject: 'golog://main/node/n2', peer: 'n3', reason: expect.any(String) }),
  );
});

it('goes on without a member that has the certificate of another, which is back when it has its own', async () => {
  const tls = rootOf(set);
  const earlier = await valuesAt(nodes.addresses[0], tls);
  const load = run.load(nodes, 2, () => tls);
  load.unknown.push(...earlier);
  await load.more();
  const [follower, other] = await nodes.followers();
  await follower.stop();
  certificates.renew(follower.name, set, `node-${other.name}`);
  const before = nodes.nodes.map(({ output }) => output.length);
  const reason = `the certificate is for ${other.name}; expected ${follower.name}`;
  await expect(follower.start()).rejects.toThrow(`the cluster refuses this node: ${reason}`);
  const audited = nodes.nodes.flatMap((node, i) => (node === follower ? [] : auditOf(node, before[i])));
  expect(audited).toContainEqual(expect.objectContaining({ audit: 'denied', peer: follower.name, reason }));
  await load.more();
  certificates.renew(follower.name, set);
  await follower.start();
  await nodes.replicating(3);
  await expectAllKept(nodes, load);
  tell(load.describe());
});
