import { writeFileSync } from 'node:fs';
import { create, toBinary } from '@bufbuild/protobuf';
import { Metadata } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ClusterClient } from '../../src/client/index.js';
import { identityMetadata } from '../../src/adapters/peer/identity/peer-identity.js';
import { JoinRequestSchema, PeerService } from '../../src/gen/golog/peer/v1/peer_service_pb.js';
import { grpcCode } from './callers.js';
import { CertificateSet } from './certificate-sets.js';
import { aclFlags, Changeable, policyFile, SecureNode, tlsFlags } from './secure-node.js';

const joiner = {
  name: 'intruder',
  uuid: '0d3fd9b2-6b0c-4e57-b6a4-111111111111',
  rpcAddr: '127.0.0.1:1',
  bootstrapExpect: 0,
  featureLevel: 1n,
};
const joinRequest = Buffer.from(toBinary(JoinRequestSchema, create(JoinRequestSchema, { joiner })));

describe('a node on its own that has a policy and no TLS', () => {
  let changeable: Changeable;
  let node: SecureNode;
  let clusterId: Uint8Array;

  beforeAll(async () => {
    changeable = new Changeable();
    const policy = changeable.copy(policyFile, 'policy.csv');
    writeFileSync(policy, 'p, anonymous, *, consume\n', { flag: 'a' });
    node = await SecureNode.start(aclFlags, new Map([['acl-policy-file', policy]]));
    const cluster = new ClusterClient([node.rpcAddr]);
    clusterId = Buffer.from((await cluster.status({ local: true })).clusterId.replaceAll('-', ''), 'hex');
    cluster.close();
  });
  afterAll(async () => {
    await node.stop();
    changeable.remove();
  });

  const callers = (): Record<string, Metadata> => ({
    'a member': identityMetadata({ clusterId, from: 2, to: 1, rpcAddr: '127.0.0.1:1', name: 'n2' }),
    'a replica': identityMetadata({ clusterId, from: 0, to: 0, rpcAddr: '127.0.0.1:1', name: 'r1' }),
    nobody: new Metadata(),
  });

  it.each(PeerService.methods.map(({ name }) => name))('refuses %s to every caller, and audits it', async (method) => {
    const path = `/${PeerService.typeName}/${method}`;
    const before = node.logger.audit().length;
    for (const [who, metadata] of Object.entries(callers())) {
      const request = method === 'Join' ? joinRequest : Buffer.alloc(0);
      expect([who, await grpcCode(node.rpcAddr, undefined, path, metadata, request)]).toEqual([who, 'UNAUTHENTICATED']);
    }
    // They are one subject: its denials of one call are one line in ten seconds.
    expect(node.logger.audit().slice(before)).toEqual([
      expect.objectContaining({ audit: 'denied', subject: 'anonymous', action: 'node', call: path }),
    ]);
  });

  it('has nobody in its cluster after a Join, and answers what the policy permits', async () => {
    await grpcCode(node.rpcAddr, undefined, `/${PeerService.typeName}/Join`, new Metadata(), joinRequest);
    const cluster = new ClusterClient([node.rpcAddr]);
    const { members } = await cluster.status({ local: true });
    cluster.close();
    expect(members.map(({ name }) => name)).toEqual(['n1']);
  });
});

describe('a node without certificates of its peers that is to be in a cluster', () => {
  const others = ['start-join-addrs', '127.0.0.1:1'] as const;
  const clustered: Record<string, ReadonlyMap<string, unknown>> = {
    '--start-join-addrs': new Map([others]),
    '--bootstrap-expect': new Map([others, ['bootstrap-expect', '3']]),
    '--replica': new Map<string, unknown>([others, ['replica', true]]),
  };

  it.each(Object.entries(clustered))('does not start with a policy and no TLS: %s', async (_, flags) => {
    await expect(SecureNode.start(aclFlags, flags)).rejects.toThrow(
      /with --acl-policy-file peers need certificates: give --server-tls-cert-file, --server-tls-key-file and --server-tls-ca-file/,
    );
  });

  it.each(Object.entries(clustered))('does not start with TLS that asks for none: %s', async (_, flags) => {
    const set = await CertificateSet.own('n1');
    try {
      const own = tlsFlags(set, 'node-n1');
      own.delete('server-tls-ca-file');
      await expect(SecureNode.start(own, flags)).rejects.toThrow(/peers need certificates: give --server-tls-ca-file/);
    } finally {
      set.remove();
    }
  });
});
