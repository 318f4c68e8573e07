import { describe, expect, it } from '@jest/globals';
import { swappedMember } from './swapped-member.js';

const members = ['n1', 'n2', 'n3'].map((name, i) => ({ id: i + 1, name, uuid: `of-${name}`, rpcAddr: name }));

describe('the owner of a data directory', () => {
  it.each([
    // --node-name, the UUID in the directory, and its owner if the name is that of another member
    ['n1', 'of-n1', undefined],
    ['n1', 'of-n2', 'n2'],
    ['n2', 'of-n1', 'n1'],
    // A member with a new name, and a node that is not a member.
    ['n9', 'of-n2', undefined],
    ['n1', 'of-nobody', undefined],
  ])('is recognized when %s starts on the directory %s', (name, uuid, owner) => {
    expect(swappedMember({ members }, { name, uuid })?.name).toBe(owner);
  });
});
