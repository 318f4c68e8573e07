import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../adapters/memory/manual-clock.js';
import { anonymous } from './access.js';
import { OverloadedError } from '../errors.js';
import type { CallMemory } from './call-memory.js';
import { MemoryBudget, type MemoryBudgetOptions } from './memory-budget.js';

/** Small changes are not told at once. */
const unit = 10 * 1024;

const options = {
  ...{ bytesMax: 1_000 * unit, bytesPerClientMax: 400 * unit, modestShareBytes: 100 * unit },
  ...{ modestBytes: 50 * unit, peerShareBytes: 200 * unit, requestShareBytes: 0 },
  bytesPerPeerMax: 100_000 * unit,
  patienceMs: 5_000,
};
const { signal } = new AbortController();

class Bench {
  readonly clock = new ManualClock();
  readonly ended: string[] = [];
  readonly counts: number[] = [];
  readonly budget: MemoryBudget;

  constructor(changed: Partial<MemoryBudgetOptions> = {}) {
    this.budget = new MemoryBudget({ ...options, ...changed }, this.clock, (calls) => this.counts.push(calls));
  }

  call(address: string, name = address): CallMemory {
    const call: CallMemory = this.budget.begin(anonymous, address, () => {
      this.ended.push(name);
      call.close();
    });
    return call;
  }

  peer(address: string): CallMemory {
    return this.budget.beginPeer(anonymous, address, () => this.ended.push(address));
  }
}

/** Whether the reservation was granted by now. */
async function granted(reservation: Promise<void> | undefined): Promise<boolean> {
  return Promise.race([Promise.resolve(reservation).then(() => true), Promise.resolve().then(() => nextTurn())]);
}
const nextTurn = (): Promise<boolean> => new Promise((resolve) => setImmediate(() => resolve(false)));

describe('a budget of memory', () => {
  it('has a client wait for itself, in the order of its calls, and others not', async () => {
    const bench = new Bench();
    const [first, second, third] = [1, 2, 3].map(() => bench.call('a'));
    expect(first.reserve(400 * unit, signal)).toBeUndefined();
    const [waits, waitsToo] = [second.reserve(300 * unit, signal), third.reserve(10 * unit, signal)];
    expect(third.tryReserve(1 * unit)).toBe(false);
    expect(await granted(waits)).toBe(false);
    expect(bench.call('b').reserve(300 * unit, signal)).toBeUndefined();
    first.correct(-350 * unit);
    expect(await granted(waits)).toBe(true);
    expect(await granted(waitsToo)).toBe(true);
    expect(bench.budget.bytes).toBe((50 + 300 + 10 + 300) * unit);
  });

  it('keeps a share for the peers and one for clients that hold little, and serves those that wait in turn', async () => {
    const bench = new Bench();
    const [a, b] = [bench.call('a'), bench.call('b')];
    void a.reserve(400 * unit, signal);
    void b.reserve(300 * unit, signal);
    const [more, most] = [bench.call('b').reserve(60 * unit, signal), bench.call('b').reserve(60 * unit, signal)];
    expect(await granted(more)).toBe(false);
    const c = bench.call('c').reserve(60 * unit, signal);
    expect(await granted(c)).toBe(false);
    expect(bench.call('d').reserve(50 * unit, signal)).toBeUndefined();
    bench.peer('p').charge(990 * unit);
    expect(bench.call('e').reserve(10 * unit, signal)).not.toBeUndefined();
    a.close();
    expect(await granted(most)).toBe(false);
  });

  it('serves clients in turn', async () => {
    const bench = new Bench();
    const all = bench.call('a');
    void all.reserve(400 * unit, signal);
    void bench.call('b').reserve(300 * unit, signal);
    const reservations = ['a', 'a', 'a', 'c'].map((name) => bench.call(name).reserve(200 * unit, signal));
    all.correct(-400 * unit);
    expect(await Promise.all(reservations.map(granted))).toEqual([true, false, false, true]);
  });

  it('gives a call alone whatever it needs, which would wait for ever', () => {
    const bench = new Bench();
    expect(bench.call('a').reserve(5_000 * unit, signal)).toBeUndefined();
  });

  it('forgets who stops waiting', async () => {
    const bench = new Bench();
    const controller = new AbortController();
    const held = bench.call('a');
    void held.reserve(400 * unit, signal);
    const left = bench.call('a').reserve(400 * unit, controller.signal);
    const next = bench.call('a').reserve(10 * unit, signal);
    controller.abort(new Error('left'));
    await expect(left).rejects.toThrow('left');
    held.correct(-100 * unit);
    expect(await granted(next)).toBe(true);
    await expect(bench.call('a').reserve(400 * unit, controller.signal)).rejects.toThrow('left');
    expect(bench.clock.pending).toBe(1);
    bench.clock.advance(10_000);
    expect(bench.clock.pending).toBe(0);
  });

  it('ends readers that take nothing for five seconds, while a call of their client waits', async () => {
    const bench = new Bench();
    const [stalled, reads, elsewhere] = [bench.call('a', 'stalled'), bench.call('a', 'reads'), bench.call('b')];
    stalled.charge(150 * unit);
    reads.charge(150 * unit);
    elsewhere.charge(100 * unit);
    bench.clock.advance(60_000);
    const waits = bench.call('a').reserve(200 * unit, signal);
    for (let second = 0; second < 4; second += 1) {
      bench.clock.advance(1_000);
      reads.release(1);
    }
    expect(bench.ended).toEqual([]);
    bench.clock.advance(1_000);
    expect(bench.ended).toEqual(['stalled']);
    expect(bench.counts).toEqual([1]);
    expect(await granted(waits)).toBe(true);
  });

  it('ends those of others that hold much, when it is for them that a call waits', async () => {
    const bench = new Bench();
    for (const name of ['a', 'b']) bench.call(name).charge(330 * unit);
    bench.call('modest').charge(40 * unit);
    const waits = bench.call('c').reserve(300 * unit, signal);
    expect(await granted(waits)).toBe(false);
    bench.clock.advance(5_000);
    expect(bench.ended).toEqual(['a', 'b']);
    expect(await granted(waits)).toBe(true);
  });

  it('ends the calls of a peer that hold too much, and refuses its requests, but not those of others', () => {
    const bench = new Bench({ bytesPerPeerMax: 300 * unit });
    const [first, second] = [bench.peer('p'), bench.peer('p')];
    first.charge(200 * unit);
    expect(second.arrive(50 * unit)).toBeUndefined();
    expect(second.arrive(51 * unit)).toEqual(
      new OverloadedError('bytes that the calls of one client hold', 300 * unit),
    );
    expect(bench.ended).toEqual([]);
    first.charge(10 * unit);
    expect(bench.ended).toEqual(['p']);
    bench.peer('q').charge(290 * unit);
    expect(bench.peer('r').arrive(290 * unit)).toBeUndefined();
    expect(bench.peer('s').arrive(290 * unit)).toEqual(new OverloadedError('bytes that all calls hold', 1_000 * unit));
    expect(bench.ended).toEqual(['p']);
    expect(bench.call('a').arrive(unit)).toBeUndefined();
  });

  it('refuses requests above what a client may hold, and what all may, also while its reads wait', async () => {
    const bench = new Bench({ requestShareBytes: 100 * unit });
    const reads = bench.call('a');
    expect(reads.reserve(300 * unit, signal)).toBeUndefined();
    const waits = bench.call('a').reserve(10 * unit, signal);
    expect(await granted(waits)).toBe(false);
    const request = bench.call('a');
    expect(request.arrive(60 * unit)).toBeUndefined();
    expect(request.deliver(60 * unit)).toBeUndefined();
    expect(bench.call('a').arrive(30 * unit)).toBeUndefined();
    const refused = bench.call('a');
    expect(refused.arrive(20 * unit)).toEqual(
      new OverloadedError('bytes that the calls of one client hold', 400 * unit),
    );
    refused.close();
    expect(bench.call('b').reserve(200 * unit, signal)).toBeUndefined();
    expect(bench.call('b').arrive(110 * unit)).toBeUndefined();
    expect(bench.call('b').arrive(20 * unit)).toEqual(new OverloadedError('bytes that all calls hold', 1_000 * unit));
    expect(bench.call('modest').arrive(20 * unit)).toBeUndefined();
    request.answer(60 * unit);
    expect(bench.call('a').arrive(20 * unit)).toBeUndefined();
  });

  it('ends requests of which nothing more comes for five seconds, while others are refused', () => {
    const bench = new Bench();
    const [stalled, answering, comes] = ['stalled', 'answering', 'comes'].map((name) => bench.call('a', name));
    stalled.arrive(150 * unit);
    answering.arrive(100 * unit);
    answering.deliver(90 * unit);
    comes.arrive(140 * unit);
    bench.clock.advance(60_000);
    expect(bench.ended).toEqual([]);
    for (let second = 0; second < 5; second += 1) {
      expect(bench.ended).toEqual([]);
      const refused = bench.call('a', 'refused');
      expect(refused.arrive(100 * unit)).toBeDefined();
      refused.close();
      comes.arrive(1);
      bench.clock.advance(1_000);
    }
    expect(bench.ended).toEqual(['stalled']);
    expect(bench.call('a').arrive(100 * unit)).toBeUndefined();
    bench.clock.advance(2_000);
    expect(bench.clock.pending).toBe(0);
  });

  it('gets everything back when a call closes, be it twice, or while it waits', async () => {
    const bench = new Bench();
    const call = bench.call('a');
    void call.reserve(400 * unit, signal);
    const late = bench.call('a');
    const waits = late.reserve(100 * unit, signal);
    call.charge(50 * unit);
    late.close();
    for (let time = 0; time < 2; time += 1) call.close();
    call.release(50 * unit);
    call.correct(5 * unit);
    expect(await granted(waits)).toBe(true);
    expect(bench.budget.bytes).toBe(0);
  });
});
