import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { UnavailableError } from '../../src/application/errors.js';
import { OwnAddressError } from '../../src/application/ports/gossip.js';
import type { Gossip } from '../../src/application/ports/gossip.js';
import { eventually } from '../cluster/deadline.js';

type Tags = ReadonlyMap<string, string>;

export interface GossipNodeOptions {
  readonly name: string;
  readonly tags: Tags;
  /** The address of an earlier node of that name. */
  readonly addr?: string;
  readonly accepts?: (own: Tags, other: Tags) => boolean;
}

/** The contract of every `Gossip`, over a separate network for each test. */
export function describeGossip(title: string, newNetwork: () => (options: GossipNodeOptions) => Gossip): void {
  describe(title, () => {
    const nodes: Gossip[] = [];
    const signal = new AbortController().signal;
    let newNode: (options: GossipNodeOptions) => Gossip;

    beforeEach(() => {
      newNode = newNetwork();
    });
    afterEach(async () => {
      await Promise.all(nodes.splice(0).map((node) => node.close()));
    });

    const create = (name: string, options: Partial<GossipNodeOptions> = {}): Gossip => {
      const node = newNode({ name, tags: new Map([['role', name]]), ...options });
      nodes.push(node);
      return node;
    };
    const start = async (name: string, options: Partial<GossipNodeOptions> = {}): Promise<[Gossip, string]> => {
      const node = create(name, options);
      return [node, await node.start()];
    };
    const seenBy = (node: Gossip): string =>
      node
        .members()
        .map(({ name, status }) => `${name} ${status}`)
        .join(', ');
    const until = async (node: Gossip, wanted: string): Promise<void> => {
      await eventually(
        () => `${wanted} instead of ${seenBy(node)}`,
        () => (seenBy(node) === wanted ? true : undefined),
      );
    };

    it('knows itself once it has started', async () => {
      const node = create('a');
      expect(node.members()).toEqual([]);
      const addr = await node.start();
      expect(addr).toMatch(/^127\.0\.0\.1:\d+$/);
      expect(node.members()).toEqual([{ name: 'a', addr, tags: new Map([['role', 'a']]), status: 'alive' }]);
      expect(await node.start()).toBe(addr);
    });

    it('knows all after a join, and all know it', async () => {
      const [a, addrA] = await start('a');
      const [b, addrB] = await start('b');
      const [c] = await start('c');
      expect(await b.join([addrA], signal)).toBe(1);
      expect(await c.join([addrA, addrB], signal)).toBe(2);
      for (const node of [a, b, c]) await until(node, 'a alive, b alive, c alive');
      expect(c.members()[0]).toEqual({ name: 'a', addr: addrA, tags: new Map([['role', 'a']]), status: 'alive' });
    });

    it('counts the nodes that answer a join, and rejects when none does', async () => {
      const [, addrA] = await start('a');
      const [gone, addrGone] = await start('gone');
      await gone.close();
      const [b, addrB] = await start('b');
      expect(await b.join([addrGone, addrA], signal)).toBe(1);
      await expect(b.join([addrGone], signal)).rejects.toBeInstanceOf(UnavailableError);
      await expect(b.join([addrB], signal)).rejects.toBeInstanceOf(OwnAddressError);
      await expect(b.join([addrB, addrGone], signal)).rejects.not.toBeInstanceOf(OwnAddressError);
      await expect(b.join([], signal)).rejects.toBeInstanceOf(UnavailableError);
    });

    it('ends a join whose signal aborts', async () => {
      const [, addrA] = await start('a');
      const [b] = await start('b');
      const reason = new Error('enough');
      await expect(b.join([addrA], AbortSignal.abort(reason))).rejects.toBe(reason);
      expect(seenBy(b)).toBe('b alive');
    });

    it('reports new tags and each change until its listener is removed', async () => {
      const [a, addrA] = await start('a');
      const [b] = await start('b');
      let [changesOfA, changesOfB] = [0, 0];
      a.onChange(() => changesOfA++);
      const stop = b.onChange(() => changesOfB++);
      await b.join([addrA], signal);
      await until(a, 'a alive, b alive');
      expect(changesOfA).toBeGreaterThan(0);
      expect(changesOfB).toBeGreaterThan(0);
      const [beforeA, beforeB] = [changesOfA, changesOfB];
      stop();
      b.setTags(new Map([['role', 'leader']]));
      expect(b.members().at(-1)?.tags).toEqual(new Map([['role', 'leader']]));
      await eventually('the new tags', () => (a.members().at(-1)?.tags.get('role') === 'leader' ? true : undefined));
      expect(changesOfA).toBeGreaterThan(beforeA);
      expect(changesOfB).toBe(beforeB);
    });

    it('accepts tags before it starts, and at most 512 bytes of them', async () => {
      const node = create('a');
      const large = new Map([['role', 'x'.repeat(503)]]);
      expect(() => create('b', { tags: large })).toThrow(RangeError);
      expect(() => {
        node.setTags(large);
      }).toThrow(RangeError);
      const fitting = new Map([['role', 'x'.repeat(502)]]);
      node.setTags(fitting);
      await node.start();
      expect(node.members()[0]?.tags).toEqual(fitting);
      expect(() => {
        node.setTags(large);
      }).toThrow(RangeError);
      expect(node.members()[0]?.tags).toEqual(fitting);
    });

    it('has left after an announcement, has failed without one, and is alive when it comes back', async () => {
      const [a, addrA] = await start('a');
      const [b, addrB] = await start('b');
      const [c, addrC] = await start('c');
      await b.join([addrA], signal);
      await c.join([addrA], signal);
      await until(a, 'a alive, b alive, c alive');
      await b.leave();
      await until(a, 'a alive, b left, c alive');
      await Promise.all([b.close(), c.close()]);
      await until(a, 'a alive, b left, c failed');
      for (const [name, addr] of [
        ['b', addrB],
        ['c', addrC],
      ] as const) {
        const [again] = await start(name, { addr });
        await again.join([addrA], signal);
      }
      await until(a, 'a alive, b alive, c alive');
    });

    it('leaves at once when it is alone, and does not gossip after that', async () => {
      const node = create('a');
      await node.leave();
      await node.start();
      await Promise.all([node.leave(), node.leave()]);
      await node.close();
      await node.close();
      await expect(node.join(['127.0.0.1:1'], signal)).rejects.toBeInstanceOf(UnavailableError);
      const closed = create('b');
      await closed.close();
      await expect(closed.start()).rejects.toBeInstanceOf(UnavailableError);
    });

    it('does not exchange state with nodes that it does not accept', async () => {
      const accepts = (own: Tags, other: Tags): boolean => own.get('cluster') === other.get('cluster');
      const tagsOf = (cluster: string): Tags => new Map([['cluster', cluster]]);
      const [a, addrA] = await start('a', { tags: tagsOf('one'), accepts });
      const [b] = await start('b', { tags: tagsOf('two'), accepts });
      const [c, addrC] = await start('c', { tags: tagsOf('none'), accepts });
      await expect(b.join([addrA], signal)).rejects.toBeInstanceOf(UnavailableError);
      c.setTags(tagsOf('one'));
      await a.join([addrC], signal);
      await until(c, 'a alive, c alive');
      expect([seenBy(a), seenBy(b)]).toEqual(['a alive, c alive', 'b alive']);
    });
  });
}
