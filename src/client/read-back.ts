import type { LogClient } from './log-client.js';
import type { OutgoingBatch } from './record-batch-builder.js';

/** A stretch of the log as it is now. */
export interface ReadBack {
  readonly fromOffset: number;
  /** Encoded records from `fromOffset` on. */
  readonly records: readonly Uint8Array[];
  readonly highWatermark: number;
}

/** Reads the records in [from, until) as far as they are committed. */
export async function readBack(client: LogClient, from: number, until: number, signal: AbortSignal): Promise<ReadBack> {
  const { highWatermark } = await client.read({ from: { position: 'latest' }, linearizable: true, signal });
  const end = Math.min(until, highWatermark);
  const records: Uint8Array[] = [];
  while (from + records.length < end) {
    const { batches } = await client.read({ from: { offset: from + records.length }, linearizable: true, signal });
    if (batches.length === 0) break;
    for (const batch of batches) records.push(...batch.encodedRecords);
  }
  return { fromOffset: from, records: records.slice(0, Math.max(0, end - from)), highWatermark };
}

/** Whether exactly the batch's bytes are in the log at `offset`. */
export function holdsBatchAt(found: ReadBack, offset: number, batch: OutgoingBatch): boolean {
  let place = offset - found.fromOffset;
  if (place < 0 || place + batch.recordCount > found.records.length) return false;
  for (const record of batch.records()) {
    if (Buffer.compare(found.records[place], record) !== 0) return false;
    place += 1;
  }
  return true;
}
