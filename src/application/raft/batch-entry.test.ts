import { describe, expect, it } from '@jest/globals';
import { crc32c } from '../../adapters/checksum/crc32c.js';
import { InvalidInputError } from '../../domain/log/errors.js';
import { toEpochMs, toIndex, toOffset, toTerm } from '../../domain/log/offsets.js';
import { BatchKind, sealBatch, type RecordBatch } from '../../domain/log/record-batch.js';
import type { EntryType } from '../../domain/raft/entry.js';
import { batchContentOf, entryOfBatch } from './batch-entry.js';

function sealed(kind: BatchKind, payload: Uint8Array): RecordBatch {
  const fields = {
    kind,
    payload,
    index: toIndex(7),
    term: toTerm(3),
    baseOffset: toOffset(40),
    recordCount: kind === BatchKind.records ? 1 : 0,
    appendTimeMs: toEpochMs(1),
  };
  return sealBatch(fields, { crc32c, logId: new Uint8Array(16) });
}

describe('an entry and its batch', () => {
  it.each<[EntryType, number[], BatchKind, number[]]>([
    ['normal', [0x22, 0], BatchKind.records, [0x22, 0]],
    ['normal', [], BatchKind.noop, []],
    ['conf-change', [9, 8], BatchKind.configuration, [1, 9, 8]],
    ['conf-change-v2', [9], BatchKind.configuration, [2, 9]],
    ['conf-change-v2', [], BatchKind.configuration, [2]],
  ])('%s with data %j is a batch of kind %i with %j, and back', (type, data, kind, payload) => {
    const content = batchContentOf({ type, data: Uint8Array.from(data), ...(data.length > 0 && { kind }) });
    expect({ kind: content.kind, payload: [...content.payload] }).toEqual({ kind, payload });
    const batch = sealed(kind, content.payload);
    const entry = entryOfBatch(batch);
    expect({ ...entry, data: [...entry.data] }).toEqual({ type, data, index: 7, term: 3, batch });
    expect(entryOfBatch(batch)).not.toBe(entry);
  });

  it.each([[[]], [[0, 1]], [[3]]])('rejects a configuration of %j', (payload) => {
    const batch = sealed(BatchKind.configuration, Uint8Array.from(payload));
    expect(() => entryOfBatch(batch)).toThrow(InvalidInputError);
  });
});
