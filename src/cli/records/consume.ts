import {
  Backoff,
  isDataLoss,
  isServerError,
  isTransient,
  type LogClient,
  LogServers,
  type ReadChunk,
  type ReadFrom,
  spanText,
  UnreachableError,
} from '../../client/index.js';

/** `linearizable`: up to the end of the log, as a leader confirms it; `local`: what the first server has. */
export const consistencies = ['linearizable', 'local'] as const;
export type Consistency = (typeof consistencies)[number];

export interface ConsumeOptions {
  readonly from: ReadFrom;
  /** Continue past the high watermark of the start. */
  readonly follow: boolean;
  readonly recordsMax: number;
  readonly reconnectTimeoutMs: number;
  /** Undefined: linearizable, or what is known to be committed when no server can confirm the end for some seconds. */
  readonly consistency: Consistency | undefined;
  readonly signal: AbortSignal;
  /** Prints up to `recordsMax` records of the chunk; resolves to their number and the next offset. */
  readonly print: (
    chunk: ReadChunk,
    recordsMax: number,
  ) => Promise<{ recordCount: number; endOffset: number | undefined }>;
  readonly onConnection: (state: 'lost' | 'resumed', reason?: Error) => void;
  /** Called when what is printed first ends at a high watermark that no leader has confirmed. */
  readonly onUnconfirmed: (highWatermark: number) => void;
  /** Called when a server has lost the next records, and another one is tried. */
  readonly onDataLoss: (address: string, reason: Error) => void;
}

export interface Consumed {
  records: number;
  /** The first offset not printed; undefined until the server has answered. */
  nextOffset: number | undefined;
}

/** A stream that was open for this long counts as a success, even if the log had nothing new to send. */
const settledMs = 10_000;

/** How long the first read waits for a server that can confirm the end of the log; an election takes a second or two. */
const confirmMs = 5_000;

/**
 * Prints the log from `options.from` on, in order, each record once; continues at the next server, or at another member
 * that a server has named, when a connection is lost or a server has lost records. Ends at the high watermark of the
 * start (unless it follows), after `recordsMax` records, or when the signal aborts. `consumed` has the progress, also
 * after a rejection.
 */
export async function consume(
  clients: readonly LogClient[],
  options: ConsumeOptions,
  consumed: Consumed,
): Promise<void> {
  const servers = new LogServers(clients, { learn: options.consistency !== 'local' });
  try {
    await consumeFrom(servers, options, consumed);
  } finally {
    servers.close();
  }
}

async function consumeFrom(servers: LogServers, options: ConsumeOptions, consumed: Consumed): Promise<void> {
  const { follow, signal, recordsMax } = options;
  let isLost = false;
  const lost = (reason: Error): void => {
    if (!isLost) options.onConnection('lost', reason);
    isLost = true;
  };
  const { chunk: first, isConfirmed } = await firstRead(servers, options, lost);
  if (!isConfirmed) options.onUnconfirmed(first.highWatermark);
  isLost &&= isConfirmed;
  const print = async (chunk: ReadChunk): Promise<void> => {
    if (isLost) options.onConnection('resumed');
    isLost = false;
    const { recordCount, endOffset } = await options.print(chunk, recordsMax - consumed.records);
    consumed.records += recordCount;
    consumed.nextOffset = endOffset ?? consumed.nextOffset;
  };
  const end = follow ? Infinity : first.highWatermark;
  let next = first.batches[0]?.baseOffset ?? first.highWatermark;
  /** The time from which records are wanted, until the first one is there: it may be still to come. */
  let awaited = 'sinceMs' in options.from && first.batches.length === 0 ? options.from : undefined;
  consumed.nextOffset = next;
  await print(upTo(first, end));

  const done = (): boolean => {
    next = consumed.nextOffset ?? next;
    return consumed.records >= recordsMax || next >= end || signal.aborted;
  };
  const failures = new TailFailures(servers, options, lost);
  while (!done()) {
    let openedAtMs = Infinity;
    try {
      // The next server may lag behind the last one: it must wait for the next offset instead of refusing the read.
      const from = awaited ?? { offset: next };
      const request = { from, ...(next > 0 && { notBeforeOffset: next - 1 }), signal };
      for await (const chunk of servers.current.tail(request, () => (openedAtMs = performance.now()))) {
        failures.forget();
        awaited = undefined;
        void servers.learn();
        await print(upTo(chunk, end));
        if (done()) return;
      }
    } catch (error) {
      await failures.handle(error, openedAtMs);
    }
    await failures.backoff.wait(signal).catch(() => undefined);
  }
}

/** Reads the first chunk; unconfirmed if only a local read could be served. */
async function firstRead(
  servers: LogServers,
  { from, recordsMax, consistency, reconnectTimeoutMs, signal }: ConsumeOptions,
  lost: (reason: Error) => void,
): Promise<{ chunk: ReadChunk; isConfirmed: boolean }> {
  const request = { from, maxRecords: recordsMax };
  const read = async (linearizable: boolean, timeoutMs: number): Promise<ReadChunk> =>
    servers.read({ ...request, linearizable }, timeoutMs, signal, lost);
  if (consistency === 'local') return { chunk: await read(false, reconnectTimeoutMs), isConfirmed: true };
  const patienceMs = consistency === undefined ? Math.min(confirmMs, reconnectTimeoutMs) : reconnectTimeoutMs;
  try {
    return { chunk: await read(true, patienceMs), isConfirmed: true };
  } catch (error) {
    if (consistency !== undefined || !isServerError(error) || error.code !== 'UNAVAILABLE') throw error;
  }
  try {
    return { chunk: await read(false, 0), isConfirmed: false };
  } catch (error) {
    if (!isTransient(error)) throw error;
    return { chunk: await read(true, reconnectTimeoutMs - patienceMs), isConfirmed: true };
  }
}

/** What went wrong since the last progress of a tail, and what to do about it. */
class TailFailures {
  backoff = new Backoff();
  /** The servers that have lost the next records. */
  readonly #lacking = new Set<string>();
  #loss: Error | undefined;
  #sinceMs: number | undefined;

  constructor(
    private readonly servers: LogServers,
    private readonly options: Pick<ConsumeOptions, 'reconnectTimeoutMs' | 'onDataLoss'>,
    private readonly lost: (reason: Error) => void,
  ) {}

  /** Called for each progress. */
  forget(): void {
    this.backoff = new Backoff();
    this.#lacking.clear();
    this.#loss = undefined;
    this.#sinceMs = undefined;
  }

  /**
   * Makes the next server current. Throws when no server has the records, or none has answered for too long.
   *
   * @param openedAtMs when the tail that failed was accepted; Infinity: never
   */
  async handle(error: unknown, openedAtMs: number): Promise<void> {
    const { servers, options } = this;
    if (!(error instanceof Error) || (!isTransient(error) && !isDataLoss(error))) throw error;
    const nowMs = performance.now();
    if (isDataLoss(error)) {
      const { address } = servers.current;
      await servers.learn();
      this.#loss = error;
      this.#lacking.add(address);
      if (servers.every((known) => this.#lacking.has(known))) throw error;
      options.onDataLoss(address, error);
    } else {
      if (nowMs - openedAtMs > settledMs) this.#sinceMs = undefined;
      this.#sinceMs ??= nowMs;
      if (nowMs - this.#sinceMs > options.reconnectTimeoutMs) throw this.#loss ?? this.#lostTooLong(error);
      this.lost(error);
    }
    servers.moveOn();
  }

  #lostTooLong(error: Error): Error {
    const reason = `lost for ${spanText(this.options.reconnectTimeoutMs)} (${error.message})`;
    return new UnreachableError(this.servers.addresses, reason, { cause: error });
  }
}

/** Returns the chunk without the batches from offset `end` on. */
function upTo(chunk: ReadChunk, end: number): ReadChunk {
  if (chunk.batches.every((batch) => batch.endOffset <= end)) return chunk;
  return { ...chunk, batches: chunk.batches.filter((batch) => batch.baseOffset < end) };
}
