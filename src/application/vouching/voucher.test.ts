import { describe, expect, it } from '@jest/globals';
import { crc32c } from '../../adapters/checksum/crc32c.js';
import { MemoryDirectory } from '../../adapters/memory/memory-directory.js';
import { toIndex, toTerm } from '../../domain/log/offsets.js';
import { confState } from '../../domain/raft/conf-state.js';
import type { Member } from '../configuration/configuration.js';
import { callersMax, type VouchRequest } from '../ports/vouching.js';
import { PeerNotes } from './peer-notes.js';
import { Voucher } from './voucher.js';

const clusterId = new Uint8Array(16).fill(7);
const members: Member[] = [1, 2, 3].map((id) => ({ id, name: `n${id}`, uuid: `u${id}`, rpcAddr: `n${id}:8400` }));

async function voucherOf(self: Member) {
  const heard: [uuid: string, rpcAddr: string][] = [];
  const current = { index: 9, confState: confState({ voters: [1, 2, 3] }), members, lastId: 3, settings: {} };
  const voucher = new Voucher({
    clusterId,
    self,
    configuration: { current, stored: { id: self.id, contacts: [], history: [current] }, generation: 0 },
    hardState: { current: { term: toTerm(1), vote: 0, commit: toIndex(0) } },
    log: { lastTerm: toTerm(1), lastIndex: toIndex(9) },
    notes: await PeerNotes.open(new MemoryDirectory(), crc32c),
    onCaller: (...where) => heard.push(where),
  });
  const asks = (request: Partial<VouchRequest>) =>
    voucher.vouch({ clusterId, uuid: 'u2', name: 'n2', id: 2, rpcAddr: 'new-n2:8400', generation: 0, ...request });
  return { voucher, heard, asks };
}

describe('Voucher', () => {
  it('names a member that has moved to another one, however many others have asked', async () => {
    const { asks } = await voucherOf(members[0]);
    for (let i = 0; i < 2 * callersMax; i++) asks({ uuid: `stranger-${i}`, name: `s${i}`, rpcAddr: `s${i}:8400` });
    asks({});
    for (let i = 0; i < 2 * callersMax; i++) asks({ uuid: `other-${i}`, name: `o${i}`, rpcAddr: `o${i}:8400` });
    expect(asks({ uuid: 'u3', name: 'n3', id: 3, rpcAddr: 'new-n3:8400' })?.callers).toEqual(['new-n2:8400']);
  });

  it('remembers where those are that have asked, of strangers the last ones', async () => {
    const { voucher, asks } = await voucherOf(members[0]);
    for (let i = 0; i < 2 * callersMax; i++) asks({ uuid: `stranger-${i}`, name: `s${i}`, rpcAddr: `s${i}:8400` });
    expect(voucher.callers).toHaveLength(callersMax);
    expect(voucher.callers.at(-1)).toBe(`s${2 * callersMax - 1}:8400`);
    asks({ uuid: 'u1', name: 'n1', id: 1, rpcAddr: 'copy-of-n1:8400' });
    expect(voucher.callers).not.toContain('copy-of-n1:8400');
  });

  it('believes only a caller with the name of the member that the member is elsewhere', async () => {
    const { heard, asks } = await voucherOf(members[0]);
    asks({ name: 'web-server', rpcAddr: 'web-server:8400' });
    asks({ uuid: 'stranger', name: 's', rpcAddr: 's:8400' });
    expect(heard).toEqual([]);
    expect(asks({ uuid: 'u3', name: 'n3', id: 3, rpcAddr: 'new-n3:8400' })?.callers).toBeUndefined();
    asks({});
    expect(heard).toEqual([
      ['u3', 'new-n3:8400'],
      ['u2', 'new-n2:8400'],
    ]);
  });
});
