import { expect, it } from '@jest/globals';
import { UnavailableError } from '../errors.js';
import { Proposals } from './proposals.js';

it('a proposal that the core refuses is taken out before anything else can be proposed', async () => {
  const proposals = new Proposals();
  const dropped: string[] = [];
  const records = { payload: Uint8Array.of(0x22, 0), count: 1 };
  const outcomes = ['a', 'b'].map((name) => proposals.append(records, () => dropped.push(name)));
  proposals.takeGathered();
  proposals.rejectUnassigned();
  expect(dropped).toEqual(['a', 'b']);
  for (const outcome of outcomes) await expect(outcome).rejects.toThrow(UnavailableError);
});
