import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { DescMethod, DescService } from '@bufbuild/protobuf';
import { Metadata } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ClientTls } from '../../src/client/index.js';
import { needOfCall } from '../../src/application/access/access.js';
import { writeCertificateSet } from '../../src/infrastructure/certificate-set.js';
import { tell } from '../cluster/deadline.js';
import { root } from '../foundation/checkout.js';
import { connectCode, curl, grpcCode, grpcWebCode, hasCurl, routeStatus } from './callers.js';
import { CertificateSet } from './certificate-sets.js';
import { aclFlags, Changeable, clientOf, policyFile, SecureNode, tlsFlags } from './secure-node.js';

/** The certificates whose holders make each call. */
const identities = { root: 'root-client', nobody: 'nobody-client', admin: 'admin-client', n1: 'node-n1' } as const;
type Identity = keyof typeof identities;
const names = Object.keys(identities) as Identity[];

const permitted: Readonly<Record<string, readonly Identity[]>> = {
  '/log.v1.Log/Produce': ['root'],
  '/log.v1.Log/ProduceStream': ['root'],
  '/log.v1.Log/Consume': ['root'],
  '/log.v1.Log/ConsumeStream': ['root'],
  '/log.v1.Log/GetServers': ['root'],
  '/golog.v1.LogService/Append': ['root'],
  '/golog.v1.LogService/AppendStream': ['root'],
  '/golog.v1.LogService/OpenProducer': ['root'],
  '/golog.v1.LogService/CloseProducer': ['root'],
  '/golog.v1.LogService/Read': ['root'],
  '/golog.v1.LogService/Tail': ['root'],
  '/golog.v1.LogService/GetLogInfo': ['root'],
  '/golog.v1.ClusterService/GetCluster': ['root'],
  '/golog.v1.ClusterService/WatchCluster': ['root'],
  '/golog.v1.ClusterService/AddMember': ['admin'],
  '/golog.v1.ClusterService/PromoteMember': ['admin'],
  '/golog.v1.ClusterService/RemoveMember': ['admin'],
  '/golog.v1.ClusterService/TransferLeadership': ['admin'],
  '/golog.v1.ClusterService/SetSetting': ['admin'],
  '/golog.v1.ClusterService/TruncateLog': ['admin'],
  '/golog.peer.v1.PeerService/Control': ['n1'],
  '/golog.peer.v1.PeerService/Bulk': ['n1'],
  '/golog.peer.v1.PeerService/Append': ['n1'],
  '/golog.peer.v1.PeerService/Join': ['n1'],
  '/golog.peer.v1.PeerService/Vouch': ['n1'],
  '/golog.peer.v1.PeerService/GetLogEnd': ['n1'],
  '/golog.peer.v1.PeerService/ReadEntries': ['n1'],
  '/golog.peer.v1.PeerService/FollowEntries': ['n1'],
  '/golog.peer.v1.PeerService/GetReadBarrier': ['n1'],
  '/grpc.health.v1.Health/Check': names,
  '/grpc.health.v1.Health/Watch': names,
  '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo': names,
  '/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo': names,
};

/** Every method of every service that is generated. */
async function generatedMethods(): Promise<DescMethod[]> {
  const folder = join(root, 'src/gen');
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('_pb.ts'));
  const modules = await Promise.all(
    files.map((file) => import(pathToFileURL(join(folder, file)).href) as Promise<Record<string, unknown>>),
  );
  const isService = (value: unknown): value is DescService =>
    typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'service';
  return modules.flatMap((module) => Object.values(module).filter(isService)).flatMap(({ methods }) => methods);
}

const pathOf = ({ parent, name }: DescMethod): string => `/${parent.typeName}/${name}`;

const certOf = (pair: string): string[] => ['--cert', set.file(pair), '--key', set.file(`${pair}-key`)];

let set: CertificateSet;
let changeable: Changeable;
let node: SecureNode;

beforeAll(async () => {
  set = await CertificateSet.own('n1');
  const more = { nodes: [], hosts: ['127.0.0.1'], clients: ['admin'], days: 1, caDays: 1, force: false };
  await writeCertificateSet({ directory: set.folder, cluster: 'main', ...more });
  changeable = new Changeable();
  const policy = changeable.copy(policyFile, 'policy.csv');
  writeFileSync(policy, 'p, admin, *, admin\n', { flag: 'a' });
  node = await SecureNode.start(tlsFlags(set, 'node-n1'), aclFlags, new Map([['acl-policy-file', policy]]));
  // A stream over HTTP/1.1 says nothing before its first message.
  expect(await routeStatus(node.httpPort, clientOf(set, 'root-client'), 'POST', '/')).toBe(200);
});
afterAll(async () => {
  await node.stop();
  set.remove();
  changeable.remove();
});

it('every call has an action, and is in the table of this test', async () => {
  const paths = (await generatedMethods()).map(pathOf);
  expect(paths.length).toBeGreaterThan(20);
  for (const path of paths) expect([path, needOfCall.has(path), path in permitted]).toEqual([path, true, true]);
  const rpcs = [...needOfCall.keys()].filter((call) => call.startsWith('/'));
  expect(rpcs.sort()).toEqual(Object.keys(permitted).sort());
});

const refused = ['PERMISSION_DENIED', 'UNAUTHENTICATED'];

/** What each identity is answered; of those that may, only that it is no refusal. */
async function verdicts(codeOf: (name: Identity) => Promise<string>): Promise<Record<string, string>> {
  const answers = names.map(async (name) => {
    const code = await codeOf(name);
    return [name, refused.includes(code) ? code : 'let in'];
  });
  return Object.fromEntries(await Promise.all(answers)) as Record<string, string>;
}

const expected = (those: readonly Identity[]): Record<string, string> =>
  Object.fromEntries(names.map((name) => [name, those.includes(name) ? 'let in' : 'PERMISSION_DENIED']));

const tlsOf = (name: Identity): ClientTls => clientOf(set, identities[name]);

it.each(Object.entries(permitted))('%s over gRPC', async (path, those) => {
  // A node that says nothing of itself is not admitted by the peer service either, but not for want of permission.
  expect(await verdicts((name) => grpcCode(node.rpcAddr, tlsOf(name), path))).toEqual(expected(those));
});

const onHttp = Object.entries(permitted).filter(([path]) => /^\/(log|golog)\.v1\./.test(path));

it.each(onHttp)('%s over Connect, gRPC-Web and gRPC on the port of HTTP', async (path, those) => {
  const kind = (await generatedMethods()).find((method) => pathOf(method) === path)?.methodKind;
  const isStream = kind !== 'unary';
  expect(await verdicts((name) => grpcCode(node.httpAddr, tlsOf(name), path))).toEqual(expected(those));
  // Streams of requests need HTTP/2, which browsers give no access to.
  if (kind === 'bidi_streaming') return;
  expect(await verdicts((name) => grpcWebCode(node.httpPort, tlsOf(name), path))).toEqual(expected(those));
  expect(await verdicts((name) => connectCode(node.httpPort, tlsOf(name), path, isStream))).toEqual(expected(those));
});

/** The JSON routes and pages: by whom, of those that have a certificate, each may be asked for. */
const permittedRoutes: Readonly<Record<string, readonly Identity[]>> = {
  'POST /': ['root'],
  'GET /': ['root'],
  'HEAD /': ['root'],
  'GET /ui': names,
  'HEAD /ui': names,
  'GET /ui/': names,
  'HEAD /ui/': names,
  'GET /healthz': names,
  'HEAD /healthz': names,
  'GET /readyz': names,
  'HEAD /readyz': names,
};

it('every JSON route has an action, and is in the table of this test', () => {
  const routes = [...needOfCall.keys()].filter((call) => !call.startsWith('/'));
  expect(routes.sort()).toEqual(Object.keys(permittedRoutes).sort());
});

it.each(Object.entries(permittedRoutes))('%s', async (route, those) => {
  const [method, path] = route.split(' ');
  const target = path === '/' && method !== 'POST' ? '/?offset=0' : path;
  const ask = (tls: ClientTls): Promise<number> => routeStatus(node.httpPort, tls, method, target);
  for (const name of names) expect([name, await ask(tlsOf(name))]).toEqual([name, those.includes(name) ? 200 : 403]);
  await expect(ask(clientOf(set))).rejects.toThrow();
});

if (!hasCurl) tell('curl with --cacert --cert --key is skipped: it is not installed');

(hasCurl ? describe : describe.skip)('curl with --cacert --cert --key', () => {
  const url = (path: string): string => `https://127.0.0.1:${node.httpPort}${path}`;
  const as = (pair: string): string[] => ['--cacert', set.file('ca'), ...certOf(pair)];

  it.each(['--http1.1', '--http2'])('root may produce and consume, %s', async (version) => {
    const produced = await curl(version, ...as('root-client'), url('/'), '-d', '{"record": {"value": "AA"}}');
    const { offset } = JSON.parse(produced.stdout) as { offset: number };
    const consumed = await curl(version, ...as('root-client'), '-X', 'GET', url('/'), '-d', JSON.stringify({ offset }));
    expect(JSON.parse(consumed.stdout)).toMatchObject({ record: { value: 'AA', offset } });
  });

  it('nobody may neither, and is told what it lacks', async () => {
    for (const args of [
      ['-d', '{"record": {"value": "AA"}}'],
      ['-X', 'GET', '-d', '{"offset": 0}'],
    ]) {
      const { stdout } = await curl(...as('nobody-client'), url('/'), ...args, '--write-out', '\n%{http_code}');
      const [body, code] = stdout.split('\n');
      expect(code).toBe('403');
      expect(JSON.parse(body)).toMatchObject({
        type: 'urn:golog:problem:not-permitted',
        code: 'PERMISSION_DENIED',
        subject: 'nobody',
        action: args.includes('GET') ? 'consume' : 'produce',
        object: '*',
      });
    }
  });

  it('anybody with a certificate may ask for health and the page, and nobody without one', async () => {
    for (const path of ['/healthz', '/readyz', '/ui']) {
      const { stdout } = await curl(
        ...as('nobody-client'),
        url(path),
        '-o',
        '/dev/null',
        '--write-out',
        '%{http_code}',
      );
      expect(stdout).toBe('200');
      const { code } = await curl('--cacert', set.file('ca'), url(path));
      expect(code).not.toBe(0);
    }
  });
});

describe('the log', () => {
  it('has a JSON line for each admin action and each denial, of those that are repeated for the first', async () => {
    const quiet = await SecureNode.start(
      tlsFlags(set, 'node-n1'),
      aclFlags,
      new Map([['acl-policy-file', `${changeable.folder}/policy.csv`]]),
    );
    for (let i = 0; i < 20; i++) await grpcCode(quiet.rpcAddr, clientOf(set, 'nobody-client'), '/log.v1.Log/Produce');
    await grpcCode(quiet.rpcAddr, clientOf(set, 'admin-client'), '/golog.v1.ClusterService/RemoveMember');
    await connectCode(quiet.httpPort, clientOf(set, 'root-client'), '/golog.v1.ClusterService/AddMember', false);
    await quiet.stop();
    expect(quiet.logger.audit()).toEqual([
      expect.objectContaining({ audit: 'denied', subject: 'nobody', action: 'produce', call: '/log.v1.Log/Produce' }),
      expect.objectContaining({ audit: 'admin', subject: 'admin', call: '/golog.v1.ClusterService/RemoveMember' }),
      expect.objectContaining({ audit: 'denied', subject: 'root', action: 'admin' }),
    ]);
  });
});

describe('to say that a call is forwarded', () => {
  it('lets a node administer, and nobody else', async () => {
    const forwarded = new Metadata();
    forwarded.set('golog-forwarded', '1');
    const path = '/golog.v1.ClusterService/RemoveMember';
    const code = (pair: string, method = path): Promise<string> =>
      grpcCode(node.rpcAddr, clientOf(set, pair), method, forwarded);
    expect(await code('root-client')).toBe('PERMISSION_DENIED');
    expect(await code('node-n1')).toBe('INVALID_ARGUMENT');
    expect(await code('node-n1', '/log.v1.Log/Produce')).toBe('PERMISSION_DENIED');
  });
});
