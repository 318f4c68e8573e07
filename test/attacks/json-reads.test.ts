import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ClientTls } from '../../src/client/index.js';
import { LiveCluster } from '../cluster/live-cluster.js';
import { modelFile } from '../cluster/security.js';
import { compile, Scratch } from '../end-to-end/golog-process.js';
import { CertificateSet } from '../security/certificate-sets.js';
import { Changeable, clientOf, policyFile, tlsFlags } from '../security/secure-node.js';
import { AttackedNode } from './attacked-node.js';
import { appendBulky, readAsJson } from './json-readers.js';
import { peakBytesOf } from './measured-process.js';

/** Short requests whose answer, as JSON, is much work: from somebody who may read, and nothing else. */

/** No handler takes longer without a pause, collections of garbage aside. */
const spanCpuMsMax = 50;
const residentBytesMax = 700_000_000;

/** Elections as of a node in production, so that a machine with other work to do holds none. */
const calm = ['--tick-interval', '100ms'];

interface Security {
  readonly flags: readonly string[];
  /** The TLS of a client that may read and append. */
  readonly honest?: ClientTls;
  /** The TLS of a client that may only read. */
  readonly reader?: ClientTls;
}

const files: { remove(): void }[] = [];

async function secured(): Promise<Security> {
  const set = await CertificateSet.own('n1');
  const changeable = new Changeable();
  files.push(set, changeable);
  const policy = changeable.copy(policyFile, 'policy.csv');
  writeFileSync(policy, 'p, nobody, *, consume\n', { flag: 'a' });
  const acl = { 'acl-model-file': modelFile, 'acl-policy-file': policy };
  const flags = [...tlsFlags(set, 'node-n1'), ...Object.entries(acl)];
  return {
    flags: ['--node-name', 'n1', ...flags.flatMap(([name, value]) => [`--${name}`, String(value)])],
    honest: clientOf(set, 'root-client'),
    reader: clientOf(set, 'nobody-client'),
  };
}

describe.each([
  ['in clear', async (): Promise<Security> => Promise.resolve({ flags: [] })],
  ['with TLS and a policy', secured],
])('a node %s', (_, securityOf) => {
  let node: AttackedNode;
  let security: Security;

  beforeAll(async () => {
    security = await securityOf();
    node = await AttackedNode.start(
      { grpc: {}, http: { timeouts: { keepAliveMs: 1_000 } } },
      security.flags,
      security.honest,
    );
  }, 120_000);

  afterAll(async () => {
    await node.stop();
    for (const each of files.splice(0)) each.remove();
  });

  it('withstands reads as JSON of batches with many records, headers and bytes, many at once', async () => {
    const { honest: tls, reader } = security;
    const bulky = await appendBulky(`127.0.0.1:${node.grpcPort}`, tls);
    // In clear, a client is its address.
    const target = { httpAddr: `127.0.0.1:${node.httpPort}`, tls: reader, from: '127.0.0.2' };
    // What is compiled and loaded at the first calls is no work of the handlers.
    for (const { offset } of bulky) await readAsJson(target, [offset], 1);
    for (const { name, offset } of bulky)
      await node.withstands(
        name,
        async () => {
          expect(new Set(await readAsJson(target, [offset], 8))).toEqual(new Set([200]));
        },
        { spanCpuMsMax, residentBytesMax },
      );
  }, 300_000);
});

describe('three nodes', () => {
  const scratch = new Scratch();
  let cluster: LiveCluster;

  beforeAll(async () => {
    compile();
    cluster = new LiveCluster(await LiveCluster.places(scratch.path, 3, calm));
    await cluster.start();
  }, 120_000);

  afterAll(async () => {
    await cluster.dispose();
    scratch.remove();
  });

  it('keep their leader while it is read as JSON, many times at once', async () => {
    const leader = await cluster.leader();
    const before = await leader.view();
    const bulky = await appendBulky(leader.address);
    const offsets = bulky.map(({ offset }) => offset);
    expect(new Set(await readAsJson({ httpAddr: leader.httpAddr }, offsets, 4))).toEqual(new Set([200]));
    expect(await leader.view()).toMatchObject({ leader: before?.leader, term: before?.term });
    expect(peakBytesOf(leader.pid)).toBeLessThan(residentBytesMax);
  }, 300_000);
});
