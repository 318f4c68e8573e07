import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { ConfChangeSingle } from './conf-change.js';
import {
  asV2,
  confChange,
  confChangeV2,
  decodeConfChange,
  describeConfChange,
  encodeConfChange,
  enterJoint,
  leaveJoint,
  MalformedConfChangeError,
} from './conf-change.js';

const seed = 20_261_125;
const add = (nodeId: number): ConfChangeSingle => ({ type: 'add-node', nodeId });

describe('the encoding of membership changes', () => {
  it('has the golden bytes of raftpb', () => {
    expect(encodeConfChange(confChange('remove-node', 3))).toEqual({
      type: 'conf-change',
      data: Uint8Array.of(0x10, 1, 0x18, 3),
    });
    expect(encodeConfChange({ id: 300, type: 'add-node', nodeId: 1, context: Uint8Array.of(9) }).data).toEqual(
      Uint8Array.of(0x08, 0xac, 0x02, 0x10, 0, 0x18, 1, 0x22, 1, 9),
    );
    expect(
      encodeConfChange(
        confChangeV2({
          transition: 'joint-explicit',
          changes: [add(2), { type: 'add-learner-node', nodeId: 200 }],
          context: Uint8Array.of(7),
        }),
      ),
    ).toEqual({
      type: 'conf-change-v2',
      data: Uint8Array.of(0x08, 2, 0x12, 4, 0x08, 0, 0x10, 2, 0x12, 5, 0x08, 3, 0x10, 0xc8, 0x01, 0x1a, 1, 7),
    });
    expect(encodeConfChange(confChangeV2({})).data).toEqual(Uint8Array.of(0x08, 0));
  });

  it('is empty for the change that leaves a joint configuration', () => {
    const { type, data } = encodeConfChange(undefined);
    expect([type, data.length]).toEqual(['conf-change-v2', 0]);
    expect(decodeConfChange(type, data)).toEqual(confChangeV2({}));
  });

  it('reads the id that older writers put first', () => {
    expect(decodeConfChange('conf-change', Uint8Array.of(0x08, 0, 0x10, 1, 0x18, 3))).toEqual({
      id: 0,
      ...confChange('remove-node', 3),
    });
  });

  it('skips unknown fields of every wire type', () => {
    const unknown = [0x48, ...Array<number>(9).fill(0xff), 1, 0x49, ...bytes(8), 0x4a, 2, 1, 2, 0x4d, ...bytes(4)];
    expect(decodeConfChange('conf-change', Uint8Array.of(...unknown, 0x18, 3))).toEqual(confChange('add-node', 3));
  });

  it.each([
    ['a cut number', [0x10]],
    ['a cut length', [0x1a, 5, 1]],
    ['field 0', [0x00, 1]],
    ['a group', [0x4b]],
    ['an unknown transition', [0x08, 3]],
    ['an unknown change', [0x12, 2, 0x08, 4]],
    ['a field in the wrong wire type', [0x0a, 0]],
    ['a node ID above 2^53-1', [0x12, 11, 0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]],
    ['an endless number', [0x08, ...Array<number>(12).fill(0x80)]],
    ['an endless number in a skipped field', [0x48, ...Array<number>(12).fill(0x80)]],
  ])('rejects %s', (_, data) => {
    expect(() => decodeConfChange('conf-change-v2', Uint8Array.from(data))).toThrow(MalformedConfChangeError);
  });

  it('rejects a normal entry', () => {
    expect(() => decodeConfChange('normal', Uint8Array.of())).toThrow(MalformedConfChangeError);
  });

  it(`reads what it wrote (seed ${seed})`, () => {
    const nodeId = fc.maxSafeNat();
    const type = fc.constantFrom('add-node', 'remove-node', 'update-node', 'add-learner-node');
    const context = fc.uint8Array({ maxLength: 200 });
    const v1 = fc.record({ type, nodeId, context });
    const v2 = fc.record({
      transition: fc.constantFrom('auto', 'joint-implicit', 'joint-explicit'),
      changes: fc.array(fc.record({ type, nodeId }), { maxLength: 5 }),
      context,
    });
    fc.assert(
      fc.property(fc.oneof(v1, v2), (change) => {
        const encoded = encodeConfChange(change);
        expect(decodeConfChange(encoded.type, encoded.data)).toEqual(change);
      }),
      { seed },
    );
  });
});

describe('a membership change', () => {
  it.each([
    ['auto', 0, false, false, true],
    ['auto', 1, false, false, false],
    ['auto', 2, true, true, false],
    ['joint-implicit', 0, true, true, false],
    ['joint-implicit', 1, true, true, false],
    ['joint-explicit', 0, false, true, false],
    ['joint-explicit', 2, false, true, false],
  ] as const)('%s with %i changes', (transition, count, autoLeave, ok, leaves) => {
    const change = confChangeV2({ transition, changes: [1, 2].slice(0, count).map(add), context: Uint8Array.of(1) });
    expect(enterJoint(change)).toEqual({ autoLeave, ok });
    expect(leaveJoint(change)).toBe(leaves);
  });

  it('is the same for a change of one member in either version', () => {
    expect(asV2(confChange('add-node', 4, Uint8Array.of(1)))).toEqual(
      confChangeV2({ changes: [add(4)], context: Uint8Array.of(1) }),
    );
  });

  it('is described in one line', () => {
    expect(describeConfChange(confChangeV2({}))).toBe('transition:ConfChangeTransitionAuto');
    expect(describeConfChange(confChangeV2({ changes: [add(4)] }))).toBe(
      'transition:ConfChangeTransitionAuto changes:{type:ConfChangeAddNode node_id:4}',
    );
    expect(describeConfChange(confChange('remove-node', 3, Uint8Array.of(0x61)))).toBe(
      'type:ConfChangeRemoveNode node_id:3 context:"a"',
    );
  });
});

function bytes(count: number): number[] {
  return Array<number>(count).fill(0xff);
}
