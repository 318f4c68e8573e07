import { MalformedConfChangeError } from '../../src/domain/raft/conf-change.js';
import { RaftConfigError } from '../../src/domain/raft/config.js';
import { LocalMessageError, PeerNotFoundError, ProposalDroppedError } from '../../src/domain/raft/raft-errors.js';
import {
  CompactedError,
  EntriesUnavailableError,
  SnapshotOutOfDateError,
  SnapshotTemporarilyUnavailableError,
} from '../../src/domain/raft/storage.js';
import { UnknownConfChangeError } from './conf-changes.js';

/** A command failed; the message is the command's output. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
}

const printed = [
  CommandError,
  UnknownConfChangeError,
  MalformedConfChangeError,
  RaftConfigError,
  ProposalDroppedError,
  LocalMessageError,
  PeerNotFoundError,
  CompactedError,
  EntriesUnavailableError,
  SnapshotOutOfDateError,
  SnapshotTemporarilyUnavailableError,
];

/** Runs `work` and returns the message of an expected error, or undefined. Rethrows other errors. */
export function expectedError(work: () => void): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    if (error instanceof Error && printed.some((kind) => error instanceof kind)) return error.message;
    throw error;
  }
}
