import { randomUUID } from 'node:crypto';
import { request as httpsRequest } from 'node:https';
import { Client, credentials, type ServiceError, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { ClusterClient, type ClientTls, type ClusterStatus } from '../../src/client/index.js';
import { modelFile } from '../cluster/security.js';
import { claimAll, joins, seatsOf } from '../cluster/seat-claims.js';
import { CertificateSet } from '../security/certificate-sets.js';
import { clientOf, policyFile, tlsFlags } from '../security/secure-node.js';
import { AttackedNode } from './attacked-node.js';

/** What the holder of a valid certificate may try at a node with mutual TLS and a policy. */

const joinsMax = 300;
const deniedCalls = 2_000;
/** A denied call is logged once, then counted: with others, in a minute, this is far more than there are. */
const denialLinesMax = 20;

let set: CertificateSet;
let node: AttackedNode;
let root: ClientTls;

beforeAll(async () => {
  set = await CertificateSet.own('n1', 'n2');
  root = clientOf(set, 'root-client');
  const files = { 'acl-model-file': modelFile, 'acl-policy-file': policyFile };
  const options = [...tlsFlags(set, 'node-n1'), ...Object.entries(files)];
  const flags = options.flatMap(([name, value]) => [`--${name}`, String(value)]);
  node = await AttackedNode.start({ grpc: {}, http: {} }, ['--node-name', 'n1', ...flags], root);
}, 180_000);

afterAll(async () => {
  await node.stop();
  set.remove();
});

const grpcAddr = (): string => `127.0.0.1:${node.grpcPort}`;
const auditSince = (from: number, what: string): string[] =>
  node.process.stderr
    .slice(from)
    .split('\n')
    .filter((line) => line.includes(`"audit":"${what}"`));

async function clusterStatus(): Promise<ClusterStatus> {
  const cluster = new ClusterClient([grpcAddr()], root);
  try {
    return await cluster.status();
  } finally {
    cluster.close();
  }
}

it('A3: the UUID of the member gives its seat to no other node, and each claim is audited', async () => {
  const before = await clusterStatus();
  const from = node.process.stderr.length;
  await node.withstands('claims of a seat', async () => {
    for (let round = 0; round < 10; round += 1) {
      const answers = await claimAll([grpcAddr()], before, joins(clientOf(set, 'node-n2')), [undefined, 'n2', 'n9']);
      expect(answers.filter(({ kind }) => kind === 'joined' || kind === 'waiting')).toEqual([]);
    }
  });
  expect(seatsOf(await clusterStatus())).toEqual(seatsOf(before));
  expect(auditSince(from, 'join').filter((line) => line.includes('"decision":"refused"'))).not.toEqual([]);
});

it('A8: a page of the same host in clear is refused', async () => {
  const statusFor = (origin: string): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const target = { host: '127.0.0.1', port: node.httpPort, method: 'POST', path: '/', ...root };
      const headers = { origin, 'content-type': 'application/json' };
      httpsRequest({ ...target, headers, agent: false }, (response) => {
        response.resume();
        resolve(response.statusCode);
      })
        .on('error', reject)
        .end('{"record":{"value":"a"}}');
    });
  const host = `127.0.0.1:${node.httpPort}`;
  await node.withstands('pages of other origins', async () => {
    for (let round = 0; round < 20; round += 1)
      for (const origin of [`http://${host}`, 'https://127.0.0.1', `https://localhost:${node.httpPort}`, 'null'])
        expect([origin, await statusFor(origin)]).toEqual([origin, 403]);
  });
  expect(await statusFor(`https://${host}`)).toBe(200);
});

it('A14: a call that is denied 2,000 times fills no log', async () => {
  const { ca = '', cert = '', key = '' } = clientOf(set, 'nobody-client');
  const [rootCerts, keyPem, certPem] = [ca, key, cert].map((text) => Buffer.from(text));
  const client = new Client(grpcAddr(), credentials.createSsl(rootCerts, keyPem, certPem));
  const same = (bytes: Buffer): Buffer => bytes;
  const call = (): Promise<number | undefined> =>
    new Promise((resolve) => {
      client.makeUnaryRequest('/log.v1.Log/Produce', same, same, Buffer.alloc(0), (error: ServiceError | null) => {
        resolve(error?.code);
      });
    });
  const from = node.process.stderr.length;
  const codes = new Set<number | undefined>();
  await node.withstands('a call that is denied again and again', async () => {
    for (let count = 0; count < deniedCalls; count += 50)
      for (const code of await Promise.all(Array.from({ length: 50 }, call))) codes.add(code);
    client.close();
  });
  expect([...codes]).toEqual([status.PERMISSION_DENIED]);
  const told = auditSince(from, 'denied').length;
  expect(told).toBeGreaterThan(0);
  expect(told).toBeLessThan(denialLinesMax);
});

it('A11: a node that joins again and again with an empty disk has one seat', async () => {
  const transport = joins(clientOf(set, 'node-n2'));
  await node.withstands('joins under one name', async () => {
    for (let count = 0; count < joinsMax; count += 1) {
      const joiner = { name: 'n2', uuid: randomUUID(), rpcAddr: '127.0.0.1:9', bootstrapExpect: 0, featureLevel: 1 };
      // Refused or admitted, in either case it answers.
      await transport.ask(grpcAddr(), joiner, AbortSignal.timeout(10_000));
    }
  });
  const { members } = await clusterStatus();
  expect(members.filter(({ name }) => name === 'n2').length).toBeLessThanOrEqual(1);
  expect(members.length).toBeLessThanOrEqual(2);
});
