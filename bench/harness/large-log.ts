import { GrpcSession } from './grpc-session.js';
import { appendUntil, highWatermark } from './loads.js';
import type { Bench, Golog } from './bench.js';

/** 10,500,000 records of 104 bytes on disk: 1.02 GiB, and more than the 10^7 records that are read at random. */
export const largeLogRecords = 10_500_000;

export interface LargeLog {
  /** The node that serves it now; it changes when a figure kills it. */
  golog: Golog;
  /** At least `largeLogRecords`. */
  records: number;
}

export async function fill(golog: Golog, records: number): Promise<void> {
  const session = await GrpcSession.connect(golog.rpcAddr);
  try {
    await appendUntil(session, (sent) => sent >= records);
  } finally {
    session.close();
  }
  const watermark = await highWatermark(golog.rpcAddr);
  if (watermark !== records) throw new Error(`${records} records appended, the high watermark is ${watermark}`);
}

/** A log of 1 GiB, made once for all the figures that read it. */
export const largeLog = (bench: Bench): Promise<LargeLog> =>
  bench.fixture('large log', async () => {
    bench.notice(`filling a log with ${largeLogRecords} records`);
    const golog = await bench.startGolog();
    await fill(golog, largeLogRecords);
    return { golog, records: largeLogRecords };
  });
