import { describe, expect, it, jest } from '@jest/globals';
import { toIndex, toOffset, toTerm } from '../../domain/log/offsets.js';
import { confChangeV2, encodeConfChange } from '../../domain/raft/conf-change.js';
import { message } from '../../domain/raft/message.js';
import { firstConfiguration } from '../configuration/configuration.js';
import { Watermark } from '../storage/watermark.js';
import { Applier } from './applier.js';

const member = { id: 1, name: 'n1', uuid: 'uuid-1', rpcAddr: 'n1:8400' };
const changes = [{ type: 'add-learner-node', nodeId: 2 }] as const;
const change = { index: 5, term: 1, ...encodeConfChange(confChangeV2({ changes })) };

function applierWith(isRestoring: boolean) {
  const configuration = firstConfiguration(member);
  const applyConfChange = jest.fn(() => configuration.confState);
  const step = jest.fn();
  const nothing = (): void => undefined;
  const applier = new Applier({
    loop: {
      core: { isRestoring, applyConfChange, step },
      step: (act) => act(),
      updatePeers: nothing,
      fail: nothing,
      drain: nothing,
    },
    cache: { firstIndex: () => 5, release: nothing },
    watermark: new Watermark(toOffset(0)),
    proposals: { applied: nothing },
    log: { startIndex: toIndex(1) },
    configuration: { at: () => configuration, add: () => Promise.resolve(), current: configuration },
    producers: { apply: nothing },
    id: 1,
    logger: { debug: nothing, info: nothing, warn: nothing, error: nothing },
  });
  return { applier, applyConfChange, step };
}

describe('Applier', () => {
  it('applies no change of the members that a snapshot covers, of which the core has them already', () => {
    const { applier, applyConfChange, step } = applierWith(true);
    const response = message({ type: 'MsgStorageApplyResp' });
    applier.accept(message({ type: 'MsgStorageApply', entries: [change], responses: [response] }));
    expect(applyConfChange).not.toHaveBeenCalled();
    expect(step).toHaveBeenCalledWith(response);
    expect(applier.applied).toBe(4);
    applier.reset({ index: toIndex(9), offset: toOffset(100), term: toTerm(1) });
    expect([applier.applied, applier.highWatermark]).toEqual([8, 100]);
  });
});
