import { describe, expect, it } from '@jest/globals';
import { OutcomeUnknownError } from '../errors.js';
import type { AppendReceipt } from '../ports/consensus.js';
import type { Records } from '../../domain/log/record-batch.js';
import { ForwardedCalls } from './forwarded-calls.js';

const electionTimeoutMs = 1_000;
const records = {} as Records;
const never = new Promise<never>(() => undefined);

/** Appends forwarded to the leader 1, which has not answered. */
function forward() {
  const state = { leaderId: 1, heardMsAgo: 0 as number | undefined };
  let answer = (_receipt: AppendReceipt): void => undefined;
  const appends = new ForwardedCalls({
    transport: {
      append: () => new Promise((resolve) => (answer = resolve)),
      producersOf: () => ({ openProducer: () => never, closeProducer: () => never }),
    },
    leaderId: () => state.leaderId,
    heardMsAgo: () => state.heardMsAgo,
    electionTimeoutMs,
    onEnd: () => undefined,
  });
  const outcome = appends.append(1, records, {}).catch((error: unknown) => error);
  return { appends, outcome, state, answer: (receipt: AppendReceipt) => answer(receipt) };
}

describe('an append that was forwarded', () => {
  it.each([0, 2])(
    'is of unknown outcome once the leader is silent and leads no more (the leader is %i)',
    async (id) => {
      const { appends, outcome, state } = forward();
      state.leaderId = id;
      state.heardMsAgo = electionTimeoutMs;
      appends.tick();
      expect(appends.count).toBe(0);
      expect(await outcome).toBeInstanceOf(OutcomeUnknownError);
    },
  );

  it.each([
    ['still leads', 1, 60_000],
    ['was deposed, and is heard', 2, electionTimeoutMs - 1],
  ])('waits while the leader %s', async (_, leaderId, heardMsAgo) => {
    const { appends, outcome, state, answer } = forward();
    Object.assign(state, { leaderId, heardMsAgo });
    appends.tick();
    expect(appends.count).toBe(1);
    const receipt = {} as AppendReceipt;
    answer(receipt);
    expect(await outcome).toBe(receipt);
    expect(appends.count).toBe(0);
  });
});
