import { afterEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { type ClientHttp2Session, connect } from 'node:http2';
import { status } from '@grpc/grpc-js';
import { LogService } from '../../../src/gen/golog/v1/log_service_pb.js';
import { message } from '../../../src/domain/raft/message.js';
import { until } from '../grpc/fixture.js';
import { errorOf, GrpcClient } from '../grpc/grpc-client.js';
import { addressOf, startNode, stopNode, type TestNode } from './fixture.js';

const nodes: TestNode[] = [];
const start = async (id: number): Promise<TestNode> => {
  const node = await startNode(id);
  nodes.push(node);
  return node;
};
afterEach(async () => {
  await Promise.all(nodes.splice(0).map(stopNode));
});

describe('a listener with guests', () => {
  it('keeps the limit on the messages of clients', async () => {
    const { port } = await start(1);
    const client = new GrpcClient(port);
    const records = [{ value: new Uint8Array(1_300_000) }];
    const error = await errorOf(client.unary(LogService.method.append, { records }));
    client.close();
    expect(error).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    expect(error.details).toMatch(/larger than max \(13\d+ vs 1114112\)/);
  });

  it.each([
    ['widens the windows of a connection of a peer', '/golog.peer.v1.PeerService/Bulk', 4 << 20],
    ['leaves those of clients as they are', '/golog.v1.LogService/Tail', 65_535],
  ])('%s', async (_what, path, windowBytes) => {
    const { port } = await start(1);
    const session: ClientHttp2Session = connect(`http://127.0.0.1:${port}`);
    session.on('error', () => undefined);
    await once(session, 'remoteSettings');
    const headers = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' };
    const stream = session.request(headers);
    stream.on('error', () => undefined).end();
    await once(stream, 'response');
    await new Promise((resolve) => {
      session.ping(resolve);
    });
    const initial = session.remoteSettings.initialWindowSize;
    const whole = session.state.remoteWindowSize;
    session.destroy();
    expect({ initial, whole }).toEqual({ initial: windowBytes, whole: windowBytes });
  });

  it('leaves their streams alone when it closes, until they end them', async () => {
    const [one, two] = [await start(1), await start(2)];
    one.transport.setPeers([{ id: 2, rpcAddr: addressOf(two) }]);
    const beat = (term: number): void => {
      one.transport.send([message({ type: 'MsgHeartbeat', from: 1, to: 2, term })]);
    };
    await until(() => {
      beat(1);
      return two.received.length > 0;
    });
    const began = performance.now();
    const closed = two.server.close(60_000);
    beat(2);
    await until(() => two.received.some(({ term }) => term === 2));
    await two.transport.close();
    await closed;
    expect(performance.now() - began).toBeLessThan(5_000);
  });
});
