import {
  Backoff,
  isTransient,
  LogServers,
  type ReadChunk,
  type ReadFrom,
  UnreachableError,
} from '../../client/index.js';
import type { LogClient } from '../../client/index.js';

export interface ConsumeOptions {
  readonly from: ReadFrom;
  /** Continue past the high watermark of the start. */
  readonly follow: boolean;
  readonly recordsMax: number;
  readonly reconnectTimeoutMs: number;
  readonly signal: AbortSignal;
  /** Prints up to `recordsMax` records of the chunk; resolves to their number and the next offset. */
  readonly print: (
    chunk: ReadChunk,
    recordsMax: number,
  ) => Promise<{ recordCount: number; endOffset: number | undefined }>;
  readonly onConnection: (state: 'lost' | 'resumed', reason?: Error) => void;
}

export interface Consumed {
  records: number;
  /** The first offset not printed; undefined until the server has answered. */
  nextOffset: number | undefined;
}

/** A stream that was open for this long counts as a success, even if the log had nothing new to send. */
const settledMs = 10_000;

/**
 * Prints the log from `options.from` on, in order, each record once; continues at the next server when a connection is
 * lost. Ends at the high watermark of the start (unless it follows), after `recordsMax` records, or when the signal
 * aborts. `consumed` has the progress, also after a rejection.
 */
export async function consume(
  clients: readonly LogClient[],
  options: ConsumeOptions,
  consumed: Consumed,
): Promise<void> {
  const { follow, signal, recordsMax, reconnectTimeoutMs } = options;
  const servers = new LogServers(clients);
  let isLost = false;
  const lost = (reason: Error): void => {
    if (!isLost) options.onConnection('lost', reason);
    isLost = true;
  };
  const print = async (chunk: ReadChunk): Promise<void> => {
    if (isLost) options.onConnection('resumed');
    isLost = false;
    const { recordCount, endOffset } = await options.print(chunk, recordsMax - consumed.records);
    consumed.records += recordCount;
    consumed.nextOffset = endOffset ?? consumed.nextOffset;
  };
  const first = await servers.read({ from: options.from, maxRecords: recordsMax }, reconnectTimeoutMs, signal, lost);
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
  let backoff = new Backoff();
  let lostAtMs: number | undefined;
  while (!done()) {
    let openedAtMs = Infinity;
    try {
      // The next server may lag behind the last one: it must wait for the next offset instead of refusing the read.
      const from = awaited ?? { offset: next };
      const request = { from, ...(next > 0 && { notBeforeOffset: next - 1 }), signal };
      for await (const chunk of servers.current.tail(request, () => (openedAtMs = performance.now()))) {
        lostAtMs = undefined;
        awaited = undefined;
        backoff = new Backoff();
        await print(upTo(chunk, end));
        if (done()) return;
      }
    } catch (error) {
      if (!isTransient(error) || !(error instanceof Error)) throw error;
      const nowMs = performance.now();
      if (nowMs - openedAtMs > settledMs) lostAtMs = undefined;
      lostAtMs ??= nowMs;
      if (nowMs - lostAtMs > reconnectTimeoutMs) {
        const seconds = Math.round(reconnectTimeoutMs / 1_000);
        throw new UnreachableError(servers.addresses, `lost for ${seconds} s (${error.message})`, { cause: error });
      }
      lost(error);
      servers.moveOn();
    }
    await backoff.wait(signal).catch(() => undefined);
  }
}

/** Returns the chunk without the batches from offset `end` on. */
function upTo(chunk: ReadChunk, end: number): ReadChunk {
  if (chunk.batches.every((batch) => batch.endOffset <= end)) return chunk;
  return { ...chunk, batches: chunk.batches.filter((batch) => batch.baseOffset < end) };
}
