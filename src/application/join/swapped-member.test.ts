import { describe, expect, it } from '@jest/globals';
import { swappedMember } from './swapped-member.js';

const members = ['n1', 'n2', 'n3'].map((name, place) => ({ id: place + 1, name, uuid: `of-${name}`, rpcAddr: name }));

describe('a data directory in the place of another', () => {
  it.each([
    // --node-name, the UUID in the directory; whose directory it is where the two do not fit
    ['n1', 'of-n1', undefined],
    ['n1', 'of-n2', 'n2'],
    ['n2', 'of-n1', 'n1'],
    // A member that is to have another name, and a node that is no member.
    ['n9', 'of-n2', undefined],
    ['n1', 'of-nobody', undefined],
  ])('%s on the directory %s', (name, uuid, owner) => {
    expect(swappedMember({ members }, { name, uuid })?.name).toBe(owner);
  });
});
