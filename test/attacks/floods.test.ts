import { afterAll, beforeAll, describe, it } from '@jest/globals';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { AttackedNode, mebibyte } from './attacked-node.js';
import { HostileClient } from './hostile-client.js';
import * as h2 from './http2-frames.js';
import { malformed, produceHeaders } from './malformed.js';

/** Group 1 of the attacks that SECURITY.md speaks of: frames by the thousand, on both ports at once. */

let node: AttackedNode;

beforeAll(async () => {
  node = await AttackedNode.start({
    grpc: { keepaliveMs: 500, keepaliveTimeoutMs: 1_500 },
    http: { timeouts: { pingIntervalMs: 1_000 } },
  });
}, 60_000);

afterAll(() => node.stop());

const onBoth = (attack: (port: number) => Promise<unknown>) => (): Promise<unknown> =>
  Promise.all([attack(node.grpcPort), attack(node.httpPort)]);

const repeated = (bytes: Buffer, times: number): Buffer => Buffer.concat(Array.from({ length: times }, () => bytes));

/** The identifiers that a client may give streams. */
const streamIds = (count: number, from = 0): number[] => Array.from({ length: count }, (_, at) => 2 * (from + at) + 1);

/** A flood of what `of` makes of each of 20,000 streams. */
async function floodOfStreams(port: number, of: (streamId: number) => Buffer[]): Promise<void> {
  const client = await HostileClient.greet(port);
  for (let from = 0; from < 20_000 && !client.closed; from += 500) {
    await client.flood(Buffer.concat(streamIds(500, from).flatMap(of)), 1);
    await nextTurn();
  }
}

const ping = h2.frame(h2.frameType.ping, 0, 0, Buffer.alloc(8));
const field = h2.headerBlock([['x'.repeat(50), 'y'.repeat(1_000)]]);

describe('nothing stays of', () => {
  it('rapid reset: 20,000 streams that are begun and reset', () =>
    node.withstands(
      'rapid reset',
      onBoth((port) => floodOfStreams(port, (id) => [h2.headers(id, produceHeaders), h2.rstStream(id)])),
    ));

  it('rapid reset at once: 20,000 streams that are begun and reset in a single write', () =>
    node.withstands(
      'rapid reset at once',
      onBoth(async (port) => {
        const client = await HostileClient.greet(port);
        client.send(
          Buffer.concat(streamIds(20_000).flatMap((id) => [h2.headers(id, produceHeaders), h2.rstStream(id)])),
        );
      }),
    ));

  it('20,000 streams that are begun in one session', () =>
    node.withstands(
      '20,000 streams',
      onBoth((port) => floodOfStreams(port, (id) => [h2.headers(id, produceHeaders)])),
    ));

  it.each([
    [200, 100],
    [20, 1_100],
  ])('20,000 streams that are begun in %i sessions at the same moment, %i in each', (sessions, streamsEach) =>
    node.withstands(`${sessions} sessions of ${streamsEach} streams`, async () => {
      const streams = Buffer.concat(streamIds(streamsEach).map((id) => h2.headers(id, produceHeaders)));
      const clients: HostileClient[] = [];
      for (let count = 0; count < sessions / 2; count += 1)
        for (const port of [node.grpcPort, node.httpPort]) clients.push(await HostileClient.greet(port));
      for (const client of clients) client.send(streams);
    }),
  );

  it('malformed frames, each on a session of its own', () =>
    node.withstands(
      'malformed frames',
      onBoth(async (port) => {
        for (const bytes of malformed) (await HostileClient.greet(port)).send(bytes);
      }),
    ));

  it('DATA on streams that are half-closed', () =>
    node.withstands(
      'DATA on a half-closed stream',
      onBoth(async (port) => {
        const client = await HostileClient.greet(port);
        client.send(h2.headers(1, produceHeaders, h2.flag.endHeaders | h2.flag.endStream));
        await client.flood(repeated(h2.data(1, Buffer.alloc(1_000)), 100), 50);
      }),
    ));

  it.each([
    ['CONTINUATION', h2.frame(h2.frameType.continuation, 0, 1, field)],
    ['CONTINUATION without anything in it', h2.frame(h2.frameType.continuation, 0, 1)],
  ])('%s without end', (name, bytes) =>
    node.withstands(
      name,
      onBoth(async (port) => {
        const client = await HostileClient.greet(port);
        client.send(h2.headers(1, produceHeaders, 0));
        await client.flood(repeated(bytes, 100), 1_000);
      }),
    ),
  );

  it.each([
    ['PING', ping, false],
    ['PING, the answers unread', ping, true],
    ['SETTINGS', h2.settings([h2.setting.initialWindowSize, 1_000]), false],
    ['SETTINGS, the answers unread', h2.settings([h2.setting.initialWindowSize, 1_000]), true],
  ])('100,000 times %s', (name, bytes, deaf) =>
    node.withstands(
      name,
      onBoth(async (port) => (await HostileClient.greet(port, { deaf })).flood(repeated(bytes, 100), 1_000)),
    ),
  );

  it('1,000 hostile connections to each port, of which half say nothing more and half hang up', () =>
    node.withstands(
      '1,000 connections each',
      onBoth(async (port) => {
        for (let at = 0; at < 1_000; at += 1) {
          const client = await HostileClient.greet(port);
          client.send(malformed[at % malformed.length]);
          if (at % 2 === 1) client.socket.end();
        }
      }),
      { peakBytesMax: 512 * mebibyte },
    ));
});
