import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect as connectTls } from 'node:tls';
import { create, toBinary } from '@bufbuild/protobuf';
import { Code, createClient } from '@connectrpc/connect';
import { createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node';
import { Metadata } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { identityMetadata } from '../../src/adapters/peer/identity/peer-identity.js';
import { needOfCall } from '../../src/application/access/access.js';
import { type ClientTls, ClusterClient } from '../../src/client/index.js';
import { JoinRequestSchema } from '../../src/gen/golog/peer/v1/peer_service_pb.js';
import { Log } from '../../src/gen/log/v1/log_pb.js';
import { eventually } from '../cluster/deadline.js';
import { modelFile } from '../cluster/security.js';
import { grpcCode, handshake } from '../security/callers.js';
import { CertificateSet } from '../security/certificate-sets.js';
import { oddCertificate } from '../security/odd-certificates.js';
import { Changeable, clientOf, policyFile, tlsFlags } from '../security/secure-node.js';
import { AttackedNode } from './attacked-node.js';
import { HostileClient } from './hostile-client.js';

/** Groups 4, 5 and 7 of the attacks that SECURITY.md speaks of, and the slow handshakes of group 2: with TLS and an ACL. */

let set: CertificateSet;
let stranger: CertificateSet;
let node: AttackedNode;
const changeable = new Changeable();

beforeAll(async () => {
  [set, stranger] = [await CertificateSet.own('n1', 'n2'), await CertificateSet.own('n1')];
  const [policy, ca] = [changeable.copy(policyFile, 'policy.csv'), changeable.copy(set.file('ca'), 'ca.pem')];
  // Both are withdrawn later.
  writeFileSync(policy, 'p, nobody, *, consume\n', { flag: 'a' });
  writeFileSync(ca, readFileSync(stranger.file('ca')), { flag: 'a' });
  const files = { 'server-tls-ca-file': ca, 'acl-model-file': modelFile, 'acl-policy-file': policy };
  const flags = [...tlsFlags(set, 'node-n1'), ...Object.entries(files)].flatMap(([name, value]) => [
    `--${name}`,
    String(value),
  ]);
  node = await AttackedNode.start(
    { grpc: {}, http: {} },
    ['--node-name', 'n1', '--log-level', 'debug', ...flags],
    clientOf(set, 'root-client'),
  );
}, 60_000);

afterAll(async () => {
  await node.stop();
  for (const each of [set, stranger, changeable]) each.remove();
});

const ports = (): number[] => [node.grpcPort, node.httpPort];
const addressOf = (port: number): string => `127.0.0.1:${port}`;

/** What the node said since the output was so long. */
const linesSince = (from: number): string[] => node.process.stderr.slice(from).split('\n').slice(0, -1);
const says = (what: string, from: number): Promise<unknown> =>
  eventually(`the node to say ${what}`, () => linesSince(from).some((line) => line.includes(what)) || undefined);

/** A record of TLS that says it has 512 bytes of handshake, and the beginning of a ClientHello. */
const helloBegins = Buffer.from('1603010200010001fc0303', 'hex');

it('a deadline closes 300 connections that are slow with the handshake of TLS, on both ports', async () => {
  const clients: HostileClient[] = [];
  await node.withstands('slow handshakes', async () => {
    for (const port of [node.grpcPort, node.httpPort])
      for (let count = 0; count < 150; count += 1) {
        const client = await HostileClient.connect(port);
        clients.push(client);
        if (count % 3 > 0) client.send(helloBegins);
        if (count % 3 < 2) continue;
        const trickle = setInterval(() => {
          client.send(Buffer.alloc(1));
        }, 200);
        client.socket.once('close', () => {
          clearInterval(trickle);
        });
      }
  });
  expect(clients.filter(({ hungUp }) => !hungUp)).toEqual([]);
});

it('an old ticket gets nobody in once its CA is withdrawn', async () => {
  const tls = { ...clientOf(stranger, 'root-client'), ca: clientOf(set).ca! };
  const tickets = await Promise.all(
    ports().map(async (port) => {
      const socket = connectTls({ port, host: '127.0.0.1', ALPNProtocols: ['h2'], ...tls });
      const [ticket] = (await once(socket, 'session')) as [Buffer];
      socket.destroy();
      expect(await handshake(port, { ...tls, session: ticket })).toBe('resumed');
      return [port, ticket] as const;
    }),
  );
  const from = node.process.stderr.length;
  writeFileSync(`${changeable.folder}/ca.pem`, readFileSync(set.file('ca')));
  await says('"event":"certificates_reloaded"', from);
  await node.withstands('old tickets', async () => {
    for (let round = 0; round < 20; round += 1)
      for (const [port, session] of tickets)
        expect(await handshake(port, { ...tls, session })).not.toMatch(/open|resumed/);
  });
  await says('"audit":"refused"', from);
});

it('certificates that are none get nobody further than the handshake', async () => {
  const { ca } = clientOf(set);
  const odd = async (...args: Parameters<typeof oddCertificate>): Promise<ClientTls> => ({
    ...(await oddCertificate(...args)),
    ca: ca!,
  });
  const intruders: readonly (readonly [ClientTls, string])[] = [
    [{ ca: ca! }, 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE'],
    [{ ...clientOf(stranger, 'root-client'), ca: ca! }, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
    [await odd(set, { commonName: 'root', days: [-2, -0.01] }), 'CERT_HAS_EXPIRED'],
    [await odd(set, { commonName: 'root', usage: 'serverAuth' }), 'INVALID_PURPOSE'],
    [await odd(set, { commonName: 'root\nroot' }), 'the certificate names nobody'],
  ];
  await node.withstands('certificates that are none', async () => {
    for (let round = 0; round < 10; round += 1)
      for (const port of ports()) {
        const ways = await Promise.all(intruders.map(([tls]) => handshake(port, tls)));
        expect(ways).not.toContain('open');
      }
  });
  for (const [, reason] of intruders) await says(`"reason":"${reason}"`, 0);
});

it('a client is no peer, and no node is another', async () => {
  const cluster = new ClusterClient([addressOf(node.grpcPort)], clientOf(set, 'root-client'));
  const clusterId = Buffer.from((await cluster.status()).clusterId.replaceAll('-', ''), 'hex');
  cluster.close();
  const asN3 = identityMetadata({ rpcAddr: '127.0.0.1:1', clusterId, from: 3, to: 1, name: 'n3' });
  const peerCalls = [...needOfCall].filter(([, need]) => need === 'node').map(([call]) => call);
  const from = node.process.stderr.length;
  await node.withstands('clients as peers', async () => {
    for (const call of peerCalls) {
      expect([call, await grpcCode(addressOf(node.grpcPort), clientOf(set, 'root-client'), call)]).toEqual([
        call,
        'PERMISSION_DENIED',
      ]);
      expect(await grpcCode(addressOf(node.grpcPort), clientOf(set, 'node-n2'), call, asN3)).not.toBe('open');
    }
  });
  await says('the certificate is of n2, not of n3', from);
});

it('who follows the log is cut off when the permission is withdrawn, and a broken policy changes nothing', async () => {
  const { ca, cert, key } = clientOf(set, 'nobody-client');
  const from = node.process.stderr.length;
  await node.withstands('a permission withdrawn', async () => {
    const sessions = ports().map(
      (port) => new Http2SessionManager(`https://${addressOf(port)}`, {}, { ca, cert, key }),
    );
    const followers = sessions.flatMap((sessionManager) => {
      const baseUrl = sessionManager.authority;
      const client = createClient(Log, createGrpcTransport({ baseUrl, sessionManager }));
      return Array.from({ length: 20 }, () => client.consumeStream({ offset: 0n })[Symbol.asyncIterator]());
    });
    for (const follower of followers) expect((await follower.next()).done).toBe(false);
    const ends = followers.map(async (follower) => {
      while ((await follower.next()).done !== true);
    });
    const settled = Promise.allSettled(ends);
    writeFileSync(`${changeable.folder}/policy.csv`, readFileSync(policyFile));
    for (const end of await settled)
      expect(end).toEqual({ status: 'rejected', reason: expect.objectContaining({ code: Code.PermissionDenied }) });
    writeFileSync(`${changeable.folder}/policy.csv`, 'p, nobody\n');
    await says('"event":"acl_reload_failed"', from);
    for (const session of sessions) session.abort();
  });
});

it('calls that a client may not make are denied on both ports, each of them', async () => {
  const mayNot = { 'nobody-client': ['produce', 'consume', 'observe', 'admin'], 'root-client': ['admin'] } as const;
  const from = node.process.stderr.length;
  let denied = 0;
  await node.withstands('calls that are denied', async () => {
    for (const [pair, denials] of Object.entries(mayNot))
      for (const [call, need] of needOfCall) {
        if (!call.startsWith('/') || !(denials as readonly string[]).includes(need)) continue;
        const codes = await Promise.all(ports().map((port) => grpcCode(addressOf(port), clientOf(set, pair), call)));
        expect([pair, call, codes]).toEqual([pair, call, ['PERMISSION_DENIED', 'PERMISSION_DENIED']]);
        denied += codes.length;
      }
  });
  expect(denied).toBeGreaterThan(30);
  const told = (): number => linesSince(from).filter((line) => line.includes('"audit":"denied"')).length;
  await eventually('a line for each denial', () => told() >= denied || undefined);
});

it('what callers send spoils no line of the log', async () => {
  const from = node.process.stderr.length;
  const forged = '\r\n{"level":"info","msg":"forged"}\u001b[2J\u0000';
  const joiner = { name: forged.repeat(20_000), uuid: forged, rpcAddr: forged, bootstrapExpect: 1 };
  const join = Buffer.from(toBinary(JoinRequestSchema, create(JoinRequestSchema, { joiner })));
  const metadata = new Metadata();
  metadata.set('golog-name', encodeURIComponent(forged).repeat(50));
  await node.withstands('hostile fields', async () => {
    for (let round = 0; round < 10; round += 1) {
      const n2 = clientOf(set, 'node-n2');
      const peer = '/golog.peer.v1.PeerService';
      expect(await grpcCode(addressOf(node.grpcPort), n2, `${peer}/Join`, metadata, join)).toBe('INVALID_ARGUMENT');
      expect(await grpcCode(addressOf(node.grpcPort), n2, `/${encodeURIComponent(forged).repeat(50)}`)).not.toBe(
        'open',
      );
      expect(await grpcCode(addressOf(node.httpPort), n2, `/${encodeURIComponent(forged).repeat(50)}`)).not.toBe(
        'open',
      );
    }
  });
  const lines = linesSince(from);
  expect(lines.length).toBeGreaterThan(0);
  for (const line of lines) {
    expect(line.length).toBeLessThan(16_000);
    expect((JSON.parse(line) as { msg: string }).msg).not.toBe('forged');
  }
});
