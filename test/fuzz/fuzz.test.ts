import { describe, expect, it } from '@jest/globals';
import { tryOnce } from './campaign.js';
import { expectEqual, Refusal, type Target } from './target.js';
import { targets } from './targets.js';

/** A short, deterministic part of `npm run fuzz`. */
const seeds = Array.from({ length: 25 }, (_, i) => i + 1);

describe('arbitrary bytes', () => {
  it.each(targets)('are accepted or rejected by $name', async (target) => {
    for (const seed of seeds) {
      const found = await tryOnce(target, seed).catch((error: unknown) => `seed ${seed}: ${String(error)}`);
      expect(['value', 'refused']).toContain(found);
    }
  });

  const faulty: Pick<Target, 'name' | 'valid' | 'refusals'> = {
    name: 'faulty',
    valid: (chance) => new Uint8Array(20).fill(chance.below(256)),
    refusals: [RangeError],
  };
  const outcomesOf = (decode: Target['decode']): Promise<string[]> =>
    Promise.all(seeds.map((seed) => tryOnce({ ...faulty, decode }, seed).catch((error: unknown) => String(error))));

  it('that a faulty decoder mishandles are reported', async () => {
    const refuse = (): never => {
      throw new Refusal('no');
    };
    expect(new Set(await outcomesOf(refuse))).toEqual(new Set(['refused']));
    const unread = await outcomesOf((bytes) => new DataView(bytes.buffer).getUint8(19));
    expect(new Set(unread)).toEqual(new Set(['value', 'refused']));
    const crashed = await outcomesOf((bytes) => expectEqual(bytes.length, 20, 'the length'));
    expect(crashed).toContainEqual(expect.stringContaining('WrongValueError: the length'));
    const hoarding = { ...faulty, decode: () => new Float64Array(1 << 20) };
    await expect(tryOnce(hoarding, 1)).rejects.toThrow(/hold \d{7} bytes/);
  });
});
