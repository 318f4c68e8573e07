import { describe, expect, it } from '@jest/globals';
import { statusOf } from '../../src/application/error-status.js';
import {
  OutcomeUnknownError,
  OverloadedError,
  QuorumDiskFullError,
  UnavailableError,
} from '../../src/application/errors.js';
import { FeatureNotEnabledError } from '../../src/application/ports/cluster.js';
import type {
  AppendReceipt,
  OpenedProducer,
  ProducerOpening,
  ProposeOptions,
} from '../../src/application/ports/consensus.js';
import {
  CorruptRangeError,
  DamagedEndError,
  DiskReserveError,
  ExpectedOffsetMismatchError,
  InvalidInputError,
  TooLargeError,
} from '../../src/domain/log/errors.js';
import {
  ProducerBatchTooOldError,
  ProducerConflictError,
  ProducerFencedError,
  ProducerSequenceGapError,
  ProducersMaxError,
} from '../../src/domain/log/producer-errors.js';
import { toOffset } from '../../src/domain/log/offsets.js';

import {
  beat,
  type NetworkUnderTest,
  type NodeUnderTest,
  receipt,
  type Receiver,
  recordsOf,
  until,
} from './peer-receiver.js';

const producer = { id: 'p', epoch: 2 ** 53 - 1, sequence: 7 };
const producerErrors: readonly Error[] = [
  new ProducerFencedError('p', 1, 2 ** 53 - 1),
  new ProducerSequenceGapError(producer, 4),
  new ProducerConflictError(producer),
  new ProducerBatchTooOldError(producer),
  new ProducersMaxError(false, 10_000),
  new ProducersMaxError(true, 50_000),
  new FeatureNotEnabledError(2, 1),
];

/** Two nodes that are connected, and the links between them. */
export interface ConnectedNodes {
  readonly network: NetworkUnderTest;
  readonly one: NodeUnderTest;
  readonly two: NodeUnderTest;
  readonly atOne: Receiver;
  readonly atTwo: Receiver;
}

/** The contract of what a `PeerTransport` forwards to the leader: from node one to node two, set up for each test. */
export function describeForwardedCalls(at: () => ConnectedNodes): void {
  describe('forwarded appends', () => {
    const forward = (records = recordsOf(3), options: ProposeOptions = {}): Promise<AppendReceipt> =>
      at().one.transport.append(2, records, options);

    it('are made at the leader in order, and answered', async () => {
      const sizes = Array.from({ length: 50 }, (_, n) => n + 1);
      const answers = sizes.map((size) => forward(recordsOf(size), { expectedOffset: toOffset(size) }));
      expect(await Promise.all(answers)).toEqual(sizes.map(() => receipt));
      expect(at().atTwo.appends.map(({ options }) => options.expectedOffset)).toEqual(sizes);
      expect([...at().atTwo.appends[4].records.payload]).toEqual([...recordsOf(5).payload]);
      expect(at().atTwo.appends[4].records.count).toBe(1);
    });

    it.each([
      new UnavailableError('no leader'),
      new UnavailableError('elsewhere', '10.0.0.1:8400'),
      new OutcomeUnknownError('stepped down'),
      new OverloadedError('waiting appends', 8),
      new ExpectedOffsetMismatchError(4, toOffset(9)),
      new TooLargeError('batch', 9, 8),
      new TooLargeError('record', 9, 8, 3),
      new InvalidInputError('no records'),
      new DiskReserveError(1, 2),
      new QuorumDiskFullError(['n2', 'n3']),
      new CorruptRangeError(toOffset(3), toOffset(6), 'bad checksum'),
      new DamagedEndError(toOffset(3), toOffset(6), 'bad checksum'),
      ...producerErrors,
    ])('reject with the error of the leader: $name', async (error) => {
      at().atTwo.answer = () => Promise.reject(error);
      const found: unknown = await forward().catch((reason: unknown) => reason);
      expect(found).toBeInstanceOf(error.constructor);
      expect(found).toEqual(error);
      expect({ ...(found as Error) }).toEqual({ ...error });
      expect((found as Error).message).toBe(error.message);
      expect(statusOf(found)).toEqual(statusOf(error));
    });

    it('carry their producer, and the answer to a duplicate says so', async () => {
      at().atTwo.answer = () => Promise.resolve({ ...receipt, syncedOn: [], isDuplicate: true });
      const batches = [producer, { id: 'ö'.repeat(64), epoch: 0, sequence: 0 }];
      for (const each of batches)
        expect(await forward(recordsOf(3), { producer: each, expectedOffset: toOffset(4) })).toEqual({
          ...receipt,
          syncedOn: [],
          isDuplicate: true,
        });
      expect(at().atTwo.appends.map(({ options }) => options)).toEqual(
        batches.map((each) => ({ producer: each, expectedOffset: 4 })),
      );
    });

    it('have an unknown outcome when the link breaks', async () => {
      at().atTwo.answer = () => new Promise(() => undefined);
      const answer = forward();
      answer.catch(() => undefined);
      await until(() => at().atTwo.appends.length === 1);
      at().network.cut('two');
      await expect(answer).rejects.toBeInstanceOf(OutcomeUnknownError);
    });

    it('are rejected as not started if there is no link', async () => {
      await expect(at().one.transport.append(5, recordsOf(1), {})).rejects.toBeInstanceOf(UnavailableError);
      await at().two.stop();
      await until(() => {
        at().one.transport.send([beat(1)]);
        return at().atOne.lost.length > 0;
      });
      let error: unknown;
      const giveUpAt = Date.now() + 10_000;
      do error = await forward().catch((reason: unknown) => reason);
      while (error instanceof OutcomeUnknownError && Date.now() < giveUpAt);
      expect(error).toBeInstanceOf(UnavailableError);
    });

    it('end with the links', async () => {
      at().atTwo.answer = () => new Promise(() => undefined);
      const answer = forward();
      answer.catch(() => undefined);
      await until(() => at().atTwo.appends.length === 1);
      await at().one.transport.close();
      await expect(answer).rejects.toBeInstanceOf(OutcomeUnknownError);
      await expect(forward()).rejects.toBeInstanceOf(UnavailableError);
    });
  });

  describe('forwarded openings and closings of producers', () => {
    it.each<[ProducerOpening, OpenedProducer]>([
      [
        { id: 'p', isEphemeral: false },
        { id: 'p', epoch: 2 ** 53 - 1, last: { sequence: 0, baseOffset: toOffset(0) } },
      ],
      [
        { id: 'p', isEphemeral: true, epoch: 0 },
        { id: 'p', epoch: 0 },
      ],
      [
        { id: '', isEphemeral: true },
        { id: 'made', epoch: 1, last: { sequence: 7, baseOffset: toOffset(2 ** 53 - 1) } },
      ],
    ])('open %j at the leader', async (opening, opened) => {
      at().atTwo.opened = () => Promise.resolve(opened);
      expect(await at().one.transport.producersOf(2).openProducer(opening)).toEqual(opened);
      expect(at().atTwo.openings).toEqual([opening]);
    });

    it('close at the leader', async () => {
      await at()
        .one.transport.producersOf(2)
        .closeProducer('p', 2 ** 53 - 1);
      expect(at().atTwo.closings).toEqual([{ id: 'p', epoch: 2 ** 53 - 1 }]);
    });

    it.each(producerErrors)('reject with the error of the leader: $name', async (error) => {
      at().atTwo.opened = () => Promise.reject(error);
      const producers = at().one.transport.producersOf(2);
      const calls = [producers.openProducer({ id: 'p', isEphemeral: false }), producers.closeProducer('p', 1)];
      for (const call of calls) {
        const found: unknown = await call.catch((reason: unknown) => reason);
        expect(found).toBeInstanceOf(error.constructor);
        expect(statusOf(found)).toEqual(statusOf(error));
      }
    });

    it('have an unknown outcome when the link breaks', async () => {
      at().atTwo.opened = () => new Promise(() => undefined);
      const opening = at().one.transport.producersOf(2).openProducer({ id: 'p', isEphemeral: false });
      opening.catch(() => undefined);
      await until(() => at().atTwo.openings.length === 1);
      at().network.cut('two');
      await expect(opening).rejects.toBeInstanceOf(OutcomeUnknownError);
    });
  });
}
