import type { Producer } from './batch-prefix.js';

/** A later holder has opened the producer id: this epoch appends nothing any more. */
export class ProducerFencedError extends Error {
  override readonly name = 'ProducerFencedError';
  constructor(
    readonly id: string,
    readonly epoch: number,
    readonly currentEpoch: number,
  ) {
    super(
      `producer ${JSON.stringify(id)} is fenced: epoch ${epoch} was given, and the id is at epoch ${currentEpoch}. ` +
        'Open the id again to go on under a higher epoch; nothing was appended',
    );
  }
}

/** A batch is missing before this one, or the epoch does not begin at sequence 0; nothing was appended. */
export class ProducerSequenceGapError extends Error {
  override readonly name = 'ProducerSequenceGapError';
  constructor(
    readonly producer: Producer,
    readonly expected: number,
  ) {
    super(
      `producer ${JSON.stringify(producer.id)} sent sequence ${producer.sequence} of epoch ${producer.epoch}, expected ` +
        `sequence ${expected}: send the batches in order; nothing was appended`,
    );
  }
}

/** Other records were appended under this sequence: two writers share an epoch. Nothing was appended. */
export class ProducerConflictError extends Error {
  override readonly name = 'ProducerConflictError';
  constructor(readonly producer: Producer) {
    super(
      `producer ${JSON.stringify(producer.id)} has appended other records as sequence ${producer.sequence} of epoch ` +
        `${producer.epoch}: two writers share the epoch. Open the id once for each writer; nothing was appended`,
    );
  }
}

/** The batch was appended before, so long ago that its offsets are no longer known. */
export class ProducerBatchTooOldError extends Error {
  override readonly name = 'ProducerBatchTooOldError';
  constructor(readonly producer: Producer) {
    super(
      `producer ${JSON.stringify(producer.id)} appended sequence ${producer.sequence} of epoch ${producer.epoch} before; ` +
        'its offsets are no longer known',
    );
  }
}

/** As many producer ids are known as the cluster allows, and none is forgotten for a new one; nothing was appended. */
export class ProducersMaxError extends Error {
  override readonly name = 'ProducersMaxError';
  constructor(
    readonly isEphemeral: boolean,
    readonly limit: number,
  ) {
    const what = isEphemeral ? 'ephemeral producers' : 'producer ids';
    super(
      `the cluster knows ${limit} ${what}, which is the limit: close those that are no longer needed` +
        `${isEphemeral ? '' : ', or raise producers-max'}; nothing was appended`,
    );
  }
}

export type ProducerRefusal =
  ProducerFencedError | ProducerSequenceGapError | ProducerConflictError | ProducerBatchTooOldError | ProducersMaxError;
