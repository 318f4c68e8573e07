import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { build } from 'esbuild';
import type { ClientTls } from '../../src/client/index.js';
import { writeCertificateSet } from '../../src/infrastructure/certificate-set.js';
import { modelFile } from '../cluster/security.js';
import { tell } from '../cluster/deadline.js';
import { root } from '../foundation/checkout.js';
import { Scratch } from '../end-to-end/golog-process.js';
import { AttackedNode, mebibyte } from './attacked-node.js';
import { appendSmallRecords } from './unread-calls.js';
import type { Attack } from './unread-child.js';

/** As many calls as many clients with certificates may have, each of which has the node hold as much as it can. */

const calls = 8_192;
const clients = Array.from({ length: 8 }, (_, i) => `reader-${i + 1}`);
const attackMs = 3_000;
/** Whether nothing else runs on this machine, so that times mean something. */
const isIdle = process.env['TEST_IDLE'] === 'on';
const heldP99MsMax = 100;
const bounds = {
  peakBytesMax: 600 * mebibyte,
  residentBytesMax: 700_000_000,
  /** No handler takes longer without a pause. */
  spanCpuMsMax: 50,
};

const scratch = new Scratch();
const attackers: ChildProcessByStdio<Writable, Readable, null>[] = [];
let node: AttackedNode;
let readers: readonly ClientTls[];

const program = scratch.file('attack.mjs');

function begin(attack: Attack): ChildProcessByStdio<Writable, Readable, null> {
  const attacker = spawn(process.execPath, [program, JSON.stringify(attack)], { stdio: ['pipe', 'pipe', 'inherit'] });
  attackers.push(attacker);
  return attacker;
}

beforeAll(async () => {
  const banner = "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);";
  await build({
    ...{ entryPoints: [join(root, 'test/attacks/unread-child.ts')], outfile: program },
    ...{ bundle: true, platform: 'node', format: 'esm', banner: { js: banner } },
  });
  const directory = scratch.folder('certificates');
  const names = { cluster: 'main', nodes: ['n1'], hosts: ['127.0.0.1'], clients: ['honest', ...clients] };
  await writeCertificateSet({ directory, ...names, days: 1, caDays: 1, force: false });
  const file = (name: string): string => `${directory}/${name}.pem`;
  const text = (name: string): string => readFileSync(file(name), 'utf8');
  const tlsOf = (client: string): ClientTls => ({
    ca: text('ca'),
    cert: text(`${client}-client`),
    key: text(`${client}-client-key`),
  });
  readers = clients.map(tlsOf);
  const policy = ['produce', 'consume', 'observe'].map((action) => `p, honest, *, ${action}`);
  policy.push(...clients.map((client) => `p, ${client}, *, consume`));
  writeFileSync(scratch.file('policy.csv'), `${policy.join('\n')}\n`);
  const flags = [
    ...['--node-name', 'n1', '--server-tls-cert-file', file('node-n1'), '--server-tls-key-file', file('node-n1-key')],
    ...['--server-tls-ca-file', file('ca'), '--acl-model-file', modelFile],
    ...['--acl-policy-file', scratch.file('policy.csv'), '--calls-per-client-max', String(calls / clients.length)],
  ];
  const limits = { grpc: { connectionIdleMs: 5_000 }, http: { timeouts: { sessionIdleMs: 5_000 } } };
  node = await AttackedNode.start(limits, flags, tlsOf('honest'));
  await appendSmallRecords(`127.0.0.1:${node.grpcPort}`, tlsOf('honest'));
}, 120_000);

afterAll(async () => {
  for (const attacker of attackers) attacker.kill('SIGKILL');
  await node.stop();
  scratch.remove();
});

describe.each(['gRPC', 'HTTP'])('the %s port', (name) => {
  it('bounds what 8,192 calls of eight certified clients hold, which read nothing', async () => {
    const port = name === 'gRPC' ? node.grpcPort : node.httpPort;
    const attack = async (): Promise<void> => {
      const attacker = begin({ port, calls, callsPerSession: 128, tls: readers });
      await once(attacker.stdout, 'data');
      const beginP99Ms = node.honestP99Ms();
      await delay(attackMs);
      const heldP99Ms = node.honestP99Ms();
      attacker.stdin.end();
      await once(attacker, 'exit');
      const p99Ms = [node.peacefulP99Ms, beginP99Ms, heldP99Ms].map((ms) => ms.toFixed(0));
      tell(`p99 of honest calls before, while the others begin, and while they are held: ${p99Ms.join(', ')} ms`);
      if (isIdle) expect(heldP99Ms).toBeLessThan(heldP99MsMax);
    };
    await node.withstands(`8,192 certified calls that read nothing, ${name}`, attack, bounds);
    expect(node.process.child.exitCode).toBeNull();
    const { now, before } = await node.residentBytes();
    tell(`resident: ${(now / mebibyte).toFixed(0)} MiB, before the attacks ${(before / mebibyte).toFixed(0)} MiB`);
  }, 120_000);
});
