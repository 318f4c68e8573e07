import { Agent, request } from 'node:http';
import { connect } from 'node:http2';
import { Agent as TlsAgent, request as requestTls } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node';
import type { ClientTls } from '../../src/client/index.js';
import { LogService } from '../../src/gen/golog/v1/log_service_pb.js';

export interface ReadTarget {
  readonly httpAddr: string;
  readonly tls?: ClientTls | undefined;
  /** The address of the loopback that the calls come from. */
  readonly from?: string;
}

interface Call {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: string;
}

/** Few, so that what a turn takes is work for answers: a handshake of TLS is 2 ms, and all begin at once. */
const http1Connections = 8;
const readPath = '/golog.v1.LogService/Read';

/** All that asks for records as JSON by one message: from each of these offsets on. */
function callsFrom(offsets: readonly number[]): Call[] {
  return offsets.flatMap((offset): Call[] => {
    const message = `{"offset":${offset}}`;
    const asQuery = `?connect=v1&encoding=json&message=${encodeURIComponent(message)}`;
    return [
      { method: 'GET', path: `${readPath}${asQuery}` },
      { method: 'POST', path: readPath, body: message },
      { method: 'GET', path: `/log.v1.Log/Consume${asQuery}` },
      { method: 'GET', path: `/?offset=${offset}` },
    ];
  });
}

const headersOf = ({ body }: Call): Record<string, string> =>
  body === undefined ? {} : { 'content-type': 'application/json' };

/** Makes calls one after the other, as many at once as there are connections; answers the statuses. */
async function callByHttp1({ httpAddr, tls, from }: ReadTarget, calls: readonly Call[], connections: number) {
  const stored = { keepAlive: true, maxSockets: connections, ...(from && { localAddress: from }) };
  const agent = tls === undefined ? new Agent(stored) : new TlsAgent({ ...stored, ...tls });
  const [host, port] = httpAddr.split(':');
  const once = (call: Call): Promise<number> =>
    new Promise((resolve, reject) => {
      const { method, path, body } = call;
      (tls === undefined ? request : requestTls)({ host, port, agent, method, path, headers: headersOf(call) })
        .on('response', (response) => {
          response.resume().on('end', () => {
            resolve(response.statusCode ?? 0);
          });
        })
        .on('error', reject)
        .end(body);
    });
  try {
    return await Promise.all(calls.map(once));
  } finally {
    agent.destroy();
  }
}

/** Makes all calls at once, in one session; answers the statuses. */
async function callByHttp2({ httpAddr, tls, from }: ReadTarget, calls: readonly Call[]): Promise<number[]> {
  const [host, port] = httpAddr.split(':');
  const ends = { host, port: Number(port), ...(from && { localAddress: from }) };
  const session = connect(`http${tls === undefined ? '' : 's'}://${httpAddr}`, {
    createConnection: () => (tls ? connectTls({ ...ends, ...tls, ALPNProtocols: ['h2'] }) : connectTcp(ends)),
  });
  const once = (call: Call): Promise<number> =>
    new Promise((resolve, reject) => {
      const stream = session.request({ ':method': call.method, ':path': call.path, ...headersOf(call) });
      let status = 0;
      stream.on('response', (headers) => (status = Number(headers[':status'])));
      stream
        .resume()
        .on('end', () => {
          resolve(status);
        })
        .on('error', reject)
        .end(call.body);
    });
  try {
    return await Promise.all(calls.map(once));
  } finally {
    session.destroy();
  }
}

/** Reads as JSON from each of the offsets, by every call and version of HTTP, `times` times, much of it at once. */
export async function readAsJson(target: ReadTarget, offsets: readonly number[], times: number): Promise<number[]> {
  const calls = callsFrom(Array.from({ length: times }, () => offsets).flat());
  const sessions = Array.from({ length: 4 }, () => callByHttp2(target, calls.slice(0, 100)));
  return (await Promise.all([callByHttp1(target, calls, http1Connections), ...sessions])).flat();
}

export interface Bulky {
  readonly name: string;
  readonly offset: number;
}

/** Appends batches of a mebibyte or less that are much work to make JSON of; answers where they are. */
export async function appendBulky(rpcAddr: string, tls?: ClientTls): Promise<Bulky[]> {
  const baseUrl = `http${tls === undefined ? '' : 's'}://${rpcAddr}`;
  const sessionManager = new Http2SessionManager(baseUrl, {}, { ...tls });
  const log = createClient(LogService, createGrpcTransport({ baseUrl, sessionManager }));
  const many = (length: number, record: object): object[] => Array.from({ length }, () => record);
  const headers = Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [i.toString(36), new Uint8Array(0)]));
  const batches: Record<string, object[]> = {
    '65,536 records of 10 bytes': many(65_536, { value: Buffer.alloc(10, 'x') }),
    '65,536 empty records': many(65_536, {}),
    'a record with 20,000 headers': [{ headers }],
    'a record of a mebibyte': [{ value: Buffer.alloc(1_000_000, '"') }],
  };
  const found: Bulky[] = [];
  for (const [name, records] of Object.entries(batches)) {
    const { baseOffset, recordCount } = await log.append({ records });
    found.push({ name, offset: Number(baseOffset) });
    if (recordCount > 1) found.push({ name: `${name}, the last`, offset: Number(baseOffset) + recordCount - 1 });
  }
  sessionManager.abort();
  return found;
}
