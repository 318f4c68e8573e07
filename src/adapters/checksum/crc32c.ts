import { crc32c as nativeCrc32c } from '@node-rs/crc32';
import type { Crc32c } from '../../domain/log/checksum.js';

/** CRC-32C by a processor instruction: about 150 ns per call, then 3.5 GB/s. */
export const crc32c: Crc32c = nativeCrc32c;
