/** The appends of one stream that are in flight, or whose answers the client has not read yet. */
export const appendsInFlightMax = 256;
export const appendBytesInFlightMax = 4 * 1024 * 1024;

/** The bytes that a request may have in addition to its records: the envelope, names, white space. */
export const requestSlackBytes = 64 * 1024;

/** The payload bytes of a response to a read that does not say how many it wants. */
export const readBytesDefault = 1024 * 1024;
