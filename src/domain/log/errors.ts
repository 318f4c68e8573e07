import type { Offset } from './offsets.js';

/** The offset is below the log start, or at or beyond the high watermark (for a follow: beyond it). */
export class OffsetOutOfRangeError extends Error {
  override readonly name = 'OffsetOutOfRangeError';
  constructor(
    readonly offset: number | bigint,
    readonly logStartOffset: Offset,
    readonly highWatermark: Offset,
  ) {
    super(
      `offset ${offset} is out of range: the log has offsets from ${logStartOffset} up to but not including ${highWatermark}`,
    );
  }
}

/** The batch would not have got the base offset that the producer expected; nothing was appended. */
export class ExpectedOffsetMismatchError extends Error {
  override readonly name = 'ExpectedOffsetMismatchError';
  constructor(
    readonly expected: number | bigint,
    readonly actual: Offset,
  ) {
    super(`expected offset ${expected}, but the next offset is ${actual}; nothing was appended`);
  }
}

/** A record or batch over its limit; nothing was appended. */
export class TooLargeError extends Error {
  override readonly name = 'TooLargeError';
  constructor(
    readonly what: 'record' | 'batch',
    readonly size: number,
    readonly limit: number,
    /** Of the record in its batch, counted from 0. */
    readonly place?: number,
  ) {
    super(
      `${what}${place === undefined ? '' : ` ${place} of the batch`} has ${size} bytes, which is too large: the limit is ${limit} bytes`,
    );
  }
}

/** Bytes from outside that are not what they must be (framing, counts, an empty batch, a missing field). */
export class InvalidInputError extends Error {
  override readonly name = 'InvalidInputError';
}

/** Stored bytes in [from, to) failed their checks and are quarantined; they are never served. */
export class CorruptRangeError extends Error {
  override readonly name = 'CorruptRangeError';
  constructor(
    readonly from: Offset,
    readonly to: Offset,
    readonly reason: string,
  ) {
    super(`offsets ${from} to ${to} (exclusive) are corrupt on this node and not yet repaired: ${reason}`);
  }
}

/** Below the disk reserve: appends are refused until space returns; reads go on. */
export class DiskReserveError extends Error {
  override readonly name = 'DiskReserveError';
  constructor(
    readonly freeBytes: number,
    readonly reserveBytes: number,
  ) {
    super(
      `disk reserve reached: ${freeBytes} bytes free, ${reserveBytes} kept in reserve; appends resume when space returns`,
    );
  }
}
