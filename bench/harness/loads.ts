import {
  ByteCounter,
  GrpcSession,
  MessageReader,
  type ChunkSink,
  type GrpcCall,
  type SessionTls,
} from './grpc-session.js';
import type { Load } from './rounds.js';
import { appendRequest, consumeRequest, grpcFrame, readEarliestRequest, uint64Of } from './wire.js';

export const paths = {
  appendStream: '/golog.v1.LogService/AppendStream',
  tail: '/golog.v1.LogService/Tail',
  logInfo: '/golog.v1.LogService/GetLogInfo',
  produce: '/log.v1.Log/Produce',
  consume: '/log.v1.Log/Consume',
} as const;

const batchRecords = 1000;
const batchesInFlight = 16;
const batchFrame = grpcFrame(appendRequest(batchRecords));

export interface AppendLoad extends Load {
  /** `base_offset` of the last answer. */
  readonly lastBaseOffset: number;
}

/** Appends batches of 1,000 over one stream, 16 in flight, until `done` says so; resolves when all are answered. */
export async function appendUntil(
  session: GrpcSession,
  done: (recordsSent: number, seconds: number, recordsAnswered: number) => boolean,
): Promise<AppendLoad> {
  let sent = 0;
  let answered = 0;
  let lastBaseOffset = 0;
  let ended = false;
  const startedAt = performance.now();
  const secondsSoFar = (): number => (performance.now() - startedAt) / 1000;
  const send = (call: GrpcCall): void => {
    if (ended) return;
    if (sent > 0 && done(sent * batchRecords, secondsSoFar(), answered * batchRecords)) {
      ended = true;
      call.stream.end();
      return;
    }
    sent++;
    call.stream.write(batchFrame);
  };
  const reader = new MessageReader((message) => {
    answered++;
    if (ended && answered === sent) lastBaseOffset = uint64Of(message, 1);
    send(call);
  });
  const call = session.open(paths.appendStream, reader);
  for (let n = 0; n < batchesInFlight; n++) send(call);
  await call.done;
  const seconds = secondsSoFar();
  if (answered !== sent) throw new Error(`${sent} batches sent, ${answered} answered`);
  return { units: answered * batchRecords, seconds, lastBaseOffset };
}

/** An append load on a connection of its own; its units are records. */
export async function appendFor(address: string, seconds: number, tls?: SessionTls): Promise<AppendLoad> {
  const session = await GrpcSession.connect(address, tls);
  try {
    return await appendUntil(session, (_, soFar) => soFar >= seconds);
  } finally {
    session.close();
  }
}

export async function highWatermark(address: string, tls?: SessionTls): Promise<number> {
  const session = await GrpcSession.connect(address, tls);
  try {
    return uint64Of(await session.unary(paths.logInfo, grpcFrame(Buffer.alloc(0))), 2);
  } finally {
    session.close();
  }
}

/** Seconds from the call of Tail from the log's start until the sink that `makeSink` makes calls `enough`. */
async function tailInto(address: string, makeSink: (enough: () => void) => ChunkSink): Promise<number> {
  const session = await GrpcSession.connect(address);
  try {
    const startedAt = performance.now();
    let seconds = 0;
    const sink = makeSink(() => {
      if (seconds > 0) return;
      seconds = (performance.now() - startedAt) / 1000;
      call.cancel();
    });
    const call = session.open(paths.tail, sink);
    call.stream.end(grpcFrame(readEarliestRequest()));
    await call.done;
    if (seconds === 0) throw new Error('the stream ended before all was read');
    return seconds;
  } finally {
    session.close();
  }
}

/** Reads from the log's start until `onMessage` says that it has enough. */
export const tailUntil = (address: string, onMessage: (message: Buffer) => boolean): Promise<number> =>
  tailInto(address, (enough) => new MessageReader((message) => onMessage(message) && enough()));

/** Reads that many bytes from the log's start, looking at none: the reader must not be what is measured. */
export const tailBytes = (address: string, bytes: number): Promise<number> =>
  tailInto(address, (enough) => new ByteCounter((read) => read >= bytes && enough()));

export interface CallLoad extends Load {
  /** Ascending. */
  readonly latenciesMs: readonly number[];
}

/** Unary calls over one connection, `inFlight` at a time, for `seconds`. */
export async function callFor(
  address: string,
  path: string,
  request: () => Buffer,
  limits: { readonly inFlight: number; readonly seconds: number },
): Promise<CallLoad> {
  const session = await GrpcSession.connect(address);
  try {
    const latenciesMs: number[] = [];
    const startedAt = performance.now();
    const endsAt = startedAt + limits.seconds * 1000;
    const caller = async (): Promise<void> => {
      for (let at = performance.now(); at < endsAt;) {
        await session.unary(path, request());
        const now = performance.now();
        latenciesMs.push(now - at);
        at = now;
      }
    };
    await Promise.all(Array.from({ length: limits.inFlight }, caller));
    const seconds = (performance.now() - startedAt) / 1000;
    return { units: latenciesMs.length, seconds, latenciesMs: latenciesMs.sort((a, b) => a - b) };
  } finally {
    session.close();
  }
}

export const randomConsume = (records: number): (() => Buffer) => {
  return () => grpcFrame(consumeRequest(Math.floor(Math.random() * records)));
};
