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

/** A command that cannot be carried out; its text is what the command prints. */
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

/** Runs `work`, whose expected errors are an outcome and not the end: their text, undefined without one. */
export function expectedError(work: () => void): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    if (error instanceof Error && printed.some((kind) => error instanceof kind)) return error.message;
    throw error;
  }
}
