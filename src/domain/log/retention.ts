/** Bounds on the size and age of a log. Without bounds, nothing is removed. */
export interface Retention {
  /** The oldest segments are removed while the log has more bytes than this. */
  readonly bytesMax?: number;
  /** Segments whose newest record is older than this are removed. */
  readonly ageMsMax?: number;
}
