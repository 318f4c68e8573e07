/**
 * Computes the CRC-32C (Castagnoli) of `data` as an unsigned 32-bit number. `seed` is the checksum of the preceding
 * bytes, so that `crc32c(b, crc32c(a))` is the checksum of `a` followed by `b`; without it, the checksum starts at
 * `data`.
 */
export type Crc32c = (data: Uint8Array, seed?: number) => number;
