import { status } from '@grpc/grpc-js';
import { UnavailableError } from '../../../application/errors.js';
import type { Logger } from '../../../application/ports/logger.js';
import { OtherHistoryError } from '../../../application/ports/replica-uplink.js';
import { CorruptRangeError, IndexOutOfRangeError, InvalidInputError } from '../../../domain/log/errors.js';

/** What a peer is told about a failure to give it entries. */
export function statusOfEntryError(error: unknown, logger: Logger): { code: status; details: string } {
  if (error instanceof UnavailableError) return { code: status.UNAVAILABLE, details: error.message };
  if (error instanceof IndexOutOfRangeError) return { code: status.OUT_OF_RANGE, details: error.message };
  if (error instanceof CorruptRangeError) return { code: status.DATA_LOSS, details: error.message };
  if (error instanceof OtherHistoryError) return { code: status.FAILED_PRECONDITION, details: error.message };
  if (error instanceof InvalidInputError) return { code: status.INVALID_ARGUMENT, details: error.message };
  logger.error('entry_transfer_failed', { error }, 'could not send entries to a peer');
  return { code: status.INTERNAL, details: 'internal error; the log of this node says more' };
}
