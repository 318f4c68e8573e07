import { describe, expect, it } from '@jest/globals';
import { tryOnce } from './campaign.js';
import { expectEqual, Refusal, type Target } from './target.js';
import { targets } from './targets.js';

/** A taste of `npm run fuzz`, the same each time. */
const seeds = Array.from({ length: 25 }, (_, place) => place + 1);

describe('whatever bytes', () => {
  it.each(targets)('are taken or refused by $name', async (target) => {
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

  it('of which a decoder makes what it must not are found', async () => {
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
