import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { connect } from 'node:net';
import { connect as connectHttp2 } from 'node:http2';
import { once } from 'node:events';
import { status } from '@grpc/grpc-js';
import { GrpcServer } from '../../../src/adapters/grpc/index.js';
import { LogService } from '../../../src/gen/golog/v1/log_service_pb.js';
import { Log } from '../../../src/gen/log/v1/log_pb.js';
import type { Fixture } from './fixture.js';
import { start, until } from './fixture.js';
import { collect, errorOf } from './grpc-client.js';

/** Longer than any test may take: what waits for it fails. */
const graceMs = 60_000;

let fixture: Fixture;
let openGate: (() => void) | undefined;

beforeEach(async () => {
  fixture = await start();
});
afterEach(async () => {
  openGate?.();
  openGate = undefined;
  await fixture.close();
});

function shutGate(): void {
  fixture.log.gate = new Promise((resolve) => {
    openGate = resolve;
  });
}

describe('close', () => {
  it('ends streams that follow the log at once, UNAVAILABLE', async () => {
    const { client, log, server } = fixture;
    const streams = [
      collect<unknown>(client.serverStream(LogService.method.tail, {})),
      collect<unknown>(client.serverStream(Log.method.consumeStream, {})),
    ];
    await until(() => log.following === 2);
    await server.close(graceMs);
    for (const { ended } of streams)
      expect(await ended).toMatchObject({ code: status.UNAVAILABLE, details: 'this node is shutting down' });
    expect(log.following).toBe(0);
  });

  it('ends a stream whose reader takes nothing when the grace is over', async () => {
    const { client, log, server, logger, port } = fixture;
    await client.unary(Log.method.produce, { record: { value: new Uint8Array(1_000_000) } });
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    session.on('error', () => {});
    const stream = session.request({
      ':method': 'POST',
      ':path': '/golog.v1.LogService/Tail',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    stream.on('error', () => {});
    stream.end(Buffer.from('0000000000', 'hex'));
    await until(() => log.runsYielded > 0);
    await server.close(50);
    await until(() => log.following === 0);
    expect(logger.lines).toMatchObject([{ level: 'warn', event: 'shutdown_grace_expired', fields: { graceMs: 50 } }]);
  });

  it('answers what a stream of appends has begun, then ends it UNAVAILABLE', async () => {
    shutGate();
    const { client, log, server } = fixture;
    const stream = client.bidi(LogService.method.appendStream);
    const { messages, ended } = collect(stream);
    for (let n = 0; n < 3; n++) stream.write({ records: [{}] });
    await until(() => log.inFlight === 3);
    const closed = server.close(graceMs);
    openGate?.();
    expect(await ended).toMatchObject({ code: status.UNAVAILABLE, details: 'this node is shutting down' });
    expect(messages).toHaveLength(3);
    await closed;
  });

  it('ends an idle stream of appends at once', async () => {
    const { client, server } = fixture;
    const stream = client.bidi(Log.method.produceStream);
    const { count, ended } = collect(stream);
    stream.write({ record: {} });
    await count(1);
    await server.close(graceMs);
    expect((await ended)?.code).toBe(status.UNAVAILABLE);
  });

  it('lets unary calls finish', async () => {
    shutGate();
    const { client, log, server } = fixture;
    const call = client.unary(Log.method.produce, { record: {} });
    await until(() => log.inFlight === 1);
    const closed = server.close(graceMs);
    openGate?.();
    expect((await call).offset).toBe(0n);
    await closed;
  });

  it('cuts unary calls off when the grace is over', async () => {
    shutGate();
    const { client, log, server } = fixture;
    const call = errorOf(client.unary(Log.method.produce, { record: {} }));
    await until(() => log.inFlight === 1);
    await server.close(20);
    expect([status.UNAVAILABLE, status.CANCELLED, status.INTERNAL]).toContain((await call).code);
  });

  it('refuses new connections', async () => {
    await fixture.server.close(graceMs);
    const socket = connect(fixture.port, '127.0.0.1');
    const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
    expect(error.code).toBe('ECONNREFUSED');
  });

  it('may be called twice, and before listen', async () => {
    await Promise.all([fixture.server.close(graceMs), fixture.server.close(0)]);
    await fixture.server.close(graceMs);
    await new GrpcServer({ host: '127.0.0.1', port: 0 }, fixture.log, fixture.logger).close(graceMs);
  });
});

describe('listen', () => {
  it('rejects when the port is taken', async () => {
    await expect(start({ port: fixture.port })).rejects.toThrow('EADDRINUSE');
  });

  it('prints nothing to the console', async () => {
    const printed = [jest.spyOn(console, 'error'), jest.spyOn(console, 'info'), jest.spyOn(console, 'debug')];
    await expect(start({ port: fixture.port })).rejects.toThrow();
    for (const spy of printed) {
      expect(spy).not.toHaveBeenCalled();
      spy.mockRestore();
    }
  });

  it('listens on IPv6 as well', async () => {
    const six = await start({ host: '::1' }).catch((error: Error) => error);
    if (six instanceof Error) {
      expect(six.message).toMatch(/EADDRNOTAVAIL|EAFNOSUPPORT/);
      return;
    }
    expect(six.port).toBeGreaterThan(0);
    await six.close();
  });
});
