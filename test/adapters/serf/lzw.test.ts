import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { compress, decompress } from '../../../src/adapters/serf/wire/lzw.js';
import { MalformedGossipError } from '../../../src/domain/gossip/wire.js';

interface Vector {
  readonly seed: number;
  readonly length: number;
  readonly alphabet: number;
  readonly packedLength: number;
  readonly sha256: string;
}

/** What Go's compress/lzw (LSB, 8) made of inputs that both sides derive from a seed. */
const vectors = JSON.parse(readFileSync(join(import.meta.dirname, 'lzw-of-go.json'), 'utf8')) as Vector[];

function input({ seed, length, alphabet }: Vector): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 16) % alphabet;
  });
}

describe('LZW', () => {
  it.each(vectors)('packs to what Go packs to: $length bytes of $alphabet', (vector) => {
    const packed = compress(input(vector));
    expect(packed).toHaveLength(vector.packedLength);
    expect(createHash('sha256').update(packed).digest('hex')).toBe(vector.sha256);
    expect(Buffer.from(decompress(packed, vector.length)).equals(input(vector))).toBe(true);
  });

  it('unpacks what it packed', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 2000 }),
      fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 20_000 }).map((array) => Uint8Array.from(array)),
    );
    fc.assert(
      fc.property(bytes, (plain) => {
        expect(Buffer.from(decompress(compress(plain), plain.length)).equals(plain)).toBe(true);
      }),
    );
  });

  it('refuses or unpacks whatever bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (packed) => {
        try {
          expect(decompress(packed, 10_000).length).toBeLessThanOrEqual(10_000);
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedGossipError);
        }
      }),
      { numRuns: 1000 },
    );
  });

  it('goes on with a full table, as decoders of encoders that never clear it must', () => {
    // 9-bit codes of one letter, then more and more: never a clear code, so that the table stays full at 4096.
    const codes: number[] = [256];
    for (let i = 0; i < 5000; i++) codes.push(65 + (i % 2));
    codes.push(258, 259, 4095, 4095, 257);
    expect(decompress(packCodes(codes), 20_000)).toHaveLength(5000 + 2 + 2 + 4);
  });

  it('stops at the limit', () => {
    const bomb = compress(new Uint8Array(1 << 20));
    expect(bomb.length).toBeLessThan(5000);
    expect(() => decompress(bomb, 65_535)).toThrow(MalformedGossipError);
  });
});

/** Codes as a decoder expects them: each as wide as the table is by then. */
function packCodes(codes: readonly number[]): Uint8Array {
  let bits = 0n;
  let count = 0n;
  let width = 9n;
  let high = 257;
  for (const code of codes) {
    bits |= BigInt(code) << count;
    count += width;
    if (code === 256) continue;
    high = Math.min(high + 1, 4096);
    if (high === 2 ** Number(width) && width < 12n) width++;
  }
  const text = bits.toString(16);
  return Uint8Array.from(Buffer.from(text.padStart(text.length + (text.length % 2), '0'), 'hex')).reverse();
}
