import { once } from 'node:events';
import { type ClientHttp2Session, type ClientHttp2Stream, connect, type IncomingHttpHeaders } from 'node:http2';
import { create, toBinary } from '@bufbuild/protobuf';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Position, ReadRequestSchema } from '../../src/gen/golog/v1/log_service_pb.js';
import * as h2 from '../attacks/http2-frames.js';
import { start } from './grpc/fixture.js';
import { closeAll, eventually, serve } from './http/harness.js';

/** A connection has 1,000 streams; the next is told so, where it waited without a word before. */

const streamsMax = 1_000;
const ends: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (let end = ends.pop(); end !== undefined; end = ends.pop()) await end();
  await closeAll();
});

async function open(port: 'gRPC' | 'HTTP'): Promise<{ number: number; following: () => number }> {
  if (port === 'HTTP') {
    const { commitLog, port: number } = await serve();
    return { number, following: () => commitLog.openFollows };
  }
  const { log, close, port: number } = await start();
  ends.push(close);
  return { number, following: () => log.following };
}

const fromLatest = create(ReadRequestSchema, { from: { case: 'position', value: Position.LATEST } });
const request = h2.enveloped(toBinary(ReadRequestSchema, fromLatest));

class Tail {
  said: Record<string, unknown> = {};
  readonly stream: ClientHttp2Stream;

  constructor(session: ClientHttp2Session) {
    const headers = { ':method': 'POST', ':path': '/golog.v1.LogService/Tail', 'content-type': 'application/grpc' };
    this.stream = session.request(headers);
    this.stream.on('error', () => undefined);
    for (const event of ['response', 'trailers'] as const)
      this.stream.on(event, (said: IncomingHttpHeaders) => (this.said = { ...this.said, ...said }));
    this.stream.resume();
    this.stream.end(request);
  }
}

describe.each(['gRPC', 'HTTP'] as const)('a connection to the %s port', (port) => {
  it('has 1,000 streams, and is told RESOURCE_EXHAUSTED above that', async () => {
    const { number, following } = await open(port);
    const session = connect(`http://127.0.0.1:${number}`);
    ends.push(() => {
      session.destroy();
    });
    const failures: unknown[] = [];
    session.on('error', (error) => failures.push(error));
    session.on('goaway', (code) => failures.push(`GOAWAY ${code}`));
    await once(session, 'remoteSettings');
    expect(session.remoteSettings.maxConcurrentStreams).toBe(1_100);

    const tails = Array.from({ length: streamsMax }, () => new Tail(session));
    await eventually('the tails', () => following() === streamsMax, 20_000);
    const more = Array.from({ length: 100 }, () => new Tail(session));
    await eventually('the refusals', () => more.every(({ said }) => said['grpc-status'] === '8'), 20_000);
    for (const { said } of more)
      expect(decodeURI(String(said['grpc-message']))).toBe('overloaded: streams of one connection (limit 1000)');
    expect(following()).toBe(streamsMax);

    // All may be cancelled at once, and others begun.
    for (const { stream } of tails) stream.close(8);
    await eventually('their ends', () => following() === 0, 20_000);
    const again = new Tail(session);
    await eventually('another tail', () => following() === 1);
    expect(again.said['grpc-status']).toBeUndefined();
    expect(failures).toEqual([]);
  }, 60_000);
});
