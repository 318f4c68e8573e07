import { create, toBinary } from '@bufbuild/protobuf';
import { Metadata } from '@grpc/grpc-js';
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { identityMetadata } from '../../src/adapters/peer/identity/peer-identity.js';
import { JoinRequestSchema, PeerService } from '../../src/gen/golog/peer/v1/peer_service_pb.js';
import { grpcCode } from '../security/callers.js';
import { eventually } from './deadline.js';
import { clusterTests, type Run } from './fixture.js';
import { LiveCluster } from './live-cluster.js';
import { isSecured, modelFile } from './security.js';
import { expectKept } from './verdict.js';

const run = clusterTests();

/** Flags of a node without TLS whose policy permits everybody what clients may do. */
function withPolicy(own: Run): string[] {
  const path = own.file('policy.csv');
  writeFileSync(path, ['produce', 'consume', 'observe'].map((action) => `p, anonymous, *, ${action}\n`).join(''));
  return ['--acl-model-file', modelFile, '--acl-policy-file', path];
}

/** Returns how many denied calls of the caller to this path the log of a node counts. */
function denialsOf(output: string, subject: string, path: string): number {
  const denied = { audit: 'denied', subject, action: 'node', call: path };
  const lines = output.split('\n').filter((line) => line.includes('"audit":"denied"') && line.endsWith('}'));
  return lines
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter((line) => Object.entries(denied).every(([key, value]) => line[key] === value))
    .reduce((sum, { more }) => sum + (typeof more === 'number' ? more : 1), 0);
}

const joiner = { name: 'n2', uuid: randomUUID(), rpcAddr: '127.0.0.1:9', bootstrapExpect: 0, featureLevel: 1n };
const joinRequest = Buffer.from(toBinary(JoinRequestSchema, create(JoinRequestSchema, { joiner })));

describe('A2: a node with a policy', () => {
  it(
    'refuses every call among nodes of those that are not nodes, and audits it',
    run('peer-calls', async (own) => {
      own.refuses();
      const nodes = await own.cluster(1, isSecured ? [] : withPolicy(own), ({ nodes: [node] }) =>
        node.start(['--bootstrap']),
      );
      const [node] = nodes.nodes;
      const load = own.load(nodes);
      await load.more();
      const clusterId = Buffer.from((await node.view())!.clusterId.replaceAll('-', ''), 'hex');
      const known = { clusterId, rpcAddr: '127.0.0.1:9' };
      const claims = [
        new Metadata(),
        identityMetadata({ ...known, from: 2, to: 1, name: 'n2' }),
        identityMetadata({ ...known, from: 0, to: 0, name: 'r1' }),
      ];
      const callers = isSecured
        ? [['producer', own.tls('producer')] as const, ['operator', own.tls('operator')] as const]
        : [['anonymous', undefined] as const];
      for (const [subject, tls] of callers)
        for (const { name } of PeerService.methods) {
          const path = `/${PeerService.typeName}/${name}`;
          for (const metadata of claims) {
            const request = name === 'Join' ? joinRequest : Buffer.alloc(0);
            const code = await grpcCode(node.address, tls, path, metadata, request);
            expect([path, code]).toEqual([path, isSecured ? 'PERMISSION_DENIED' : 'UNAUTHENTICATED']);
          }
          await eventually(`the audit of ${path}`, () => denialsOf(node.output, subject, path) > 0 || undefined);
        }
      // Those of one caller and call within ten seconds are logged as one line that counts them.
      for (const [subject] of callers)
        for (const { name } of PeerService.methods) {
          const path = `/${PeerService.typeName}/${name}`;
          await eventually(`all audits of ${path}`, () => denialsOf(node.output, subject, path) === 3 || undefined);
        }
      expect((await node.view())?.members.map(({ name }) => name)).toEqual(['n1']);
      await load.more();
      await expectKept(nodes, load);
    }),
    240_000,
  );

  it.each(['--bootstrap-expect=3', '--replica', '--start-join-addrs=127.0.0.1:9'])(
    'and without certificates of its peers does not start in a cluster: %s',
    async (flag) =>
      run(`uncertified ${flag}`, async (own) => {
        const place = await LiveCluster.place(own.folder(), 'n1');
        const tls = own.secured(place).args ?? [];
        const i = tls.indexOf('--server-tls-ca-file');
        const args = isSecured ? tls.filter((_, at) => at !== i && at !== i + 1) : withPolicy(own);
        const node = own.nodeAt({ ...place, args: args.filter((flag) => flag !== '--require-node-identity') });
        await expect(node.start(['--start-join-addrs', '127.0.0.1:9', flag])).rejects.toThrow();
        expect(node.output).toMatch(/peers need certificates: give .*--server-tls-ca-file/);
        expect((await node.process!.finished).code).toBe(2);
      })(),
    60_000,
  );
});
