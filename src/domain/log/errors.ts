import type { Index, Offset } from './offsets.js';

/** The offset is below the log start, or at or past the high watermark (for a follow: past it). */
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

/** The next offset is not the base offset that the producer expected; nothing was appended. */
export class ExpectedOffsetMismatchError extends Error {
  override readonly name = 'ExpectedOffsetMismatchError';
  constructor(
    readonly expected: number | bigint,
    readonly actual: Offset,
  ) {
    super(`expected offset ${expected}, but the next offset is ${actual}; nothing was appended`);
  }
}

/** A record or batch exceeds its size limit; nothing was appended. */
export class TooLargeError extends Error {
  override readonly name = 'TooLargeError';
  constructor(
    readonly what: 'record' | 'batch',
    readonly size: number,
    readonly limit: number,
    /** The record's number in its batch, counted from 0. */
    readonly recordNumber?: number,
  ) {
    super(
      `${what}${recordNumber === undefined ? '' : ` ${recordNumber} of the batch`} has ${size} bytes, which is too large: the limit is ${limit} bytes`,
    );
  }
}

/** A batch has more records than a batch may have, however small they are; nothing was appended. */
export class TooManyRecordsError extends TooLargeError {
  constructor(limit: number) {
    super('batch', limit + 1, limit);
    this.message = `batch has more than ${limit} records, which is the limit: split it into several batches`;
  }
}

/** Input from outside is malformed (framing, counts, an empty batch, a missing field). */
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
    const what = to > from ? `offsets ${from} to ${to} (exclusive)` : `offset ${from} and all after it`;
    super(`${what} are corrupt or lost on this node and not yet repaired: ${reason}`);
  }
}

/** The end of the log is damaged or missing on this node, so it is unknown which entry an append would follow. */
export class DamagedEndError extends CorruptRangeError {
  constructor(from: Offset, to: Offset, reason: string) {
    super(from, to, reason);
    this.message =
      `appends are refused: the end of the log on this node is damaged or missing ` +
      `from offset ${from}${to > from ? ` to ${to} (exclusive)` : ' on'}: ${reason}`;
  }
}

/** Free disk space is below the reserve: appends are refused until space is freed; reads continue. */
export class DiskReserveError extends Error {
  override readonly name = 'DiskReserveError';
  constructor(
    readonly freeBytes: number,
    readonly reserveBytes: number,
  ) {
    super(
      `disk reserve reached: ${freeBytes} bytes free, ${reserveBytes} reserved; appends resume when disk space is freed`,
    );
  }
}

/** The log no longer holds the entry with this index, or does not hold it yet. */
export class IndexOutOfRangeError extends Error {
  override readonly name = 'IndexOutOfRangeError';
  constructor(
    readonly index: Index,
    readonly startIndex: Index,
    readonly lastIndex: Index,
  ) {
    super(`index ${index} is out of range: the log has entries ${startIndex} to ${lastIndex}`);
  }
}

/**
 * A write, sync, rename or removal of the log failed. It is unknown what reached the disk, so the log refuses
 * everything except reads until the process is restarted and opens the log again. Never retried (docs/guarantees.md,
 * rule 4).
 */
export class LogFailedError extends Error {
  override readonly name = 'LogFailedError';
  constructor(operation: string, cause: unknown) {
    super(`log operation ${operation} failed; writes are disabled until the log is reopened: restart the node`, {
      cause,
    });
  }
}

export class LogClosedError extends Error {
  override readonly name = 'LogClosedError';
  constructor() {
    super('the log is closed');
  }
}

/** A file belongs to another log, so this is not this node's data. The log does not open. */
export class ForeignLogError extends Error {
  override readonly name = 'ForeignLogError';
  constructor(
    readonly fileName: string,
    readonly foundLogId: string,
    readonly expectedLogId: string,
  ) {
    super(
      `${fileName} belongs to log ${foundLogId}, but this node's log is ${expectedLogId}; ` +
        'start with the data directory of this cluster, or with an empty one to rejoin as a new member',
    );
  }
}

/** A file has a format version that this release does not support. The log does not open. */
export class UnsupportedFormatError extends Error {
  override readonly name = 'UnsupportedFormatError';
  constructor(
    readonly fileName: string,
    readonly found: number,
    readonly supported: number,
  ) {
    super(`${fileName} has format version ${found}, but this release supports only version ${supported}`);
  }
}

/** The log had segments before, but none are left. The log does not open. */
export class MissingLogError extends Error {
  override readonly name = 'MissingLogError';
  constructor(readonly durableIndex: number) {
    super(
      `the log's segments are missing, but this node had stored entries up to index ${durableIndex}; ` +
        'if the other members have a quorum, start with an empty data directory to rejoin as a new member',
    );
  }
}
