/**
 * The proposal was dropped: there is no leader, a transfer is in progress, or a limit is reached. The caller may retry.
 */
export class ProposalDroppedError extends Error {
  override readonly name = 'ProposalDroppedError';

  constructor() {
    super('raft proposal dropped');
  }
}

/** A message type that only the node itself may send came from outside. */
export class LocalMessageError extends Error {
  override readonly name = 'LocalMessageError';

  constructor() {
    super('raft: cannot step raft local message');
  }
}

/** A response came from a node that is not in the configuration. */
export class PeerNotFoundError extends Error {
  override readonly name = 'PeerNotFoundError';

  constructor() {
    super('raft: cannot step as peer not found');
  }
}
