/** A later epoch of the producer id has begun; nothing was appended. */
export class ProducerFencedError extends Error {
  override readonly name = 'ProducerFencedError';
  constructor(
    readonly id: string,
    readonly epoch: number,
    readonly currentEpoch: number,
  ) {
    super(
      `producer ${JSON.stringify(id)} is at epoch ${currentEpoch}, and epoch ${epoch} is fenced: another process has ` +
        'opened the id since, or the epoch was used before; nothing was appended',
    );
  }
}

/** A batch before this one is missing; nothing was appended. */
export class ProducerSequenceGapError extends Error {
  override readonly name = 'ProducerSequenceGapError';
  constructor(
    readonly id: string,
    readonly sequence: number,
    /** The sequence of the next batch of the producer. */
    readonly expected: number,
  ) {
    super(
      `batch ${sequence} of producer ${JSON.stringify(id)} would leave a gap: expected sequence ${expected}; ` +
        'nothing was appended',
    );
  }
}

/** The log has other records under this sequence: two writers share an epoch. Nothing was appended. */
export class ProducerConflictError extends Error {
  override readonly name = 'ProducerConflictError';
  constructor(
    readonly id: string,
    readonly epoch: number,
    readonly sequence: number,
  ) {
    super(
      `batch ${sequence} of producer ${JSON.stringify(id)} is in the log with other records: two processes use epoch ` +
        `${epoch}; give each its own id, or have each open its own epoch; nothing was appended`,
    );
  }
}

/** The batch is in the log, and is too old for its offsets to be known. */
export class ProducerBatchForgottenError extends Error {
  override readonly name = 'ProducerBatchForgottenError';
  constructor(
    readonly id: string,
    readonly sequence: number,
    /** The sequence of the last batch of the producer. */
    readonly lastSequence: number,
  ) {
    super(
      `batch ${sequence} of producer ${JSON.stringify(id)} was appended before, and its offsets are no longer known: ` +
        `its last batch is ${lastSequence}`,
    );
  }
}

/** So many producers are remembered that there is no space for another id; nothing was appended. */
export class ProducersMaxError extends Error {
  override readonly name = 'ProducersMaxError';
  constructor(readonly limit: number) {
    super(
      `the log remembers ${limit} producers, the most that it may: close some, or raise it with ` +
        'golog cluster set producers-max; nothing was appended',
    );
  }
}
