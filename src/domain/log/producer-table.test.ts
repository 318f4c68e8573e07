import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { crc32c } from '../../adapters/checksum/crc32c.js';
import { encodePrefix, type Producer } from './batch-prefix.js';
import { toEpochMs, toIndex, toOffset, toTerm } from './offsets.js';
import { encodeProducerChange, decodeProducerChange, type ProducerChange } from './producer-change.js';
import { ProducerTable } from './producer-table.js';
import { BatchKind, type RecordBatch, sealBatch } from './record-batch.js';
import { malformed } from './wire-reader.js';

const checksum = { crc32c, logId: new Uint8Array(16) };
const limits = { producersMax: 3, ephemeralProducersMax: 2 };

/** A log that is applied to a table as it grows. */
class AppliedLog {
  readonly table = new ProducerTable(crc32c);
  index = 0;
  offset = 0;
  /** By how much the append times are ahead. */
  aheadMs = 0;

  append(producer: Producer | undefined, value = 1, recordCount = 1): RecordBatch {
    const prefix = producer && encodePrefix(producer);
    return this.#apply(BatchKind.records, recordCount, Uint8Array.of(0x22, 1, value), prefix);
  }

  change(change: Partial<ProducerChange>): RecordBatch {
    return this.#apply(BatchKind.producers, 0, encodeProducerChange({ opened: [], forgotten: [], ...change }));
  }

  open(id: string, epoch: number, isEphemeral = false): void {
    this.change({ opened: [{ id, epoch, isEphemeral }] });
  }

  #apply(kind: BatchKind, recordCount: number, payload: Uint8Array, prefix?: Uint8Array): RecordBatch {
    this.index += 1;
    const position = { index: toIndex(this.index), term: toTerm(1), baseOffset: toOffset(this.offset) };
    const appendTimeMs = toEpochMs(1000 * this.index + this.aheadMs);
    const batch = sealBatch({ kind, ...position, recordCount, appendTimeMs, prefix, payload }, checksum);
    this.offset += recordCount;
    this.table.apply(batch);
    return batch;
  }

  /** Returns the decision in short, and its data. */
  decide(id: string, epoch: number, sequence: number, value = 1, recordCount = 1): unknown {
    const mark = this.table.markOf({ payload: Uint8Array.of(0x22, 1, value), count: recordCount });
    const decision = this.table.decide({ id, epoch, sequence }, mark, limits);
    if (decision.kind === 'append') return 'append';
    if (decision.kind === 'duplicate') return { duplicate: decision.of.index };
    return { ...decision.error };
  }
}

const refused = (name: string, data: object = {}): unknown => expect.objectContaining({ name, ...data });

describe('the table of producers', () => {
  /** Epoch 5 of `p`: sequences 0 to 99; that of 99 has the value 9. */
  function log(): AppliedLog {
    const applied = new AppliedLog();
    applied.open('p', 5);
    for (let sequence = 0; sequence < 100; sequence++)
      applied.append({ id: 'p', epoch: 5, sequence }, sequence === 99 ? 9 : 1);
    return applied;
  }

  it.each<[string, Parameters<AppliedLog['decide']>, unknown]>([
    ['a lower epoch is fenced', ['p', 4, 0], refused('ProducerFencedError', { epoch: 4, currentEpoch: 5 })],
    ['a lower epoch is fenced, whatever the sequence', ['p', 0, 1e9], refused('ProducerFencedError')],
    ['a higher epoch begins at 0', ['p', 6, 0], 'append'],
    ['a higher epoch begins at no other', ['p', 6, 1], refused('ProducerSequenceGapError', { expected: 0 })],
    ['an unknown id begins at 0', ['q', 7, 0], 'append'],
    ['an unknown id begins at no other', ['q', 0, 1], refused('ProducerSequenceGapError', { expected: 0 })],
    ['the next sequence is appended', ['p', 5, 100], 'append'],
    ['a later one is a gap', ['p', 5, 101], refused('ProducerSequenceGapError', { expected: 100 })],
    ['the last one again is a duplicate', ['p', 5, 99, 9], { duplicate: 101 }],
    ['the oldest of the remembered is a duplicate', ['p', 5, 36], { duplicate: 38 }],
    ['the one before is too old', ['p', 5, 35], refused('ProducerBatchTooOldError')],
    ['the first one is too old', ['p', 5, 0], refused('ProducerBatchTooOldError')],
    ['other bytes are a conflict', ['p', 5, 99, 8], refused('ProducerConflictError')],
    ['another count of records is a conflict', ['p', 5, 99, 9, 2], refused('ProducerConflictError')],
  ])('%s', (_name, [id, epoch, sequence, value, count], expected) => {
    expect(log().decide(id, epoch, sequence, value, count)).toEqual(expected);
  });

  it('answers a duplicate with the place of the first time', () => {
    const applied = new AppliedLog();
    applied.append(undefined, 1, 5);
    const { index, term, baseOffset } = applied.append({ id: 'p', epoch: 0, sequence: 0 }, 7, 3);
    const mark = applied.table.markOf({ payload: Uint8Array.of(0x22, 1, 7), count: 3 });
    expect(applied.table.decide({ id: 'p', epoch: 0, sequence: 0 }, mark, limits)).toEqual({
      kind: 'duplicate',
      of: { recordCount: 3, crc: mark.crc, baseOffset, index, term },
    });
    expect(baseOffset).toBe(5);
  });

  it('fences the epoch before from the entry on that opens the next, and forgets its batches', () => {
    const applied = log();
    applied.open('p', 6);
    expect(applied.decide('p', 5, 99, 9)).toEqual(refused('ProducerFencedError', { currentEpoch: 6 }));
    expect(applied.decide('p', 6, 0)).toBe('append');
    expect(applied.decide('p', 6, 1)).toEqual(refused('ProducerSequenceGapError'));
  });

  it('admits no new id when it is full, and evicts none', () => {
    const applied = new AppliedLog();
    for (const id of ['a', 'b', 'c']) applied.append({ id, epoch: 0, sequence: 0 });
    expect(applied.decide('d', 0, 0)).toEqual(refused('ProducersMaxError', { limit: 3, isEphemeral: false }));
    expect(applied.decide('a', 0, 1)).toBe('append');
    expect(applied.decide('a', 1, 0)).toBe('append');
    applied.change({ forgotten: ['b'] });
    expect(applied.decide('d', 0, 0)).toBe('append');
    expect(applied.decide('b', 0, 1)).toEqual(refused('ProducerSequenceGapError', { expected: 0 }));
  });

  it('counts ephemeral ids apart from the others', () => {
    const applied = new AppliedLog();
    applied.open('e1', 1, true);
    applied.open('e2', 1, true);
    applied.append({ id: 'e1', epoch: 1, sequence: 0 });
    expect([applied.table.namedCount, applied.table.ephemeralCount]).toEqual([0, 2]);
    expect(applied.table.admit(true, limits)).toMatchObject({ kind: 'refuse', error: { isEphemeral: true, limit: 2 } });
    expect(applied.table.admit(false, limits)).toEqual({ kind: 'append' });
    expect(applied.table.admit(false, limits, 3)).toMatchObject({ kind: 'refuse' });
  });

  it('names the ids to forget by the log index of their last batch', () => {
    const applied = new AppliedLog();
    applied.open('e', 1, true);
    for (const id of ['a', 'b', 'c']) applied.append({ id, epoch: 0, sequence: 0 });
    applied.append({ id: 'a', epoch: 0, sequence: 1 });
    const expired = (named: number, ephemeral: number, idsMax = 9): string[] =>
      applied.table.expired({ named: toEpochMs(named), ephemeral: toEpochMs(ephemeral) }, idsMax);
    expect(expired(3000, 0)).toEqual([]);
    expect(expired(3001, 1001)).toEqual(['e', 'b']);
    expect(expired(9000, 9000)).toEqual(['e', 'b', 'c', 'a']);
    expect(expired(9000, 9000, 2)).toEqual(['e', 'b']);
  });

  it('knows the last batch of an id over epochs in which nothing was appended', () => {
    const applied = new AppliedLog();
    applied.open('p', 1);
    expect(applied.table.get('p')?.last).toBeUndefined();
    applied.append({ id: 'p', epoch: 1, sequence: 0 }, 1, 5);
    const { baseOffset } = applied.append({ id: 'p', epoch: 1, sequence: 1 });
    for (const epoch of [2, 3]) {
      applied.open('p', epoch);
      expect(applied.table.get('p')?.last).toEqual({ sequence: 1, baseOffset });
    }
    const later = applied.append({ id: 'p', epoch: 3, sequence: 0 });
    expect(applied.table.get('p')?.last).toEqual({ sequence: 0, baseOffset: later.baseOffset });
    applied.change({ forgotten: ['p'] });
    applied.open('p', 1);
    expect(applied.table.get('p')?.last).toBeUndefined();
  });

  it('keeps no id because of a clock that was ahead', () => {
    const applied = new AppliedLog();
    const expired = (time: number): string[] =>
      applied.table.expired({ named: toEpochMs(time), ephemeral: toEpochMs(time) }, 9);
    applied.aheadMs = 1e12;
    applied.open('e', 1, true);
    applied.append({ id: 'a', epoch: 0, sequence: 0 });
    applied.aheadMs = 0;
    applied.append({ id: 'b', epoch: 0, sequence: 0 });
    expect(expired(3000)).toEqual([]);
    expect(expired(3001)).toEqual(['e', 'a', 'b']);
  });

  it('remembers 64 batches while there are at most 1,000 ids, and 16 then', () => {
    const applied = log();
    const many = Array.from({ length: 1_000 }, (_, i) => ({ id: `n${i}`, epoch: 1, isEphemeral: false }));
    applied.change({ opened: many.slice(1) });
    expect(applied.decide('p', 5, 36)).toEqual({ duplicate: 38 });
    applied.change({ opened: many.slice(0, 1) });
    expect(applied.decide('p', 5, 84)).toEqual({ duplicate: 86 });
    expect(applied.decide('p', 5, 83)).toEqual(refused('ProducerBatchTooOldError'));
    for (const sequence of [100, 101]) applied.append({ id: 'p', epoch: 5, sequence });
    applied.change({ forgotten: ['n0'] });
    expect(applied.decide('p', 5, 86)).toEqual({ duplicate: 88 });
    expect(applied.decide('p', 5, 85)).toEqual(refused('ProducerBatchTooOldError'));
    for (let sequence = 102; sequence < 200; sequence++) applied.append({ id: 'p', epoch: 5, sequence });
    expect(applied.decide('p', 5, 136)).toEqual({ duplicate: applied.index - 63 });
  });

  it('decides as a list of all batches would (property)', () => {
    const command = fc.record({
      id: fc.constantFrom('a', 'b'),
      epoch: fc.nat(2),
      sequence: fc.nat(4),
      value: fc.nat(1),
      opens: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(command, { maxLength: 80 }), (commands) => {
        const applied = new AppliedLog();
        const model = new Map<string, { epoch: number; batches: { value: number; index: number }[] }>();
        for (const { id, epoch, sequence, value, opens } of commands) {
          const known = model.get(id);
          if (opens && sequence === 0 && epoch > (known?.epoch ?? -1)) {
            applied.open(id, epoch);
            model.set(id, { epoch, batches: [] });
            continue;
          }
          const batches = known?.epoch === epoch ? known.batches : [];
          const earlier = batches[sequence];
          let expected: unknown = 'append';
          if (known !== undefined && epoch < known.epoch) expected = refused('ProducerFencedError');
          else if (sequence > batches.length)
            expected = refused('ProducerSequenceGapError', { expected: batches.length });
          else if (earlier !== undefined)
            expected = earlier.value === value ? { duplicate: earlier.index } : refused('ProducerConflictError');
          expect(applied.decide(id, epoch, sequence, value)).toEqual(expected);
          if (expected !== 'append') continue;
          const { index } = applied.append({ id, epoch, sequence }, value);
          model.set(id, { epoch, batches: [...batches, { value, index }] });
        }
      }),
    );
  });
});

describe('the memory of the table', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const heapBytes = (): number => {
    collect();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };

  /** A table of so many producers with 17 batches each. Ids have the length of a UUID. */
  const idOf = (i: number): string => `0123abcd-1234-1234-1234-${String(i).padStart(12, '0')}`;
  const tableOf = (count: number, isEphemeral: boolean): ProducerTable => {
    const table = new ProducerTable(crc32c);
    const position = { term: toTerm(2 ** 40), appendTimeMs: toEpochMs(1.8e12) };
    let index = 2 ** 40;
    const apply = (fields: Pick<RecordBatch, 'kind' | 'prefix' | 'payload' | 'recordCount'>): void => {
      index += 1;
      table.apply({
        ...fields,
        ...position,
        index: toIndex(index),
        baseOffset: toOffset(index),
        header: fields.payload,
      });
    };
    for (let i = 0; i < count; i++) {
      const payload = encodeProducerChange({ opened: [{ id: idOf(i), epoch: 1, isEphemeral }], forgotten: [] });
      apply({ kind: BatchKind.producers, recordCount: 0, payload });
    }
    for (let sequence = 0; sequence < 17; sequence++)
      for (let i = 0; i < count; i++) {
        const prefix = encodePrefix({ id: idOf(i), epoch: 1, sequence });
        apply({ kind: BatchKind.records, recordCount: 1000, prefix, payload: Uint8Array.of(0x22, 1, i & 127) });
      }
    return table;
  };

  it.each([
    [false, 10_000, 24],
    [true, 50_000, 40],
  ])(
    'with ephemeral ids: %s, %i of them take at most %i MB',
    (isEphemeral, count, megabytes) => {
      const before = heapBytes();
      const table = tableOf(count, isEphemeral);
      const bytes = heapBytes() - before;
      expect(table.namedCount + table.ephemeralCount).toBe(count);
      expect(table.get(idOf(7))?.batch(4, 16)).toMatchObject({ recordCount: 1000 });
      expect(bytes / 1e6).toBeLessThanOrEqual(megabytes);
    },
    60_000,
  );
});

describe('a change of producers', () => {
  it('is read as it was written (property)', () => {
    const id = fc
      .string({ minLength: 1, maxLength: 20, unit: 'grapheme' })
      .filter((each) => Buffer.byteLength(each) <= 128);
    const epoch = fc.nat({ max: Number.MAX_SAFE_INTEGER });
    const opened = fc.array(fc.record({ id, epoch, isEphemeral: fc.boolean() }), { maxLength: 3 });
    fc.assert(
      fc.property(fc.record({ opened, forgotten: fc.array(id, { maxLength: 3 }) }), (change) => {
        expect(decodeProducerChange(encodeProducerChange(change))).toEqual(change);
      }),
    );
  });

  it.each([
    [0x0a, 2, 0x10, 1],
    [0x0a, 3, 0x0a, 1],
    [0x12, 0],
    [0x12, 1, 0xff],
    [0x10, 1],
    [0x0a, 5, 0x0a, 1, 97, 0x10, 0x80],
    [0x0a, 0x85],
  ])('is refused: %i %i %i %i', (...bytes) => {
    expect(decodeProducerChange(Uint8Array.from(bytes.filter((byte) => byte !== undefined)))).toBe(malformed);
  });

  it('has golden bytes', () => {
    const change = { opened: [{ id: 'orders', epoch: 300, isEphemeral: true }], forgotten: ['a'] };
    expect(Buffer.from(encodeProducerChange(change)).toString('hex')).toBe('0a0d0a066f726465727310ac02180112' + '0161');
  });
});
