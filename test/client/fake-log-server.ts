import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  Metadata,
  type sendUnaryData,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  status,
} from '@grpc/grpc-js';
import {
  AppendRequestSchema,
  AppendResponseSchema,
  Consistency,
  GetLogInfoResponseSchema,
  Position,
  ReadRequestSchema,
  ReadResponseSchema,
} from '../../src/gen/golog/v1/log_service_pb.js';
import { GetServersResponseSchema, type Record, RecordSchema } from '../../src/gen/log/v1/log_pb.js';

/** What the fake does with a request, by its number over all streams. */
export type Behavior =
  | 'answer'
  /** Stores the batch and loses the connection before the answer. */
  | 'store and lose'
  /** Loses the connection before the batch is stored. */
  | 'lose'
  /** Answers that the record is too large. */
  | 'refuse'
  /** Answers that the disk is full. */
  | 'refuse for space'
  /** Stores as many records of another producer first. */
  | 'other producer first';

const same = (bytes: Buffer): Buffer => bytes;
const method = (path: string, requestStream: boolean, responseStream = requestStream) => ({
  path: path.startsWith('/') ? path : `/golog.v1.LogService/${path}`,
  requestStream,
  responseStream,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
});

/** A gRPC server with a log in memory that misbehaves as a test asks. */
export class FakeLogServer {
  readonly claims: (number | undefined)[] = [];
  readonly #server = new Server();
  readonly #tails = new Set<ServerWritableStream<Buffer, Buffer>>();
  readonly #endStream: (() => void)[] = [];
  address = '';
  /** Whether requests that were in flight when one failed are still processed, as a server may do. */
  storeLateAfterMismatch = false;

  /** The limit that it tells; undefined as by an older release. */
  batchBytesMax: number | undefined;

  /** The addresses of the members that it names. */
  members: readonly string[] = [];

  /** The first offset that it has lost. */
  lostFrom = Infinity;

  /** Whether it can do linearizable reads. */
  hasQuorum = true;

  /** The number of calls of `GetServers`. */
  serversCalls = 0;

  /** How many of the next reads are answered as by a node without a leader. */
  leaderlessReads = 0;

  private constructor(
    private readonly behave: (request: number) => Behavior,
    readonly records: Record[],
  ) {}

  /** @param twin another server of the same log */
  static async start(behave: (request: number) => Behavior, twin?: FakeLogServer): Promise<FakeLogServer> {
    const fake = new FakeLogServer(behave, twin?.records ?? []);
    fake.#server.addService(
      {
        AppendStream: method('AppendStream', true),
        Read: method('Read', false),
        GetLogInfo: method('GetLogInfo', false),
        Tail: method('Tail', false, true),
        GetServers: method('/log.v1.Log/GetServers', false),
      },
      {
        Tail: (call: ServerWritableStream<Buffer, Buffer>) => fake.#tail(call),
        GetServers: (_: unknown, respond: sendUnaryData<Buffer>) => fake.#servers(respond),
        GetLogInfo: (_: unknown, respond: sendUnaryData<Buffer>) => fake.#info(respond),
        AppendStream: (call: ServerDuplexStream<Buffer, Buffer>) => fake.#append(call),
        Read: (call: ServerUnaryCall<Buffer, Buffer>, respond: sendUnaryData<Buffer>) => fake.#read(call, respond),
      },
    );
    const port = await new Promise<number>((resolve, reject) => {
      fake.#server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => {
        if (error === null) resolve(bound);
        else reject(error);
      });
    });
    fake.address = `127.0.0.1:${port}`;
    return fake;
  }

  stop(): void {
    this.#server.forceShutdown();
  }

  values(): string[] {
    return this.records.map(({ value }) => Buffer.from(value).toString());
  }

  get tailsOpen(): number {
    return this.#tails.size;
  }

  /** Appends a record and sends it to the tails that are open, all of which are at the end of the log. */
  append(value: string): void {
    const offset = this.#store([record(value)]);
    for (const tail of this.#tails) tail.write(this.#chunk(offset));
  }

  /** Ends the append streams that are open, as a stopping server does. */
  endStreams(): void {
    for (const end of this.#endStream.splice(0)) end();
  }

  #append(call: ServerDuplexStream<Buffer, Buffer>): void {
    let ended = false;
    const end = (code: status, details: string, metadata = new Metadata()): void => {
      const first = !ended;
      ended = true;
      const fail = (): boolean => call.emit('error', { code, details, metadata });
      if (first && this.storeLateAfterMismatch) setTimeout(fail, 20);
      else if (first) fail();
    };
    this.#endStream.push(() => {
      end(status.UNAVAILABLE, 'this node is shutting down');
    });
    call.on('data', (bytes: Buffer) => {
      if (ended && !this.storeLateAfterMismatch) return;
      const request = fromBinary(AppendRequestSchema, bytes);
      const claim = request.expectedOffset === undefined ? undefined : Number(request.expectedOffset);
      this.claims.push(claim);
      const behavior = this.behave(this.claims.length - 1);
      if (behavior === 'lose') {
        end(status.UNAVAILABLE, 'connection lost');
        return;
      }
      if (behavior === 'refuse for space') {
        end(status.RESOURCE_EXHAUSTED, 'disk reserve reached', richStatus());
        return;
      }
      if (behavior === 'refuse') {
        end(status.INVALID_ARGUMENT, 'record too large');
        return;
      }
      if (behavior === 'other producer first') this.#store(request.records.map(() => record('other')));
      if (claim !== undefined && claim !== this.records.length) {
        end(status.FAILED_PRECONDITION, 'another offset');
        return;
      }
      const baseOffset = this.#store(request.records);
      if (behavior === 'store and lose') {
        end(status.UNAVAILABLE, 'connection lost');
        return;
      }
      if (ended) return;
      const recordCount = request.records.length;
      const response = create(AppendResponseSchema, { baseOffset: BigInt(baseOffset), recordCount });
      call.write(Buffer.from(toBinary(AppendResponseSchema, response)));
    });
    call.on('end', () => call.end());
    call.on('error', () => undefined);
  }

  #store(records: readonly Record[]): number {
    const baseOffset = this.records.length;
    this.records.push(...records);
    return baseOffset;
  }

  #info(respond: sendUnaryData<Buffer>): void {
    const { batchBytesMax } = this;
    const limit = batchBytesMax === undefined ? {} : { batchBytesMax: BigInt(batchBytesMax) };
    respond(null, Buffer.from(toBinary(GetLogInfoResponseSchema, create(GetLogInfoResponseSchema, limit))));
  }

  #read(call: ServerUnaryCall<Buffer, Buffer>, respond: sendUnaryData<Buffer>): void {
    if (this.leaderlessReads > 0) {
      this.leaderlessReads -= 1;
      respond({ code: status.UNAVAILABLE, details: 'there is no leader now', metadata: richStatus() });
      return;
    }
    const { from, consistency } = fromBinary(ReadRequestSchema, call.request);
    const isEarliest = from.case === 'position' && from.value === Position.EARLIEST;
    const offset = isEarliest ? 0 : from.case === 'offset' ? Number(from.value) : this.records.length;
    if (consistency === Consistency.LINEARIZABLE && !this.hasQuorum) {
      respond({ code: status.UNAVAILABLE, details: 'no leader confirmed the read', metadata: richStatus() });
      return;
    }
    if (offset >= this.lostFrom && this.lostFrom < this.records.length) {
      respond(lost(offset));
      return;
    }
    respond(null, this.#chunk(offset));
  }

  /** The records from an offset on, up to those that it has lost. */
  #chunk(offset: number): Buffer {
    const records = this.records.slice(offset, this.lostFrom);
    const response = create(ReadResponseSchema, {
      batches: records.length === 0 ? [] : [{ baseOffset: BigInt(offset), term: 1n, records }],
      highWatermark: BigInt(this.records.length),
    });
    return Buffer.from(toBinary(ReadResponseSchema, response));
  }

  #tail(call: ServerWritableStream<Buffer, Buffer>): void {
    const { from } = fromBinary(ReadRequestSchema, call.request);
    const offset = from.case === 'offset' ? Number(from.value) : 0;
    if (offset < Math.min(this.records.length, this.lostFrom)) call.write(this.#chunk(offset));
    if (this.lostFrom < this.records.length) call.emit('error', lost(this.lostFrom));
    else this.#tails.add(call);
    call.on('cancelled', () => this.#tails.delete(call));
  }

  #servers(respond: sendUnaryData<Buffer>): void {
    this.serversCalls += 1;
    const servers = this.members.map((rpcAddr, n) => ({ id: `n${n}`, rpcAddr, isLeader: n === 0 }));
    respond(null, Buffer.from(toBinary(GetServersResponseSchema, create(GetServersResponseSchema, { servers }))));
  }
}

function lost(offset: number): { code: status; details: string; metadata: Metadata } {
  return { code: status.DATA_LOSS, details: `offset ${offset} is lost`, metadata: richStatus() };
}

/** What a server adds to its own answers, and a lost connection does not have. */
function richStatus(): Metadata {
  const metadata = new Metadata();
  metadata.set('grpc-status-details-bin', Buffer.from('any'));
  return metadata;
}

export function record(value: string): Record {
  return create(RecordSchema, { value: Buffer.from(value) });
}
