import { describe, expect, it } from '@jest/globals';
import { Suspicion, suspicionMs } from './suspicion.js';

describe('a suspicion', () => {
  // From memberlist's suspicion_test.go: three expected confirmations, 2 s to 30 s.
  it.each([
    { confirmations: 0, ms: 30_000 },
    { confirmations: 1, ms: 16_000 },
    { confirmations: 2, ms: 7810 },
    { confirmations: 3, ms: 2000 },
    { confirmations: 4, ms: 2000 },
  ])('lasts $ms ms after $confirmations confirmations', ({ confirmations, ms }) => {
    expect(suspicionMs(confirmations, 3, 2000, 30_000)).toBe(ms);
  });

  it('counts each confirmer once, the accuser never, and at most the expected number', () => {
    const suspicion = new Suspicion('accuser', 2, 2000, 30_000, 500);
    const news = ['accuser', 'a', 'a', 'b', 'c'].map((from) => suspicion.confirm(from));
    expect(news).toEqual([false, true, false, true, false]);
    expect(suspicion.deadline).toBe(2500);
  });

  it('is as short as possible when no member can confirm it', () => {
    const suspicion = new Suspicion('accuser', 0, 2000, 30_000, 0);
    expect(suspicion.confirm('a')).toBe(false);
    expect(suspicion.deadline).toBe(2000);
  });
});
