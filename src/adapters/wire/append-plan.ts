import type { CommitLog } from '../../application/ports/commit-log.js';
import type { Producer } from '../../domain/log/batch-prefix.js';
import { ExpectedOffsetMismatchError } from '../../domain/log/errors.js';
import { type Offset, toOffset } from '../../domain/log/offsets.js';
import type { Records } from '../../domain/log/record-batch.js';
import { type RecordLimits, takeRecord, takeRecords } from '../../domain/log/records.js';
import { safeIntegerMax } from './offset.js';
import { producerOf } from './producers.js';

/** What a request appends, validated and framed as it is stored. */
export interface AppendPlan {
  readonly records: Records;
  readonly expectedOffset?: Offset;
  readonly producer?: Producer;
}

/** Plans a binary `log.v1.ProduceRequest`, whose bytes become the record's. Throws as `takeRecord`. */
export function planProduce(request: Uint8Array, limits: RecordLimits): AppendPlan {
  return { records: takeRecord(request, limits) };
}

/** Plans a binary `golog.v1.AppendRequest`, whose bytes become the records'. Throws as `takeRecords`. */
export function planAppend(request: Uint8Array, commitLog: CommitLog, limits: RecordLimits): AppendPlan {
  const { records, expectedOffset, producer } = takeRecords(request, limits);
  if (expectedOffset === undefined && producer === undefined) return { records };
  if (expectedOffset !== undefined && expectedOffset > safeIntegerMax)
    throw new ExpectedOffsetMismatchError(expectedOffset, commitLog.infoNow().logEndOffset);
  return {
    records,
    ...(producer && { producer: producerOf(producer) }),
    ...(expectedOffset !== undefined && { expectedOffset: toOffset(Number(expectedOffset)) }),
  };
}
