import { describe, expect, it } from '@jest/globals';
import { BroadcastQueue } from './broadcast-queue.js';
import { MemberList, type SwimMember } from './member-list.js';
import type { Alive, SwimMessage } from './message.js';
import { Swim, type SwimListener } from './swim.js';
import { lanTiming } from './timing.js';

const versions = {
  protocolMin: 1,
  protocolMax: 5,
  protocol: 2,
  delegateMin: 2,
  delegateMax: 5,
  delegate: 5,
};
const meta = new Uint8Array([1, 2]);
const address = (node: number) => ({ ip: `10.0.0.${node}`, port: 7946 });

function alive(node: string, incarnation: number, change: Partial<Alive> = {}): Alive {
  return { type: 'alive', node, incarnation, address: address(2), meta, versions, ...change };
}

/** Creates a state machine named `me`; `take` returns its notifications and queued messages since the last call. */
function machine(membersMax = 10) {
  const notified: string[] = [];
  const sent: SwimMessage[] = [];
  const direct: [string, SwimMessage][] = [];
  const listener: SwimListener = {
    memberJoined: ({ name }) => notified.push(`join ${name}`),
    memberLeft: ({ name, state }) => notified.push(`${state} ${name}`),
    memberUpdated: ({ name }) => notified.push(`update ${name}`),
    nameClaimed: ({ name }, { ip }) => notified.push(`${ip} claims ${name}`),
  };
  const members = new MemberList(() => 0.5, membersMax);
  const swim = new Swim({
    members,
    broadcasts: new BroadcastQueue(100),
    name: 'me',
    address: address(1),
    meta,
    versions,
    timing: lanTiming,
    wire: {
      encodeSwim: (message) => {
        sent.push(message);
        return new Uint8Array(10);
      },
    },
    listener,
    sendTo: ({ ip }, message) => direct.push([ip, message]),
    accepts: (name) => name !== 'foreign',
  });
  swim.start(0);
  const stateOf = (name: string): Partial<SwimMember> | undefined => {
    const member = members.get(name);
    return member && { state: member.state, incarnation: member.incarnation };
  };
  const take = () => ({ notified: notified.splice(0), sent: sent.splice(0) });
  take();
  return { swim, members, take, direct, stateOf };
}

describe('a claim about another member', () => {
  it('is ordered by incarnation; within one, dead overrides suspect overrides alive', () => {
    const { swim, stateOf, take } = machine();
    const states: unknown[] = [];
    const note = () => states.push(stateOf('a'));
    swim.alive(alive('a', 3), 0);
    note();
    swim.suspect({ type: 'suspect', node: 'a', incarnation: 2, from: 'b' }, 1);
    note();
    swim.suspect({ type: 'suspect', node: 'a', incarnation: 3, from: 'b' }, 1);
    note();
    swim.alive(alive('a', 3), 2);
    note();
    swim.alive(alive('a', 4), 2);
    note();
    swim.dead({ type: 'dead', node: 'a', incarnation: 4, from: 'b' }, 3);
    note();
    swim.suspect({ type: 'suspect', node: 'a', incarnation: 4, from: 'b' }, 3);
    swim.alive(alive('a', 4), 3);
    note();
    swim.alive(alive('a', 5), 3);
    note();
    expect(states).toEqual([
      { state: 'alive', incarnation: 3 },
      { state: 'alive', incarnation: 3 },
      { state: 'suspect', incarnation: 3 },
      { state: 'suspect', incarnation: 3 },
      { state: 'alive', incarnation: 4 },
      { state: 'dead', incarnation: 4 },
      { state: 'dead', incarnation: 4 },
      { state: 'alive', incarnation: 5 },
    ]);
    const { notified, sent } = take();
    expect(notified).toEqual(['join a', 'dead a', 'join a']);
    expect(sent.map(({ type }) => type)).toEqual(['alive', 'suspect', 'alive', 'dead', 'alive']);
  });

  it('is ignored when the member is unknown', () => {
    const { swim, take, stateOf } = machine();
    swim.suspect({ type: 'suspect', node: 'a', incarnation: 1, from: 'b' }, 0);
    swim.dead({ type: 'dead', node: 'a', incarnation: 1, from: 'a' }, 0);
    expect([take(), stateOf('a')]).toEqual([{ notified: [], sent: [] }, undefined]);
  });

  it('makes a suspect dead after a timeout, sooner with more confirmations', () => {
    const deadlines = [0, 1, 2].map((confirmations) => {
      const { swim, stateOf } = machine();
      for (const name of ['a', 'b', 'c', 'd', 'e']) swim.alive(alive(name, 1), 0);
      swim.suspect({ type: 'suspect', node: 'a', incarnation: 1, from: 'b' }, 100);
      for (const from of ['invented', 'b', 'c', 'd'].slice(0, 2 + confirmations)) {
        swim.suspect({ type: 'suspect', node: 'a', incarnation: 1, from }, 200);
      }
      let at = 0;
      while (stateOf('a')?.state !== 'dead') swim.tick((at = swim.nextTickAt));
      return at - 100;
    });
    // Four periods, six times as long without confirmations; two are expected.
    expect(deadlines).toEqual([24_000, 11_381, 4000]);
    const { swim, take } = machine();
    swim.alive(alive('a', 1), 0);
    swim.suspect({ type: 'suspect', node: 'a', incarnation: 1, from: 'b' }, 0);
    swim.tick(3999);
    expect(take().notified).toEqual(['join a']);
    swim.tick(4000);
    expect(take().notified).toEqual(['dead a']);
  });

  it('is repeated to a suspect while it has time to refute', () => {
    const { swim, direct } = machine();
    for (const name of ['a', 'b', 'c', 'd']) swim.alive(alive(name, 1), 0);
    swim.suspect({ type: 'suspect', node: 'a', incarnation: 1, from: 'b' }, 0);
    const times: number[] = [];
    while (swim.nextTickAt < 24_000) {
      times.push(swim.nextTickAt);
      swim.tick(swim.nextTickAt);
    }
    expect(times).toEqual([2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22].map((seconds) => seconds * 1000));
    expect(direct.length).toBe(times.length);
    expect(direct[0]).toEqual(['10.0.0.2', { type: 'suspect', node: 'a', incarnation: 1, from: 'me' }]);
    swim.alive(alive('a', 2), 22_500);
    expect(swim.nextTickAt).toBe(Infinity);
  });

  it('reports a new meta, and a leave by the member itself', () => {
    const { swim, take, stateOf } = machine();
    swim.alive(alive('a', 1), 0);
    swim.alive(alive('a', 2, { meta: new Uint8Array([9]) }), 0);
    swim.dead({ type: 'dead', node: 'a', incarnation: 2, from: 'a' }, 0);
    expect(take().notified).toEqual(['join a', 'update a', 'left a']);
    expect(stateOf('a')).toEqual({ state: 'left', incarnation: 2 });
  });

  it('does not move a live member to another address', () => {
    const { swim, take } = machine();
    const moved = { address: address(3) };
    swim.alive(alive('a', 1), 0);
    swim.alive(alive('a', 7, moved), 0);
    swim.suspect({ type: 'suspect', node: 'a', incarnation: 1, from: 'b' }, 0);
    swim.alive(alive('a', 7, moved), 0);
    expect(take().notified).toEqual(['join a', '10.0.0.3 claims a', '10.0.0.3 claims a']);
  });

  it('moves a dead member with a higher incarnation, and a member that left, to another address', () => {
    const { swim, take, members } = machine();
    const moved = { address: address(3) };
    swim.alive(alive('a', 1, moved), 0);
    swim.dead({ type: 'dead', node: 'a', incarnation: 1, from: 'b' }, 0);
    swim.alive(alive('a', 1), 0);
    expect(take().notified).toEqual(['join a', 'dead a']);
    swim.alive(alive('a', 2), 0);
    expect(take().notified).toEqual(['join a']);
    swim.dead({ type: 'dead', node: 'a', incarnation: 2, from: 'a' }, 0);
    // A member that left may return with any incarnation.
    swim.alive(alive('a', 1, moved), 0);
    expect(take().notified).toEqual(['left a', 'join a']);
    expect(members.get('a')).toMatchObject({ address: address(3), incarnation: 1, state: 'alive' });
    expect([members.hasAddress(address(2)), members.hasAddress(address(3))]).toEqual([false, true]);
  });

  it('is ignored from members that are not accepted or are invalid', () => {
    const { swim, take } = machine();
    swim.alive(alive('foreign', 1), 0);
    swim.alive(alive('', 1), 0);
    swim.alive(alive('a', 1, { meta: new Uint8Array(513) }), 0);
    swim.alive(alive('a', 1, { address: { ip: '10.0.0.2', port: 0 } }), 0);
    swim.alive(alive('a', 1, { versions: { ...versions, protocolMin: 0 } }), 0);
    swim.alive(alive('a', 1, { versions: { ...versions, protocolMax: 0 } }), 0);
    swim.alive(alive('a', 1, { versions: { ...versions, protocolMin: 4, protocolMax: 3 } }), 0);
    expect(take()).toEqual({ notified: [], sent: [] });
  });

  it('never exceeds the limit of members: evicts dead members, but not live ones', () => {
    const { swim, members } = machine(3);
    for (const name of ['a', 'b', 'c']) swim.alive(alive(name, 1), 0);
    expect([...members].map(({ name }) => name).toSorted()).toEqual(['a', 'b', 'me']);
    swim.dead({ type: 'dead', node: 'a', incarnation: 1, from: 'b' }, 0);
    swim.alive(alive('c', 1), 0);
    expect([...members].map(({ name }) => name).toSorted()).toEqual(['b', 'c', 'me']);
  });
});

describe('a claim about this node', () => {
  it.each([
    { accusation: { type: 'suspect', node: 'me', incarnation: 4, from: 'b' } as const },
    { accusation: { type: 'dead', node: 'me', incarnation: 4, from: 'b' } as const },
    { accusation: { type: 'dead', node: 'me', incarnation: 4, from: 'me' } as const },
  ])(
    'is refuted by a higher incarnation, and raises the health score: $accusation.type from $accusation.from',
    ({ accusation }) => {
      const { swim, take } = machine();
      if (accusation.type === 'suspect') swim.suspect(accusation, 0);
      else swim.dead(accusation, 0);
      expect(take()).toEqual({ notified: [], sent: [alive('me', 5, { address: address(1) })] });
      expect({ state: swim.me.state, score: swim.awareness.score }).toEqual({ state: 'alive', score: 1 });
    },
  );

  it('is refuted if it is from before a restart, and ignored if it is correct or outdated', () => {
    const { swim, take } = machine();
    const mine = { address: address(1) };
    swim.alive(alive('me', 1, mine), 0);
    expect(take().sent).toEqual([]);
    swim.alive(alive('me', 1, { ...mine, meta: new Uint8Array([7]) }), 0);
    expect(take().sent).toEqual([alive('me', 2, mine)]);
    swim.alive(alive('me', 1, { ...mine, meta: new Uint8Array([7]) }), 0);
    swim.suspect({ type: 'suspect', node: 'me', incarnation: 1, from: 'b' }, 0);
    expect(take().sent).toEqual([]);
    swim.merge([{ name: 'me', address: address(1), meta, incarnation: 8, state: 'left', versions }], 0);
    expect(take().sent).toEqual([alive('me', 9, mine)]);
  });

  it('is refuted again only to a member that missed the refutation', () => {
    const { swim, direct, take } = machine();
    swim.alive(alive('b', 1), 0);
    swim.suspect({ type: 'suspect', node: 'me', incarnation: 1, from: 'b' }, 0, address(2));
    expect([take().sent.at(-1), direct]).toEqual([alive('me', 2, { address: address(1) }), []]);
    swim.suspect({ type: 'suspect', node: 'me', incarnation: 1, from: 'b' }, 1, address(2));
    swim.dead({ type: 'dead', node: 'me', incarnation: 1, from: 'b' }, 1, address(2));
    swim.suspect({ type: 'suspect', node: 'me', incarnation: 1, from: 'b' }, 1, address(9));
    const refutation = ['10.0.0.2', alive('me', 2, { address: address(1) })];
    expect([take().sent, direct]).toEqual([[], [refutation, refutation]]);
  });

  it('is not refuted once it leaves', () => {
    const { swim, take } = machine();
    swim.leave(0, () => {});
    swim.alive(alive('me', 9, { address: address(1) }), 0);
    swim.suspect({ type: 'suspect', node: 'me', incarnation: 9, from: 'b' }, 0);
    expect(take()).toEqual({ notified: ['left me'], sent: [{ type: 'dead', node: 'me', incarnation: 1, from: 'me' }] });
  });
});

describe('a forged incarnation', () => {
  const forged = 2 ** 32 - 1;

  it('is capped, so that the accused can always refute it', () => {
    const { swim, take } = machine();
    for (let step = 0; step < 70_000; step += 1)
      swim.suspect({ type: 'suspect', node: 'me', incarnation: forged, from: 'b' }, 0);
    const last = take().sent.at(-1);
    expect(last).toMatchObject({ type: 'alive', node: 'me' });
    expect(swim.me.incarnation).toBeLessThan(forged);
    expect(swim.me.state).toBe('alive');
  });

  it('is capped alike by all receivers, so that the refutation counts', () => {
    const accused = machine();
    const witness = machine();
    witness.swim.alive(alive('me2', 1), 0);
    const claim = { type: 'dead', node: 'me', incarnation: forged, from: 'b' } as const;
    witness.swim.dead({ ...claim, node: 'me2' }, 0);
    accused.swim.dead(claim, 0);
    expect(witness.stateOf('me2')?.state).toBe('dead');
    witness.swim.alive(alive('me2', accused.swim.me.incarnation), 0);
    expect(witness.stateOf('me2')).toEqual({ state: 'alive', incarnation: accused.swim.me.incarnation });
  });

  it('of an unknown member does not lock the member out', () => {
    const { swim, stateOf } = machine();
    swim.alive(alive('a', forged), 0);
    const believed = stateOf('a')?.incarnation ?? NaN;
    // The member receives it and exceeds it step by step.
    const joining = machine();
    for (let step = 0; step < 32; step += 1) {
      joining.swim.alive(alive('me', believed, { address: address(1), meta: new Uint8Array([7]) }), 0);
    }
    expect(joining.swim.me.incarnation).toBeGreaterThan(believed);
    swim.alive(alive('a', joining.swim.me.incarnation, { meta: new Uint8Array([5]) }), 0);
    expect(stateOf('a')?.incarnation).toBe(joining.swim.me.incarnation);
  });
});
