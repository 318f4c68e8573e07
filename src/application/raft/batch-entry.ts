import { InvalidInputError } from '../../domain/log/errors.js';
import { invariant } from '../../domain/log/invariant.js';
import { type BatchFields, BatchKind, type RecordBatch } from '../../domain/log/record-batch.js';
import type { Entry, EntryType } from '../../domain/raft/entry.js';

/** The first byte of a configuration batch's payload; the encoded change follows. */
const changeTypes: readonly (EntryType | undefined)[] = [undefined, 'conf-change', 'conf-change-v2'];

const noBytes = new Uint8Array(0);

/**
 * Returns the Raft entry of a stored batch, a new object at each call: its data is a view of the batch's payload, and
 * its `batch` is the batch. Throws `InvalidInputError` for a configuration batch without a known type byte.
 */
export function entryOfBatch(batch: RecordBatch): Entry {
  const { index, term, kind, payload } = batch;
  switch (kind) {
    case BatchKind.records:
      return { term, index, type: 'normal', data: payload, batch };
    case BatchKind.producers:
      return { term, index, type: 'normal', data: payload, batch };
    case BatchKind.noop:
      return { term, index, type: 'normal', data: noBytes, batch };
    case BatchKind.configuration: {
      const type = changeTypes[payload[0]];
      if (type === undefined)
        throw new InvalidInputError(`batch ${index} holds a configuration change of unknown type ${payload[0]}`);
      return { term, index, type, data: payload.subarray(1), batch };
    }
  }
}

/** Returns the batch of an entry that the core has given out. */
export function batchOf({ batch, index }: Entry): RecordBatch {
  invariant(batch !== undefined, () => `entry ${index} has its batch`);
  return batch;
}

/**
 * Returns what a batch must hold so that `entryOfBatch` returns this entry. Data of a normal entry is not copied; one
 * that the core made itself is a no-op.
 */
export function batchContentOf(
  entry: Pick<Entry, 'type' | 'data' | 'kind' | 'prefix'>,
): Pick<BatchFields, 'kind' | 'prefix' | 'payload'> {
  const { type, data, kind = BatchKind.noop, prefix } = entry;
  if (type === 'normal') return { kind, prefix, payload: data };
  const payload = new Uint8Array(1 + data.length);
  payload[0] = changeTypes.indexOf(type);
  payload.set(data, 1);
  return { kind: BatchKind.configuration, payload };
}
