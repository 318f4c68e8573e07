import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../adapters/memory/manual-clock.js';
import { UnavailableError } from '../errors.js';
import { keepInGossip } from './gossip-join.js';
import type { Gossip, GossipMember } from '../ports/gossip.js';
import { RecordingLogger } from '../../../test/logging/recording-logger.js';

/** A node that joins the gossip, and the addresses that it asked. */
class JoiningNode {
  readonly clock = new ManualClock();
  readonly logger = new RecordingLogger();
  others = 0;
  answering: string[] = [];
  #asked: string[] = [];
  readonly #stop = new AbortController();
  readonly #joining: Promise<void>;

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
    this.#joining = keepInGossip({
      gossip,
      addrs,
      clock: this.clock,
      logger: this.logger,
      signal: this.#stop.signal,
      onAnswer: () => undefined,
      onRound: () => undefined,
    });
  }

  /** Returns the addresses asked within this time; a round takes 5 s at most. */
  async asks(ms = 5_000): Promise<string> {
    for (let passed = 0; passed <= ms; passed += 250) {
      await new Promise((resolve) => setImmediate(resolve));
      if (passed < ms) this.clock.advance(250);
    }
    return this.#asked.splice(0).join(' ');
  }

  end(): Promise<void> {
    this.#stop.abort();
    return this.#joining;
  }
}

const member: GossipMember = { name: '', addr: '', tags: new Map(), status: 'alive' };

describe('a node stays in the gossip', () => {
  it('by asking each address until it answers, and all of them again when no other node is left', async () => {
    const joining = new JoiningNode(['a:1', 'b:1'], []);
    expect(await joining.asks(0)).toBe('a:1 b:1');
    joining.answering = ['a:1'];
    joining.others = 1;
    expect(await joining.asks(250)).toBe('a:1 b:1');
    expect(await joining.asks(500)).toBe('b:1');
    joining.answering = ['a:1', 'b:1'];
    expect(await joining.asks()).toBe('b:1');
    expect(await joining.asks(60_000)).toBe('');
    joining.others = 0;
    expect(await joining.asks()).toMatch(/^a:1 b:1/);
    await joining.end();
  });

  it('by asking former members in turn, while no other node is there', async () => {
    const joining = new JoiningNode([], ['a:1', 'b:1', 'c:1', 'd:1']);
    expect(await joining.asks(0)).toBe('a:1 b:1 c:1');
    expect(await joining.asks(250)).toBe('d:1 a:1 b:1');
    joining.others = 1;
    expect(await joining.asks(60_000)).toBe('');
    joining.others = 0;
    expect(await joining.asks()).toMatch(/^c:1 d:1 a:1/);
    await joining.end();
  });

  it('with a warning to the operator once a minute', async () => {
    const joining = new JoiningNode(['a:1'], []);
    await joining.asks(50_000);
    const isolated = { addresses: ['a:1'], formerAddresses: [], reasons: ['nobody answers at a:1'] };
    expect(joining.logger.fieldsOf('gossip_isolated')).toEqual([isolated]);
    await joining.asks(20_000);
    expect(joining.logger.events('warn')).toEqual(['gossip_isolated', 'gossip_isolated']);
    await joining.end();
  });
});
