import { create, fromBinary, type DescMessage, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { Client, type ClientDuplexStream } from '@grpc/grpc-js';
import {
  Consistency,
  GetLogInfoRequestSchema,
  GetLogInfoResponseSchema,
  Position,
  ReadRequestSchema,
} from '../gen/golog/v1/log_service_pb.js';
import { GetServersRequestSchema, GetServersResponseSchema } from '../gen/log/v1/log_pb.js';
import { fromServiceError } from './errors.js';
import { decodeReadResponse, type ReadChunk } from './received-batch.js';
import { channelCredentials, type ClientTls } from './tls.js';
import { MalformedResponseError } from './wire.js';

/** Where a read starts: an offset, the first record appended at or after a time, the last N records, or an end of the log. */
export type ReadFrom =
  | { readonly offset: number }
  | { readonly sinceMs: number }
  | { readonly last: number }
  | { readonly position: 'earliest' | 'latest' };

export interface ReadOptions {
  readonly from: ReadFrom;
  /** The largest number of records in one chunk. */
  readonly maxRecords?: number;
  /** The largest number of payload bytes in one chunk; a single larger record is still returned. */
  readonly maxBytes?: number;
  /** Reads every append that was acknowledged, by any node, before the read began. */
  readonly linearizable?: boolean;
  /** Waits until the server has this offset, so that a server that lags behind does not refuse the read. */
  readonly notBeforeOffset?: number;
  readonly signal?: AbortSignal;
}

export interface LogInfo {
  readonly logStartOffset: number;
  readonly highWatermark: number;
  readonly logEndOffset: number;
  readonly bytes: number;
  readonly segments: number;
  /** The largest batch that the server accepts, as `OutgoingBatch.bytes` counts; undefined for an older server. */
  readonly batchBytesMax: number | undefined;
}

export interface Server {
  readonly id: string;
  readonly rpcAddr: string;
  readonly isLeader: boolean;
}

export type AppendCall = ClientDuplexStream<Uint8Array, Buffer>;

const logService = '/golog.v1.LogService/';
const unaryDeadlineMs = 30_000;
const channelOptions = {
  'grpc.max_receive_message_length': 64 * 1024 * 1024,
  'grpc.max_send_message_length': -1,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1_000,
  'grpc.keepalive_time_ms': 5_000,
  'grpc.keepalive_timeout_ms': 5_000,
  'grpc-node.flow_control_window': 8 * 1024 * 1024,
};

const passBytes = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
const sameBytes = (bytes: Buffer): Buffer => bytes;

/** Calls one server over one gRPC connection, which is opened on the first call and reopened after a loss. */
export class LogClient {
  private constructor(
    readonly address: string,
    private readonly client: Client,
    private readonly tls: ClientTls | undefined,
  ) {}

  /** @param address HOST:PORT; connects on the first call */
  static connect(address: string, tls?: ClientTls): LogClient {
    return new LogClient(address, new Client(address, channelCredentials(tls), channelOptions), tls);
  }

  /** A client for another server of the same cluster. */
  sibling(address: string): LogClient {
    return LogClient.connect(address, this.tls);
  }

  close(): void {
    this.client.close();
  }

  async info(signal?: AbortSignal): Promise<LogInfo> {
    const request = encode(GetLogInfoRequestSchema, {});
    const response = fromBinary(
      GetLogInfoResponseSchema,
      await this.#unary(`${logService}GetLogInfo`, request, signal),
    );
    return {
      logStartOffset: safeNumber(response.logStartOffset),
      highWatermark: safeNumber(response.highWatermark),
      logEndOffset: safeNumber(response.logEndOffset),
      bytes: safeNumber(response.bytes),
      segments: response.segments,
      batchBytesMax: response.batchBytesMax === undefined ? undefined : safeNumber(response.batchBytesMax),
    };
  }

  async servers(signal?: AbortSignal): Promise<Server[]> {
    const request = encode(GetServersRequestSchema, {});
    const response = fromBinary(GetServersResponseSchema, await this.#unary('/log.v1.Log/GetServers', request, signal));
    return response.servers.map(({ id, rpcAddr, isLeader }) => ({ id, rpcAddr, isLeader }));
  }

  /** Reads committed batches from `options.from` on, up to the limits; returns no batches at the end of the log. */
  async read(options: ReadOptions): Promise<ReadChunk> {
    return decodeReadResponse(await this.#unary(`${logService}Read`, encodeReadRequest(options), options.signal));
  }

  /**
   * Reads chunk after chunk and then follows the end of the log. Leaving the loop or aborting the signal cancels the call;
   * after an abort the iteration ends without an error. A slow reader slows the server down. `onOpen` is called when the
   * server has accepted the call, which may be long before the first chunk.
   */
  async *tail(options: ReadOptions, onOpen?: () => void): AsyncGenerator<ReadChunk, void, void> {
    options.signal?.throwIfAborted();
    const call = this.client.makeServerStreamRequest(
      `${logService}Tail`,
      passBytes,
      sameBytes,
      encodeReadRequest(options),
    );
    const cancel = (): void => {
      call.cancel();
    };
    if (onOpen !== undefined) call.once('metadata', onOpen);
    options.signal?.addEventListener('abort', cancel, { once: true });
    try {
      for await (const message of call) yield decodeReadResponse(message as Buffer);
    } catch (error) {
      if (options.signal?.aborted !== true) throw fromServiceError(error, this.address);
    } finally {
      options.signal?.removeEventListener('abort', cancel);
      call.on('error', () => undefined);
      call.cancel();
    }
  }

  /** Opens a raw stream of encoded `AppendRequest`s and their answers. Use `Producer` instead. */
  appendStream(): AppendCall {
    return this.client.makeBidiStreamRequest(`${logService}AppendStream`, passBytes, sameBytes);
  }

  #unary(path: string, request: Uint8Array, signal: AbortSignal | undefined): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const deadline = Date.now() + unaryDeadlineMs;
      const call = this.client.makeUnaryRequest(
        path,
        passBytes,
        sameBytes,
        request,
        { deadline },
        (error, response) => {
          signal?.removeEventListener('abort', cancel);
          if (error === null && response !== undefined) resolve(response);
          else reject(signal?.aborted === true ? abortReason(signal) : fromServiceError(error, this.address));
        },
      );
      const cancel = (): void => {
        call.cancel();
      };
      signal?.addEventListener('abort', cancel, { once: true });
    });
  }
}

function abortReason(signal: AbortSignal): Error {
  const reason: unknown = signal.reason;
  return reason instanceof Error ? reason : new Error('aborted', { cause: reason });
}

function encode<Desc extends DescMessage>(schema: Desc, fields: MessageInitShape<Desc>): Uint8Array {
  return toBinary(schema, create(schema, fields));
}

export function safeNumber(value: bigint): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new MalformedResponseError(`${value} is larger than 2^53 - 1`);
  return number;
}

function encodeReadRequest({ from, maxRecords, maxBytes, linearizable, notBeforeOffset }: ReadOptions): Uint8Array {
  return encode(ReadRequestSchema, {
    from: encodeFrom(from),
    maxRecords: Math.min(maxRecords ?? 0, 0xffffffff),
    maxBytes: maxBytes ?? 0,
    consistency: linearizable === true ? Consistency.LINEARIZABLE : Consistency.LOCAL,
    ...(notBeforeOffset !== undefined && { notBeforeOffset: BigInt(notBeforeOffset) }),
  });
}

function encodeFrom(from: ReadFrom): NonNullable<MessageInitShape<typeof ReadRequestSchema>['from']> {
  if ('offset' in from) return { case: 'offset', value: BigInt(from.offset) };
  if ('sinceMs' in from) return { case: 'since', value: timestampFromMs(from.sinceMs) };
  if ('last' in from) return { case: 'last', value: BigInt(from.last) };
  return { case: 'position', value: positionOf(from.position) };
}

/** @throws TypeError for a position that a caller in plain JavaScript has misspelled */
function positionOf(position: unknown): Position {
  if (position === 'earliest') return Position.EARLIEST;
  if (position === 'latest') return Position.LATEST;
  throw new TypeError(
    "from is not where a read can start: expected offset, sinceMs, last, or position 'earliest' or 'latest'",
  );
}
