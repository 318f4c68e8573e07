import { MalformedGossipError } from '../../../domain/gossip/wire.js';
import { compress, decompress } from './lzw.js';
import { bytes, decode, encode, struct, uint8 } from './msgpack.js';
import { messageType } from './swim-wire.js';

const lzwAlgorithm = 0;
const compressed = struct({ Algo: uint8, Buf: bytes });

/** Adds the compression layer: type byte 9, then LZW. The result may be longer than the input. */
export function wrapCompressed(plain: Uint8Array): Uint8Array {
  return encode(compressed, { Algo: lzwAlgorithm, Buf: compress(plain) }, messageType.compressed);
}

/** Removes the compression layer. Throws `MalformedGossipError` if it is malformed or exceeds `lengthMax` bytes. */
export function unwrapCompressed(packed: Uint8Array, lengthMax: number): Uint8Array {
  const { Algo, Buf } = decode(compressed, packed, 1);
  if (Algo !== lzwAlgorithm) throw new MalformedGossipError(`unknown compression ${Algo}`);
  return decompress(Buf, lengthMax);
}
