import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../adapters/memory/manual-clock.js';
import { UnavailableError } from '../errors.js';
import { keepInGossip } from './gossip-join.js';
import type { Gossip, GossipMember } from '../ports/gossip.js';
import { RecordingLogger } from '../../../test/logging/recording-logger.js';

/** A node that is being kept in a gossip, and whom it asked. */
class Kept {
  readonly clock = new ManualClock();
  readonly logger = new RecordingLogger();
  others = 0;
  answering: string[] = [];
  #asked: string[] = [];
  readonly #stop = new AbortController();
  readonly #stored: Promise<void>;

  constructor(addrs: readonly string[], former: readonly string[]) {
    const gossip: Pick<Gossip, 'former' | 'members' | 'join'> = {
      former,
      members: () => Array.from({ length: 1 + this.others }, () => member),
      join: ([addr = '']) => {
        this.#asked.push(addr);
        if (this.answering.includes(addr)) return Promise.resolve(1);
        return Promise.reject(new UnavailableError(`nobody answers at ${addr}`));
      },
    };
    this.#stored = keepInGossip({
      gossip,
      addrs,
      clock: this.clock,
      logger: this.logger,
      signal: this.#stop.signal,
      onRound: () => undefined,
    });
  }

  /** Whom it asks in this time; a round takes 5 s at most. */
  async asks(ms = 5_000): Promise<string> {
    for (let passed = 0; passed <= ms; passed += 250) {
      await new Promise((resolve) => setImmediate(resolve));
      if (passed < ms) this.clock.advance(250);
    }
    return this.#asked.splice(0).join(' ');
  }

  end(): Promise<void> {
    this.#stop.abort();
    return this.#stored;
  }
}

const member: GossipMember = { name: '', addr: '', tags: new Map(), status: 'alive' };

describe('a node is kept in the gossip', () => {
  it('by asking each address until it has answered, and all again when nobody is left', async () => {
    const stored = new Kept(['a:1', 'b:1'], []);
    expect(await stored.asks(0)).toBe('a:1 b:1');
    stored.answering = ['a:1'];
    stored.others = 1;
    expect(await stored.asks(250)).toBe('a:1 b:1');
    expect(await stored.asks(500)).toBe('b:1');
    stored.answering = ['a:1', 'b:1'];
    expect(await stored.asks()).toBe('b:1');
    expect(await stored.asks(60_000)).toBe('');
    stored.others = 0;
    expect(await stored.asks()).toMatch(/^a:1 b:1/);
    await stored.end();
  });

  it('by asking those of before in turn, while nobody is there', async () => {
    const stored = new Kept([], ['a:1', 'b:1', 'c:1', 'd:1']);
    expect(await stored.asks(0)).toBe('a:1 b:1 c:1');
    expect(await stored.asks(250)).toBe('d:1 a:1 b:1');
    stored.others = 1;
    expect(await stored.asks(60_000)).toBe('');
    stored.others = 0;
    expect(await stored.asks()).toMatch(/^c:1 d:1 a:1/);
    await stored.end();
  });

  it('with a word to the operator once a minute', async () => {
    const stored = new Kept(['a:1'], []);
    await stored.asks(50_000);
    const isolated = { addresses: ['a:1'], formerAddresses: [], reasons: ['nobody answers at a:1'] };
    expect(stored.logger.fieldsOf('gossip_isolated')).toEqual([isolated]);
    await stored.asks(20_000);
    expect(stored.logger.events('warn')).toEqual(['gossip_isolated', 'gossip_isolated']);
    await stored.end();
  });
});
