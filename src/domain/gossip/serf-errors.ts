/** An event, query or response exceeds the size limit of gossip. */
export class GossipTooLargeError extends Error {
  override readonly name = 'GossipTooLargeError';

  constructor(
    what: string,
    readonly bytes: number,
    readonly bytesMax: number,
  ) {
    super(`a ${what} message has ${bytes} bytes, which is too large for gossip: the limit is ${bytesMax} bytes`);
  }
}
