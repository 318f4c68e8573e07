/** The proposal was not taken: no leader, a transfer or a limit in the way. It may be tried again. */
export class ProposalDroppedError extends Error {
  override readonly name = 'ProposalDroppedError';

  constructor() {
    super('raft proposal dropped');
  }
}

/** A message that only the node itself may make came from outside. */
export class LocalMessageError extends Error {
  override readonly name = 'LocalMessageError';

  constructor() {
    super('raft: cannot step raft local message');
  }
}

/** An answer came from a node that is not in the configuration. */
export class PeerNotFoundError extends Error {
  override readonly name = 'PeerNotFoundError';

  constructor() {
    super('raft: cannot step as peer not found');
  }
}
