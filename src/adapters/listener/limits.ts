/** The limits of both listeners, where their options do not say otherwise. */
export const defaultLimits = {
  connectionsMax: 4_096,
  connectionsPerAddressMax: 1_024,
  /** The time from a connection to enough bytes to tell its protocol. */
  handshakeMs: 5_000,
  /** The time from a call to the end of its request, unless that is a stream. */
  requestMs: 60_000,
  /** A call whose reader takes nothing for this long ends. */
  stallMs: 120_000,
  /** The time that a session of HTTP/2 may be without calls. */
  idleMs: 300_000,
  /**
   * The streams that one session of HTTP/2 may have open, by its SETTINGS: a client keeps more back, without a word.
   */
  concurrentStreamsMax: 1_100,
} as const;

/** The calls that one session of HTTP/2 may have in progress. Less than what SETTINGS allow, so that more are told so. */
export const streamsPerSessionMax = 1_000;

/** The limits on the headers of one request; one with more is refused. */
export const headerPairsMax = 100;
export const headerBytesMax = 16 * 1024;

/** The frames of a session that break the protocol without ending it. */
export const invalidFramesMax = 50;
