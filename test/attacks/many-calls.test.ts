import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { tell } from '../cluster/deadline.js';
import { AttackedNode, mebibyte } from './attacked-node.js';
import { appendSmallRecords, consumesOf, readsOf, UnreadCaller } from './unread-calls.js';

/** As many calls as a node serves, of one client and of many, each of which has it hold as much as it can. */

const callsOfOne = 1_000;
const callsOfMany = 8_000;
/** Clients in clear are addresses. */
const addresses = Array.from({ length: 8 }, (_, i) => `127.0.0.${i + 2}`);
const joins = 60;
const attackMs = 3_000;
const liveGrowthMax = 150_000_000;
const bounds = {
  peakBytesMax: 600 * mebibyte,
  residentBytesMax: 700_000_000,
  /** No handler takes longer without a pause. */
  spanCpuMsMax: 50,
  /** What thousands of calls do when they end at once was 366 ms in one turn of the event loop. */
  turnCpuMsMax: 200,
};

let node: AttackedNode;
const callers: UnreadCaller[] = [];

beforeAll(async () => {
  node = await AttackedNode.start({
    grpc: { connectionIdleMs: 5_000 },
    http: { timeouts: { sessionIdleMs: 5_000 } },
  });
  await appendSmallRecords(`127.0.0.1:${node.grpcPort}`);
}, 120_000);

afterEach(() => {
  for (const caller of callers.splice(0)) caller.end();
});

afterAll(() => node.stop());

/** Calls that are ended with the test, or by `end`. */
function newCaller(): UnreadCaller {
  const caller = new UnreadCaller();
  callers.push(caller);
  return caller;
}

describe.each(['gRPC', 'HTTP'])('the %s port', (name) => {
  const port = (): number => (name === 'gRPC' ? node.grpcPort : node.httpPort);

  it('holds little for 1,000 tails of one connection that read nothing', async () => {
    const attack = async (): Promise<void> => {
      const caller = newCaller();
      const path = '/golog.v1.LogService/Tail';
      await caller.begin(port(), { path, requests: readsOf(callsOfOne), callsPerSession: callsOfOne });
      await delay(attackMs);
      const growth = await node.liveGrowth();
      tell(`1,000 tails that read nothing, ${name}: ${(growth / 1e6).toFixed(0)} MB more are in use`);
      expect(growth).toBeLessThan(liveGrowthMax);
      caller.end();
    };
    await node.withstands(`1,000 tails that read nothing, ${name}`, attack, bounds);
  }, 120_000);

  it('bounds what 8,000 calls of eight clients hold, which read nothing', async () => {
    const attack = async (): Promise<void> => {
      const caller = newCaller();
      const requests = callsOfMany / 4;
      const how = { from: addresses, callsPerSession: 125 };
      for (const [path, all] of [
        ['/log.v1.Log/ConsumeStream', consumesOf(requests)],
        ['/log.v1.Log/Consume', consumesOf(requests)],
        ['/golog.v1.LogService/Tail', readsOf(requests)],
        ['/golog.v1.LogService/Read', readsOf(requests)],
      ] as const)
        await caller.begin(port(), { path, requests: all, ...how });
      await delay(attackMs);
      caller.end();
    };
    await node.withstands(`8,000 calls that read nothing, ${name}`, attack, bounds);
  }, 120_000);

  it.each([
    ['one client', addresses.slice(0, 1), callsOfOne],
    ['eight clients', addresses, 2 * callsOfOne],
  ])(
    'bounds what requests of %s hold that do not end',
    async (who, from, calls) => {
      const attack = async (): Promise<void> => {
        const caller = newCaller();
        const requests = Array.from({ length: calls }, () => largest);
        const path = '/golog.v1.LogService/Append';
        await caller.begin(port(), { path, requests, from, callsPerSession: 125, keptBack: 1 });
        await delay(attackMs);
        caller.end();
      };
      await node.withstands(`requests of ${who} that do not end, ${name}`, attack, bounds);
    },
    120_000,
  );
});

const largest = new Uint8Array(mebibyte);

/** Without certificates anybody may call as a node, whose messages may have 20 MiB. */
it('bounds what requests to join hold that do not end', async () => {
  const attack = async (): Promise<void> => {
    const caller = newCaller();
    const message = new Uint8Array(16 * mebibyte);
    const requests = Array.from({ length: joins }, () => message);
    await caller.begin(node.grpcPort, { path: '/golog.peer.v1.PeerService/Join', requests, keptBack: 1 });
    await delay(2 * attackMs);
    caller.end();
  };
  await node.withstands('requests to join that do not end', attack, bounds);
}, 120_000);
