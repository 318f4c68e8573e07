import type { LogClient } from './log-client.js';
import type { OutgoingBatch } from './record-batch-builder.js';

/** A part of the log as it was read. */
export interface ReadBack {
  readonly fromOffset: number;
  /** The encoded records from `fromOffset` on. */
  readonly records: readonly Uint8Array[];
  readonly highWatermark: number;
}

/** Reads the committed records in [from, until). */
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

/** Whether exactly the records of the batch are in the log at `offset`. */
export function holdsBatchAt(found: ReadBack, offset: number, batch: OutgoingBatch): boolean {
  let i = offset - found.fromOffset;
  if (i < 0 || i + batch.recordCount > found.records.length) return false;
  for (const record of batch.records()) {
    if (Buffer.compare(found.records[i], record) !== 0) return false;
    i += 1;
  }
  return true;
}
