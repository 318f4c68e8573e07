/** This node cannot serve the call now; the caller may retry, at the leader if one is named. Nothing was appended. */
export class UnavailableError extends Error {
  override readonly name = 'UnavailableError';
  constructor(
    message: string,
    readonly leaderAddr?: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Leadership was lost or the log closed after the append began: it may or may not be in the log. */
export class OutcomeUnknownError extends Error {
  override readonly name = 'OutcomeUnknownError';
}

/** A bounded queue is full; nothing was appended. */
export class OverloadedError extends Error {
  override readonly name = 'OverloadedError';
  constructor(
    readonly what: string,
    readonly limit: number,
  ) {
    super(`overloaded: ${what} (limit ${limit})`);
  }
}

/** The disks of so many voters are full that no majority can store an append; nothing was appended. */
export class QuorumDiskFullError extends Error {
  override readonly name = 'QuorumDiskFullError';
  constructor(readonly members: readonly string[]) {
    super(
      `the disks of ${members.join(', ')} are full, so that no majority can store an append; appends resume when disk ` +
        'space is freed there',
    );
  }
}

/** The caller's certificate does not permit the action, by the policy or by its kind. */
export class PermissionDeniedError extends Error {
  override readonly name = 'PermissionDeniedError';
  constructor(
    readonly subject: string,
    readonly action: string,
    readonly object: string,
  ) {
    super(`not permitted: ${JSON.stringify(subject)} may not ${action} ${object}`);
  }
}

/** The caller has no certificate, and callers without one may not do this. */
export class UnauthenticatedError extends Error {
  override readonly name = 'UnauthenticatedError';
  constructor(
    readonly subject: string,
    readonly action: string,
    readonly object: string,
  ) {
    super(`a client certificate is required: ${JSON.stringify(subject)} may not ${action} ${object}`);
  }
}

/**
 * The cluster has begun a later generation of the log (`golog recover`): what this node stores is of an earlier one. The
 * node must set its log aside and join again.
 */
export class SupersededError extends Error {
  override readonly name = 'SupersededError';
  constructor(readonly generation: number) {
    super(
      `the cluster was recovered and is at generation ${generation} of its log, which this node does not have. ` +
        'Restart the node: it then sets its log aside and joins again',
    );
  }
}
