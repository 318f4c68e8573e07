/** An event, a query or an answer to one is larger than what gossip may carry. */
export class GossipTooLargeError extends Error {
  override readonly name = 'GossipTooLargeError';

  constructor(
    what: string,
    readonly bytes: number,
    readonly bytesMax: number,
  ) {
    super(`a ${what} of ${bytes} bytes exceeds the ${bytesMax} that gossip may carry`);
  }
}
