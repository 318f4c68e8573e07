import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { crc32c } from '../../adapters/checksum/crc32c.js';
import { encodePrefix, type Producer } from './batch-prefix.js';
import { LeaderProducers } from './leader-producers.js';
import { toEpochMs, toIndex, toOffset, toTerm } from './offsets.js';
import { encodeProducerChange } from './producer-change.js';
import { ProducerTable } from './producer-table.js';
import { BatchKind, type RecordBatch, sealBatch } from './record-batch.js';

const checksum = { crc32c, logId: new Uint8Array(16) };
const limits = { producersMax: 2, ephemeralProducersMax: 1 };
const payloadOf = (value: number): Uint8Array => Uint8Array.of(0x22, 1, value);

interface Proposal {
  readonly id: string;
  readonly batch: RecordBatch;
}

/** A leader that proposes, and applies what it proposed in order. */
class Leader {
  readonly table = new ProducerTable(crc32c);
  readonly producers = new LeaderProducers<Proposal>(this.table);
  /** Accepted, in order; `#applied` of them are applied. */
  readonly accepted: Proposal[] = [];
  #applied = 0;

  constructor(readonly term = 1) {
    this.producers.lead(term);
  }

  append(producer: Producer, value = 1): unknown {
    const mark = this.table.markOf({ payload: payloadOf(value), count: 1 });
    const decision = this.producers.decide(producer, mark, limits);
    if (decision.kind === 'append')
      this.#accept(producer.id, { kind: BatchKind.records, payload: payloadOf(value), producer }, (proposal) =>
        this.producers.addBatch(producer, mark, proposal),
      );
    return this.#shortOf(decision);
  }

  open(id: string, epoch?: number, isEphemeral = false): unknown {
    const decision = this.producers.decideOpen(id, epoch, isEphemeral, limits);
    if (decision.kind === 'refuse') return decision.error.name;
    const opened = [{ id, epoch: decision.epoch, isEphemeral }];
    this.#accept(id, { kind: BatchKind.producers, payload: encodeProducerChange({ opened, forgotten: [] }) }, (each) =>
      this.producers.addOpened(id, decision.epoch, isEphemeral, each),
    );
    return decision.epoch;
  }

  close(id: string, epoch: number): unknown {
    const { kind } = this.producers.decideClose(id, epoch);
    if (kind !== 'close') return kind;
    const payload = encodeProducerChange({ opened: [], forgotten: [id] });
    this.#accept(id, { kind: BatchKind.producers, payload }, (each) => this.producers.addForgotten(id, each));
    return kind;
  }

  applyNext(): void {
    const next = this.accepted[this.#applied];
    if (next === undefined) return;
    this.#applied += 1;
    this.producers.apply(next.batch);
  }

  /** Drops all proposals from the `count`th last on, as the core does. */
  drop(count: number): void {
    const from = Math.max(this.#applied, this.accepted.length - count);
    for (const proposal of this.accepted.splice(from)) this.producers.drop(proposal.id, proposal);
  }

  /** Returns the table that will be when everything accepted is applied. */
  head(): Leader {
    const head = new Leader();
    for (const { batch } of this.accepted) head.table.apply(batch);
    return head;
  }

  #accept(
    id: string,
    { kind, payload, producer }: { kind: BatchKind; payload: Uint8Array; producer?: Producer },
    add: (proposal: Proposal) => void,
  ): void {
    const index = this.accepted.length + 1;
    const position = { index: toIndex(index), term: toTerm(this.term), baseOffset: toOffset(index) };
    const prefix = producer && encodePrefix(producer);
    const fields = { ...position, appendTimeMs: toEpochMs(index), recordCount: kind === BatchKind.records ? 1 : 0 };
    const proposal = { id, batch: sealBatch({ kind, ...fields, prefix, payload }, checksum) };
    this.accepted.push(proposal);
    add(proposal);
  }

  #shortOf(decision: ReturnType<LeaderProducers<Proposal>['decide']>): unknown {
    if (decision.kind === 'append') return 'append';
    if (decision.kind === 'duplicate') return { first: decision.of.index };
    if (decision.kind === 'pending') return { first: decision.original.batch.index };
    const { name, message } = decision.error;
    return { name, message };
  }
}

describe('the producers of a leader', () => {
  it('count what is accepted and not applied yet', () => {
    const leader = new Leader();
    for (const sequence of [0, 1, 2]) expect(leader.append({ id: 'p', epoch: 0, sequence }, sequence)).toBe('append');
    expect(leader.append({ id: 'p', epoch: 0, sequence: 1 }, 1)).toEqual({ first: 2 });
    expect(leader.append({ id: 'p', epoch: 0, sequence: 1 }, 9)).toMatchObject({ name: 'ProducerConflictError' });
    leader.applyNext();
    expect(leader.append({ id: 'p', epoch: 0, sequence: 0 }, 0)).toEqual({ first: 1 });
    expect(leader.append({ id: 'p', epoch: 0, sequence: 4 })).toMatchObject({ name: 'ProducerSequenceGapError' });
  });

  it('go back to what was before a proposal that is dropped', () => {
    const leader = new Leader();
    leader.append({ id: 'p', epoch: 0, sequence: 0 }, 0);
    leader.append({ id: 'p', epoch: 0, sequence: 1 }, 1);
    leader.open('p');
    expect(leader.append({ id: 'p', epoch: 0, sequence: 2 })).toMatchObject({ name: 'ProducerFencedError' });
    leader.drop(2);
    expect(leader.append({ id: 'p', epoch: 0, sequence: 1 }, 7)).toBe('append');
  });

  it('forget everything unapplied when a term begins', () => {
    const leader = new Leader();
    leader.open('p');
    leader.applyNext();
    leader.append({ id: 'p', epoch: 1, sequence: 0 });
    leader.producers.lead(2);
    expect(leader.producers.pendingCount).toBe(0);
    expect(leader.append({ id: 'p', epoch: 1, sequence: 0 }, 5)).toBe('append');
  });

  it('never give one epoch to two that open an id', () => {
    const leader = new Leader();
    expect([leader.open('p'), leader.open('p'), leader.open('p', 9), leader.open('p', 9), leader.open('p')]).toEqual([
      1,
      2,
      9,
      'ProducerFencedError',
      10,
    ]);
  });

  it('open no epoch above the highest', () => {
    const leader = new Leader();
    expect(leader.append({ id: 'p', epoch: Number.MAX_SAFE_INTEGER, sequence: 0 })).toBe('append');
    expect(leader.open('p')).toBe('InvalidInputError');
    leader.applyNext();
    expect(leader.open('p')).toBe('InvalidInputError');
    expect(leader.open('p', Number.MAX_SAFE_INTEGER)).toBe('ProducerFencedError');
  });

  it('name the last batch before an epoch, applied or not', () => {
    const leader = new Leader();
    const last = (): unknown => {
      const decision = leader.producers.decideOpen('p', undefined, false, limits);
      if (decision.kind === 'refuse' || decision.last === undefined) return undefined;
      const { last } = decision;
      return 'original' in last ? [last.sequence, last.original.batch.baseOffset] : [last.sequence, last.baseOffset];
    };
    leader.open('p');
    expect(last()).toBeUndefined();
    leader.append({ id: 'p', epoch: 1, sequence: 0 });
    leader.append({ id: 'p', epoch: 1, sequence: 1 });
    expect(last()).toEqual([1, 3]);
    leader.open('p');
    for (let applied = 0; applied < 4; applied++) {
      leader.applyNext();
      expect(last()).toEqual([1, 3]);
    }
    leader.close('p', 2);
    expect(last()).toBeUndefined();
  });

  it('let no more ids in than the limit, those in flight included', () => {
    const leader = new Leader();
    expect([leader.open('a'), leader.open('b'), leader.open('c')]).toEqual([1, 1, 'ProducersMaxError']);
    expect(leader.append({ id: 'c', epoch: 0, sequence: 0 })).toMatchObject({ name: 'ProducersMaxError' });
    expect([leader.open('e', 1, true), leader.open('f', 1, true)]).toEqual([1, 'ProducersMaxError']);
    leader.applyNext();
    expect(leader.close('a', 1)).toBe('close');
    expect(leader.open('c')).toBe(1);
    expect(leader.close('a', 1)).toBe('unknown');
    expect(leader.close('b', 0)).toBe('refuse');
  });

  it('decide as a table would to which everything accepted was applied (property)', () => {
    const id = fc.constantFrom('a', 'b', 'c');
    const small = fc.nat(2);
    const command = fc.oneof(
      fc.record({ type: fc.constant('append' as const), id, epoch: small, sequence: fc.nat(3), value: fc.nat(1) }),
      fc.record({ type: fc.constant('open' as const), id, isEphemeral: fc.boolean() }),
      fc.record({ type: fc.constant('close' as const), id, epoch: small }),
      fc.constant({ type: 'apply' as const }),
      fc.record({ type: fc.constant('drop' as const), count: small }),
    );
    fc.assert(
      fc.property(fc.array(command, { maxLength: 60 }), (commands) => {
        const leader = new Leader();
        for (const each of commands) {
          const head = leader.head();
          if (each.type === 'append') {
            const { id, epoch, sequence, value } = each;
            const expected = head.append({ id, epoch, sequence }, value);
            expect(leader.append({ id, epoch, sequence }, value)).toEqual(expected);
          } else if (each.type === 'open') {
            const expected = head.open(each.id, undefined, each.isEphemeral);
            expect(leader.open(each.id, undefined, each.isEphemeral)).toEqual(expected);
          } else if (each.type === 'close') {
            if (head.table.get(each.id)?.epoch === each.epoch) expect(leader.close(each.id, each.epoch)).toBe('close');
          } else if (each.type === 'apply') leader.applyNext();
          else leader.drop(each.count);
        }
      }),
      { numRuns: 500 },
    );
  });
});
