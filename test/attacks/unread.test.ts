import { writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { create, toBinary } from '@bufbuild/protobuf';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { ClientTls } from '../../src/client/index.js';
import { LogService, ReadRequestSchema } from '../../src/gen/golog/v1/log_service_pb.js';
import { ConsumeRequestSchema } from '../../src/gen/log/v1/log_pb.js';
import { modelFile } from '../cluster/security.js';
import { CertificateSet } from '../security/certificate-sets.js';
import { Changeable, clientOf, policyFile, tlsFlags } from '../security/secure-node.js';
import { AttackedNode, mebibyte } from './attacked-node.js';
import { UnreadCaller } from './unread-calls.js';

/** Group 8 of the attacks that SECURITY.md speaks of: who may only read, and takes nothing of what he asked for. */

const batches = 6;
const recordsABatch = 65_536;
/** As many as one client may have under way. */
const streams = 1_024;
const reads = 4_000;
/** With what the node takes by itself this is less than 700 MB. */
const peakBytesMax = 512 * mebibyte;
const attackMs = 3_000;

const limits = {
  grpc: { connectionIdleMs: 5_000 },
  http: { timeouts: { sessionIdleMs: 5_000 } },
};

async function fill(node: AttackedNode, tls?: ClientTls): Promise<void> {
  const baseUrl = `http${tls ? 's' : ''}://127.0.0.1:${node.grpcPort}`;
  const log = createClient(LogService, createGrpcTransport({ baseUrl, ...(tls && { nodeOptions: tls }) }));
  const records = Array.from({ length: recordsABatch }, () => ({ value: Buffer.from('10 bytes..') }));
  for (let batch = 0; batch < batches; batch += 1) await log.append({ records });
}

const offsets = (calls: number): bigint[] =>
  Array.from({ length: calls }, (_, call) => BigInt(600 + (call % (batches - 1)) * recordsABatch));
const consumes = offsets(streams).map((offset) =>
  toBinary(ConsumeRequestSchema, create(ConsumeRequestSchema, { offset })),
);
const readsOf = (calls: number): Uint8Array[] =>
  offsets(calls).map((value) =>
    toBinary(ReadRequestSchema, create(ReadRequestSchema, { from: { case: 'offset', value }, maxBytes: mebibyte })),
  );

const kinds = [
  ['ConsumeStream', '/log.v1.Log/ConsumeStream', consumes],
  ['Tail', '/golog.v1.LogService/Tail', readsOf(streams)],
  ['Read', '/golog.v1.LogService/Read', readsOf(reads)],
] as const;

let set: CertificateSet;
const changeable = new Changeable();

beforeAll(async () => {
  set = await CertificateSet.own('n1');
});

afterAll(() => {
  for (const each of [set, changeable]) each.remove();
});

describe.each(['without TLS', 'with TLS and a policy'])('%s', (how) => {
  let node: AttackedNode;
  let attacker: ClientTls | undefined;
  const callers: UnreadCaller[] = [];

  beforeAll(async () => {
    const flags = ['--calls-per-client-max', String(reads)];
    let honest: ClientTls | undefined;
    if (how !== 'without TLS') {
      const policy = changeable.copy(policyFile, 'policy.csv');
      writeFileSync(policy, 'p, nobody, *, consume\n', { flag: 'a' });
      const files = { 'acl-model-file': modelFile, 'acl-policy-file': policy, 'node-name': 'n1' };
      for (const [name, value] of [...tlsFlags(set, 'node-n1'), ...Object.entries(files)])
        flags.push(`--${name}`, String(value));
      [honest, attacker] = ['root-client', 'nobody-client'].map((pair) => clientOf(set, pair));
    }
    node = await AttackedNode.start(limits, flags, honest);
    await fill(node, honest);
  }, 120_000);

  afterEach(() => {
    for (const caller of callers.splice(0)) caller.end();
  });

  afterAll(() => node.stop());

  describe.each(['gRPC', 'HTTP'])('the %s port', (name) => {
    it.each(kinds)(
      '%s: what nobody takes is bounded',
      async (kind, path, requests) => {
        const port = name === 'gRPC' ? node.grpcPort : node.httpPort;
        const attack = async (): Promise<void> => {
          const caller = new UnreadCaller();
          callers.push(caller);
          await caller.begin(port, { path, requests, tls: attacker });
          await delay(attackMs);
          // Calls that wait for memory wait for as long as they like.
          caller.end();
        };
        await node.withstands(`${requests.length} unread ${kind}, ${name}, ${how}`, attack, { peakBytesMax });
        expect(node.process.child.exitCode).toBeNull();
      },
      60_000,
    );
  });
});
