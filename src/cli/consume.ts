import { setTimeout as delay } from 'node:timers/promises';
import { isTransient, type LogClient, type ReadChunk, type ReadFrom, UnreachableError } from '../client/index.js';

export interface ConsumeOptions {
  readonly from: ReadFrom;
  /** Go on beyond the high watermark as it was at the start. */
  readonly follow: boolean;
  readonly recordsMax: number;
  readonly reconnectTimeoutMs: number;
  readonly signal: AbortSignal;
  /** Prints up to `recordsMax` records of the chunk; resolves to how many, and where to go on. */
  readonly print: (
    chunk: ReadChunk,
    recordsMax: number,
  ) => Promise<{ recordCount: number; endOffset: number | undefined }>;
  readonly onConnection: (state: 'lost' | 'resumed', reason?: Error) => void;
}

export interface Consumed {
  records: number;
  /** The first offset not printed; unknown until the server has answered. */
  nextOffset: number | undefined;
}

const backoffMsFirst = 50;
const backoffMsMax = 1_000;

/**
 * Prints what is in the log from a place on, in order, each record once, also over a lost connection. Ends at the high
 * watermark as it was at the start (unless it follows), after `recordsMax` records, or when the signal aborts;
 * `consumed` tells how far it came, after a rejection too.
 */
export async function consume(client: LogClient, options: ConsumeOptions, consumed: Consumed): Promise<void> {
  const { follow, signal } = options;
  const take = async (chunk: ReadChunk): Promise<void> => {
    const { recordCount, endOffset } = await options.print(chunk, options.recordsMax - consumed.records);
    consumed.records += recordCount;
    consumed.nextOffset = endOffset ?? consumed.nextOffset;
  };
  const first = await client.read({
    from: options.from,
    maxRecords: options.recordsMax,
    linearizable: true,
    signal,
  });
  const end = follow ? Infinity : first.highWatermark;
  consumed.nextOffset = first.batches[0]?.baseOffset ?? first.highWatermark;
  await take(upTo(first, end));

  let lostAtMs: number | undefined;
  let backoffMs = backoffMsFirst;
  const done = (): boolean => consumed.records >= options.recordsMax || consumed.nextOffset! >= end || signal.aborted;
  while (!done()) {
    try {
      for await (const chunk of client.tail({ from: { offset: consumed.nextOffset }, signal })) {
        if (lostAtMs !== undefined) options.onConnection('resumed');
        lostAtMs = undefined;
        backoffMs = backoffMsFirst;
        await take(upTo(chunk, end));
        if (done()) return;
      }
    } catch (error) {
      if (!isTransient(error) || !(error instanceof Error)) throw error;
      if (lostAtMs === undefined) {
        lostAtMs = performance.now();
        options.onConnection('lost', error);
      } else if (performance.now() - lostAtMs > options.reconnectTimeoutMs) {
        const seconds = Math.round(options.reconnectTimeoutMs / 1_000);
        throw new UnreachableError(client.address, `lost for ${seconds} s (${error.message})`, { cause: error });
      }
    }
    await delay(backoffMs, undefined, { signal }).catch(() => undefined);
    backoffMs = Math.min(backoffMs * 2, backoffMsMax);
  }
}

/** The chunk without what was appended after the start. */
function upTo(chunk: ReadChunk, end: number): ReadChunk {
  if (chunk.batches.every((batch) => batch.endOffset <= end)) return chunk;
  return { ...chunk, batches: chunk.batches.filter((batch) => batch.baseOffset < end) };
}
