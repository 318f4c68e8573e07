/** What a read is told of the call that it is for: when it may begin, and where the bytes that it reads are counted. */
export interface ReadMemory {
  /**
   * Counts bytes that are about to be read: at once, or when the promise resolves, which rejects with the signal's
   * reason. The reader then says by `correct` how many there were, and when they are not held any more.
   */
  reserve(bytes: number, signal: AbortSignal): Promise<void> | undefined;
  /** As `reserve`, but false where that would wait. */
  tryReserve(bytes: number): boolean;
  /** Counts so many bytes more than were reserved; less, if it is negative. */
  correct(bytes: number): void;
}
