/** This node cannot take the call now; the caller may retry, at the leader if one is named. Nothing was appended. */
export class UnavailableError extends Error {
  override readonly name = 'UnavailableError';
  constructor(
    message: string,
    readonly leaderAddr?: string,
  ) {
    super(message);
  }
}

/** Leadership was lost, or the log closed, after the append began: it may or may not be in the log. */
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
