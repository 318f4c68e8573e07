import { Code, ConnectError, createClient, type Transport } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { Log } from '../../src/gen/log/v1/log_pb.js';
import { eventually } from '../cluster/deadline.js';
import { SecureNode } from '../security/secure-node.js';

let node: SecureNode;
const limit = 4;

beforeAll(async () => {
  node = await SecureNode.start(new Map([['calls-per-client-max', String(limit)]]));
});

afterAll(() => node.stop());

it('one client has so many calls under way on both ports together, and is told RESOURCE_EXHAUSTED beyond', async () => {
  const [grpc, http] = [`http://${node.rpcAddr}`, `http://${node.httpAddr}`];
  const transports: readonly Transport[] = [
    createGrpcTransport({ baseUrl: grpc }),
    createGrpcTransport({ baseUrl: http }),
    createGrpcWebTransport({ baseUrl: http, httpVersion: '1.1' }),
    createConnectTransport({ baseUrl: http, httpVersion: '1.1' }),
  ];
  const clients = transports.map((transport) => createClient(Log, transport));
  const { offset } = await clients[0].produce({ record: {} });
  const hangUp = new AbortController();
  const tails = clients.map((client) => client.consumeStream({ offset }, { signal: hangUp.signal }));
  const followers = tails.map((tail) => tail[Symbol.asyncIterator]());
  for (const follower of followers) await follower.next();

  for (const client of clients) {
    const refused = await client.getServers({}).catch((error: unknown) => ConnectError.from(error));
    expect(refused).toMatchObject({ code: Code.ResourceExhausted, rawMessage: expect.stringMatching(/limit 4/) });
    const stream = client.consumeStream({ offset })[Symbol.asyncIterator]();
    await expect(stream.next()).rejects.toMatchObject({ code: Code.ResourceExhausted });
  }
  expect((await fetch(`${http}/?offset=0`)).status).toBe(429);
  expect((await fetch(`${http}/healthz`)).status).toBe(200);

  for (const follower of followers) follower.next().catch(() => undefined);
  hangUp.abort();
  for (const client of clients)
    await eventually('room again', () =>
      client.getServers({}).then(
        () => true,
        () => undefined,
      ),
    );
});
