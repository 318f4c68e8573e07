import { once } from 'node:events';
import { connect as connectHttp2, type ClientHttp2Session } from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { create, toBinary } from '@bufbuild/protobuf';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node';
import type { ClientTls } from '../../src/client/index.js';
import { LogService, ReadRequestSchema } from '../../src/gen/golog/v1/log_service_pb.js';
import { ConsumeRequestSchema } from '../../src/gen/log/v1/log_pb.js';
import { enveloped } from './http2-frames.js';

/** What a session has open at a time unless told otherwise. */
const callsPerSessionUsual = 90;

export interface UnreadCalls {
  readonly path: string;
  readonly requests: readonly Uint8Array[];
  readonly contentType?: string;
  /** Addresses of the loopback that the calls come from in turn. */
  readonly from?: readonly string[];
  /** One client, or several whose connections take turns. */
  readonly tls?: ClientTls | readonly ClientTls[] | undefined;
  readonly callsPerSession?: number;
  /** Bytes of the requests that are kept back, so that they do not end. */
  readonly keptBack?: number;
}

/** Calls whose responses nobody takes: their HTTP/2 windows stay closed, while the connections answer PINGs. */
export class UnreadCaller {
  readonly #sessions: ClientHttp2Session[] = [];
  /** Calls whose stream has ended, by the HTTP/2 error code. */
  readonly ended = new Map<number, number>();

  /** Begins all of the calls, one connection after the other. */
  async begin(
    port: number,
    { path, requests, contentType = 'application/grpc', from = ['127.0.0.2'], tls, ...rest }: UnreadCalls,
  ) {
    const { callsPerSession = callsPerSessionUsual, keptBack = 0 } = rest;
    const clients = tls === undefined ? [] : 'length' in tls ? tls : [tls];
    for (let first = 0; first < requests.length; first += callsPerSession) {
      const turn = first / callsPerSession;
      const ends = { port, host: '127.0.0.1', localAddress: from[turn % from.length] };
      const client = clients[turn % clients.length];
      const session = connectHttp2(`http${client ? 's' : ''}://127.0.0.1:${port}`, {
        settings: { initialWindowSize: 0 },
        createConnection: () => (client ? connectTls({ ...ends, ...client, ALPNProtocols: ['h2'] }) : connectTcp(ends)),
      });
      session.on('error', () => undefined);
      this.#sessions.push(session);
      await once(session, 'connect');
      for (const request of requests.slice(first, first + callsPerSession)) {
        const headers = { ':method': 'POST', ':path': path, 'content-type': contentType, te: 'trailers' };
        const stream = session.request(headers);
        stream.on('error', () => undefined);
        stream.on('close', () => this.ended.set(stream.rstCode, (this.ended.get(stream.rstCode) ?? 0) + 1));
        const bytes = enveloped(request);
        if (keptBack === 0) stream.end(bytes);
        else stream.write(bytes.subarray(0, -keptBack));
      }
    }
  }

  end(): void {
    for (const session of this.#sessions.splice(0)) session.destroy();
  }
}

const batches = 6;
const recordsABatch = 65_536;

/** Appends batches of as many small records as there may be in one. */
export async function appendSmallRecords(rpcAddr: string, tls?: ClientTls): Promise<void> {
  const baseUrl = `http${tls ? 's' : ''}://${rpcAddr}`;
  const sessionManager = new Http2SessionManager(baseUrl, {}, { ...tls });
  const log = createClient(LogService, createGrpcTransport({ baseUrl, sessionManager }));
  const records = Array.from({ length: recordsABatch }, () => ({ value: Buffer.from('10 bytes..') }));
  for (let batch = 0; batch < batches; batch += 1) await log.append({ records });
  sessionManager.abort();
}

/** Within the batches. */
const offsets = (calls: number): bigint[] =>
  Array.from({ length: calls }, (_, call) => BigInt(600 + (call % (batches - 1)) * recordsABatch));

export const consumesOf = (calls: number): Uint8Array[] =>
  offsets(calls).map((offset) => toBinary(ConsumeRequestSchema, create(ConsumeRequestSchema, { offset })));

export const readsOf = (calls: number): Uint8Array[] =>
  offsets(calls).map((value) =>
    toBinary(ReadRequestSchema, create(ReadRequestSchema, { from: { case: 'offset', value }, maxBytes: 1024 * 1024 })),
  );
