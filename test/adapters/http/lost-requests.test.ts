import type { UniversalServerRequest } from '@connectrpc/connect/protocol';
import { expect, it } from '@jest/globals';
import { withElementLimit } from '../../../src/adapters/http/element-limit.js';
import { spreadEnds } from '../../../src/adapters/listener/spread-streams.js';
import { AppendRequestSchema } from '../../../src/gen/golog/v1/log_service_pb.js';

const requests = 1_000;
const failuresInTurnMax = 32;

/** Requests whose rest comes when `arrival` settles. */
function requestOf(contentType: string, arrival: Promise<Uint8Array>): UniversalServerRequest {
  async function* body(): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(3);
    yield await arrival;
  }
  return {
    ...{ httpVersion: '2.0', method: 'POST', url: 'http://localhost/', body: body() },
    ...{ header: new Headers({ 'content-type': contentType }), signal: new AbortController().signal },
    contextValues: { get: () => undefined as never, set: () => undefined as never, delete: () => undefined as never },
  };
}

it.each(['application/grpc', 'application/connect+proto', 'application/proto'])(
  'the requests of a session that is lost fail a few in a turn of the event loop: %s',
  async (contentType) => {
    const ends = spreadEnds();
    const turnToFail = (): Promise<void> => new Promise((resolve) => ends.enter(resolve, 'a'));
    const limit = { readBytesMax: 1024, compressions: [], turnToFail };
    const lost = new Error('the connection is lost');
    let lose: (error: Error) => void = () => undefined;
    const arrival = new Promise<Uint8Array>((_, reject) => (lose = reject));
    const failures: unknown[] = [];
    const read = async (): Promise<void> => {
      const { body } = withElementLimit(requestOf(contentType, arrival), AppendRequestSchema, limit);
      try {
        for await (const _message of body as AsyncIterable<Uint8Array>);
      } catch (error) {
        failures.push(error);
      }
    };
    const all = Promise.all(Array.from({ length: requests }, read));
    await new Promise((resolve) => setImmediate(resolve));
    lose(lost);
    let most = 0;
    while (failures.length < requests) {
      const before = failures.length;
      await new Promise((resolve) => setImmediate(resolve));
      most = Math.max(most, failures.length - before);
    }
    await all;
    expect(new Set(failures)).toEqual(new Set([lost]));
    expect(most).toBeLessThanOrEqual(failuresInTurnMax);
  },
);
