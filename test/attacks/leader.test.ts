import { readFileSync, writeFileSync } from 'node:fs';
import { constants } from 'node:http2';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { ClientTls } from '../../src/client/index.js';
import { writeCertificateSet } from '../../src/infrastructure/certificate-set.js';
import { tell } from '../cluster/deadline.js';
import { LiveCluster, type LiveNode } from '../cluster/live-cluster.js';
import { modelFile } from '../cluster/security.js';
import { compile, Scratch } from '../end-to-end/golog-process.js';
import { HonestClient, honestCallsMin } from './honest-client.js';
import { appendBulky, readAsJson } from './json-readers.js';
import { accountOf, measured, peakBytesOf } from './measured-process.js';
import { appendSmallRecords, consumesOf, readsOf, UnreadCaller } from './unread-calls.js';

/**
 * Clients that may only read attack the leader of three nodes, on both ports: one takes nothing of what it asks for, and
 * another reads as JSON what is much work to make JSON of. The node goes on to lead and to serve others.
 */

/** Elections as of a node in production, so that a machine with other work to do holds none. */
const calm = ['--tick-interval', '100ms'];
/** As many as one client may have in flight, on both ports together. */
const streams = 1_024;
const attackMs = 8_000;
const residentBytesMax = 700_000_000;
/** No handler takes longer without a pause. */
const spanCpuMsMax = 50;

const callers = ['honest', 'unread', 'json'] as const;
type Caller = (typeof callers)[number];

interface Security {
  readonly flagsOf: (node: string) => string[];
  readonly tlsOf: (caller: Caller) => ClientTls | undefined;
}

const policy = ['produce', 'consume', 'observe'].map((action) => `p, honest, *, ${action}`);
for (const attacker of ['unread', 'json']) policy.push(`p, ${attacker}, *, consume`);

/** Mutual TLS among all, and a policy by which the attackers may only consume. */
async function secured(folder: string, nodes: readonly string[]): Promise<Security> {
  const names = { cluster: 'main', nodes, hosts: ['127.0.0.1'], clients: callers };
  await writeCertificateSet({ directory: folder, ...names, days: 1, caDays: 1, force: false });
  const file = (name: string): string => join(folder, `${name}.pem`);
  const text = (name: string): string => readFileSync(file(name), 'utf8');
  const policyFile = join(folder, 'policy.csv');
  writeFileSync(policyFile, `${policy.join('\n')}\n`);
  return {
    flagsOf: (node) => [
      ...['--server-tls-cert-file', file(`node-${node}`), '--server-tls-key-file', file(`node-${node}-key`)],
      ...['--server-tls-ca-file', file('ca'), '--acl-model-file', modelFile, '--acl-policy-file', policyFile],
    ],
    tlsOf: (caller) => ({ ca: text('ca'), cert: text(`${caller}-client`), key: text(`${caller}-client-key`) }),
  };
}

const inClear = async (): Promise<Security> => Promise.resolve({ flagsOf: () => [], tlsOf: () => undefined });

const portOf = (address: string): number => Number(address.split(':').at(-1));

/** Begins calls of all kinds on both ports, and takes nothing of their responses until the attack is over. */
async function leaveUnread(node: LiveNode, tls: ClientTls | undefined): Promise<void> {
  const caller = new UnreadCaller();
  const ofAKind = streams / 8;
  try {
    for (const port of [portOf(node.address), portOf(node.httpAddr)]) {
      await caller.begin(port, { path: '/log.v1.Log/ConsumeStream', requests: consumesOf(ofAKind), tls });
      await caller.begin(port, { path: '/log.v1.Log/Consume', requests: consumesOf(ofAKind), tls });
      await caller.begin(port, { path: '/golog.v1.LogService/Tail', requests: readsOf(ofAKind), tls });
      await caller.begin(port, { path: '/golog.v1.LogService/Read', requests: readsOf(ofAKind), tls });
    }
    await delay(attackMs);
    // A call that is refused ends like that.
    expect(caller.ended.get(constants.NGHTTP2_NO_ERROR)).toBeUndefined();
  } finally {
    caller.end();
  }
}

/** Reads as JSON over and over while the attack goes on; answers the statuses. */
async function readWhile(attack: Promise<void>, read: () => Promise<number[]>): Promise<number[]> {
  const state = { isOver: false };
  const over = attack.finally(() => (state.isOver = true));
  // It is awaited below.
  over.catch(() => undefined);
  const statuses: number[] = [];
  while (!state.isOver) statuses.push(...(await read()));
  await over;
  return statuses;
}

describe.each([
  ['in clear', inClear],
  ['with TLS and a policy', secured],
])('the leader of three nodes %s', (_, securityOf) => {
  const ends: (() => Promise<void> | void)[] = [];

  beforeAll(compile, 120_000);

  afterEach(async () => {
    for (let end = ends.pop(); end !== undefined; end = ends.pop()) await end();
  });

  it('goes on to lead, and serves others, while readers take nothing and others read as JSON', async () => {
    const scratch = new Scratch();
    ends.push(() => {
      scratch.remove();
    });
    const places = await LiveCluster.places(scratch.folder('nodes'), 3, calm);
    const { flagsOf, tlsOf } = await securityOf(
      scratch.folder('certificates'),
      places.map(({ name }) => name),
    );
    const honestTls = tlsOf('honest');
    const cluster = new LiveCluster(
      places.map((place) => ({
        ...place,
        args: [...calm, ...flagsOf(place.name)],
        through: measured({ grpc: {}, http: {} }),
        ...(honestTls && { tls: honestTls }),
      })),
    );
    ends.push(() => cluster.dispose());
    await cluster.start();

    const leader = await cluster.leader();
    await appendSmallRecords(leader.address, honestTls);
    const bulky = (await appendBulky(leader.address, honestTls)).map(({ offset }) => offset);
    const target = { httpAddr: leader.httpAddr, tls: tlsOf('json'), from: '127.0.0.3' };
    // What is compiled and loaded at the first calls is no work of the handlers.
    await readAsJson(target, bulky, 1);
    const before = await leader.view();
    await accountOf(leader.process!);

    const honest = new HonestClient(portOf(leader.address), portOf(leader.httpAddr), honestTls);
    honest.start();
    ends.push(() => honest.stop());
    const statuses = await readWhile(leaveUnread(leader, tlsOf('unread')), () => readAsJson(target, bulky, 1));
    await honest.stop();
    const { spanCpuMaxMs, turnCpuMaxMs } = await accountOf(leader.process!);
    const residentBytes = peakBytesOf(leader.pid);
    tell(
      `a leader under attack: ${statuses.length} answers as JSON, ${honest.calls} honest calls, the slowest ` +
        `${honest.slowestMs.toFixed(0)} ms, a callback ${spanCpuMaxMs.toFixed(0)} ms, a turn ` +
        `${turnCpuMaxMs.toFixed(0)} ms, memory ${(residentBytes / 1e6).toFixed(0)} MB`,
    );
    expect(await leader.view()).toMatchObject({ leader: before?.leader, term: before?.term });
    expect(honest.failures).toEqual([]);
    expect(honest.calls).toBeGreaterThanOrEqual(honestCallsMin);
    expect(spanCpuMaxMs).toBeLessThanOrEqual(spanCpuMsMax);
    expect(residentBytes).toBeLessThan(residentBytesMax);
    expect(statuses).toContain(200);
  }, 240_000);
});
