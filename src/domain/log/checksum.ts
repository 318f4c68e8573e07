/**
 * CRC-32C (Castagnoli), as an unsigned 32-bit number. `seed` is the checksum of the bytes before `data`, so that
 * `crc32c(b, crc32c(a))` is the checksum of `a` followed by `b`; without it the checksum starts afresh.
 */
export type Crc32c = (data: Uint8Array, seed?: number) => number;
