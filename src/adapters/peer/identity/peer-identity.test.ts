import { describe, expect, it } from '@jest/globals';
import { Metadata } from '@grpc/grpc-js';
import { answerMetadata, contradictionIn, identityMetadata, identityOf } from './peer-identity.js';

const [ours, theirs] = [7, 8].map((byte) => new Uint8Array(16).fill(byte));
const uuid = '22222222-0000-4000-8000-000000000002';
const other = '33333333-0000-4000-8000-000000000003';
const call = { clusterId: ours, from: 1, to: 2, rpcAddr: '127.0.0.1:8400', name: 'n1', uuid: other, toUuid: uuid };

describe('the answer to a peer', () => {
  it.each([
    ['the member', { clusterId: ours, id: 2, uuid }, undefined],
    ['the member, without a UUID', { clusterId: ours, id: 2, uuid: '' }, undefined],
    ['another member', { clusterId: ours, id: 3, uuid: other }, 'member 3 answers there, not 2'],
    ['another data directory', { clusterId: ours, id: 2, uuid: other }, `has the UUID ${other}, not ${uuid}`],
    ['another cluster', { clusterId: theirs, id: 2, uuid }, 'another cluster'],
  ])('is checked: from %s', (_from, answerer, reason) => {
    const found = contradictionIn(answerMetadata(answerer), call);
    if (reason === undefined) expect(found).toBeUndefined();
    else expect(found).toContain(reason);
  });

  it('is accepted from the previous release, which sends no identity', () => {
    expect(contradictionIn(new Metadata(), call)).toBeUndefined();
  });
});

describe('the identity of a caller', () => {
  it('has the UUIDs of the caller and of the called node, or neither', () => {
    expect(identityOf(identityMetadata(call))).toMatchObject({ uuid: other, toUuid: uuid });
    expect(identityOf(identityMetadata({ ...call, uuid: '', toUuid: '' }))).toMatchObject({ uuid: '', toUuid: '' });
    const forged = identityMetadata(call);
    forged.set('golog-to-uuid', '../etc');
    expect(identityOf(forged)).toBeUndefined();
  });
});
