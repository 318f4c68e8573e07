import { writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { ClientTls } from '../../src/client/index.js';
import { modelFile } from '../cluster/security.js';
import { CertificateSet } from '../security/certificate-sets.js';
import { Changeable, clientOf, policyFile, tlsFlags } from '../security/secure-node.js';
import { AttackedNode, mebibyte } from './attacked-node.js';
import { appendSmallRecords, consumesOf, readsOf, UnreadCaller } from './unread-calls.js';

/** Group 8 of the attacks that SECURITY.md speaks of: who may only read, and takes nothing of what he asked for. */

/** As many as one client may have under way. */
const streams = 1_024;
const reads = 4_000;
const bounds = {
  peakBytesMax: 512 * mebibyte,
  /** With what the node takes by itself. */
  residentBytesMax: 700_000_000,
  /** No handler takes longer without a pause, be it the begin or the end of thousands of calls. */
  spanCpuMsMax: 50,
};
const attackMs = 3_000;

const limits = {
  grpc: { connectionIdleMs: 5_000 },
  http: { timeouts: { sessionIdleMs: 5_000 } },
};

const kinds = [
  ['ConsumeStream', '/log.v1.Log/ConsumeStream', consumesOf(streams)],
  ['Consume', '/log.v1.Log/Consume', consumesOf(streams)],
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
    await appendSmallRecords(`127.0.0.1:${node.grpcPort}`, honest);
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
        await node.withstands(`${requests.length} unread ${kind}, ${name}, ${how}`, attack, bounds);
        expect(node.process.child.exitCode).toBeNull();
      },
      120_000,
    );
  });
});
