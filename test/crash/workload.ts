import { crc32c } from '../../src/adapters/checksum/crc32c.js';
import type { Directory } from '../../src/domain/log/directory.js';
import { Log, type LogOptions } from '../../src/domain/log/log.js';
import { toEpochMs, toIndex, toOffset, toTerm } from '../../src/domain/log/offsets.js';
import { BatchKind, sealBatch, type RecordBatch } from '../../src/domain/log/record-batch.js';
import { encodeRecord } from '../../src/domain/log/record.js';
import { defaultRecordLimits, frameRecords } from '../../src/domain/log/records.js';

export const logOptions: LogOptions = {
  logId: Uint8Array.from({ length: 16 }, (_, i) => 0xa0 + i),
  crc32c,
  segmentBytesMax: 3000,
  indexIntervalBytes: 400,
};

/** Builds the batch at `index` and `offset`; its content depends on `index` and `generation`. */
export function makeBatch(
  index: number,
  offset: number,
  recordCount: number,
  bytes: number,
  generation: number,
): RecordBatch {
  const records = Array.from({ length: recordCount }, (_, i) =>
    encodeRecord({ value: new Uint8Array(bytes).fill((index * 31 + i * 7 + generation) & 0xff) }),
  );
  return sealBatch(
    {
      kind: recordCount > 0 ? BatchKind.records : BatchKind.noop,
      index: toIndex(index),
      term: toTerm(1 + generation),
      baseOffset: toOffset(offset),
      recordCount,
      appendTimeMs: toEpochMs(1_000_000 + index),
      payload: recordCount > 0 ? frameRecords(records, defaultRecordLimits).payload : new Uint8Array(0),
    },
    { crc32c, logId: logOptions.logId },
  );
}

/** The allowed contents of a log if the machine stops now. */
export class Expectation {
  /** All batches passed to `append`, by index from 1, without those that a finished truncation dropped. */
  sent: RecordBatch[] = [];
  /** Every entry up to this index was acknowledged by a finished sync and must be present. */
  ackedIndex = 0;
  /** The allowed log starts: several during a prefix truncation. */
  starts = [0];
  generation = 0;

  get nextOffset(): number {
    const last = this.sent.at(-1);
    return last ? last.baseOffset + last.recordCount : 0;
  }

  send(recordCount: number, bytes: number): RecordBatch {
    const batch = makeBatch(this.sent.length + 1, this.nextOffset, recordCount, bytes, this.generation);
    this.sent.push(batch);
    return batch;
  }
}

type Step =
  | { readonly do: 'append'; readonly batches: readonly (readonly [recordCount: number, bytes: number])[] }
  | { readonly do: 'sync' }
  | { readonly do: 'truncate prefix'; readonly before: number }
  | { readonly do: 'truncate suffix'; readonly back: number }
  | { readonly do: 'reopen' };

const small = [2, 40] as const;
const large = [3, 500] as const;
const control = [0, 0] as const;

/**
 * Rolls within and between groups, truncates within a segment, at its edges and across several, and appends after each.
 */
export const script: readonly Step[] = [
  { do: 'append', batches: [small] },
  { do: 'sync' },
  { do: 'append', batches: [small, control, large] },
  { do: 'append', batches: [small, small] },
  { do: 'sync' },
  { do: 'append', batches: [large, large, small, large, control] },
  { do: 'sync' },
  { do: 'truncate suffix', back: 2 },
  { do: 'append', batches: [large, small] },
  { do: 'sync' },
  { do: 'append', batches: [small] },
  { do: 'reopen' },
  { do: 'append', batches: [large, large, large] },
  { do: 'sync' },
  { do: 'truncate prefix', before: 14 },
  { do: 'append', batches: [large, small, small, small] },
  { do: 'sync' },
  { do: 'truncate suffix', back: 7 },
  { do: 'append', batches: [control, small] },
  { do: 'append', batches: [large, large] },
  { do: 'sync' },
  { do: 'truncate prefix', before: 1000 },
  { do: 'append', batches: [large, large, small] },
  { do: 'sync' },
  { do: 'append', batches: [small, large] },
];

/** Runs the script to its end, or until the directory fails; `expected` is valid at any time. */
export async function runScript(directory: Directory, expected: Expectation): Promise<void> {
  let log = await Log.open(directory, logOptions);
  for (const step of script) {
    if (step.do === 'append') await log.append(step.batches.map(([count, bytes]) => expected.send(count, bytes)));
    else if (step.do === 'sync') {
      await log.sync();
      expected.ackedIndex = expected.sent.length;
    } else if (step.do === 'truncate prefix') {
      const [start] = expected.starts;
      expected.starts = [start, ...segmentStarts(expected, start, step.before)];
      await log.truncatePrefix(toOffset(step.before));
      expected.starts = [log.startOffset];
    } else if (step.do === 'truncate suffix') {
      const from = expected.sent.length + 1 - step.back;
      expected.ackedIndex = Math.min(expected.ackedIndex, from - 1);
      await log.truncateSuffix(toIndex(from));
      expected.sent = expected.sent.slice(0, from - 1);
      expected.generation++;
    } else {
      await log.close();
      expected.ackedIndex = expected.sent.length;
      log = await Log.open(directory, logOptions);
    }
  }
}

/** Returns every batch's base offset up to `before`: a segment may begin at any of them. */
function segmentStarts(expected: Expectation, start: number, before: number): number[] {
  return expected.sent.map(({ baseOffset }): number => baseOffset).filter((base) => base > start && base <= before);
}
