import { relative, resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { root } from '../foundation/checkout.js';
import { playFile, scenarioFiles } from './play.js';

const directory = resolve(root, '../shared/testdata/etcd-raft');
const files = scenarioFiles(directory);

describe('the scenarios next to the checkout', () => {
  if (files === undefined) {
    it.skip('data absent: ../shared/testdata/etcd-raft', () => {});
    return;
  }
  it('exist', () => {
    expect(files.length).toBeGreaterThan(0);
  });
  it.each(files.map((file) => relative(directory, file)))('%s', (name) => {
    expect(playFile(resolve(directory, name))).toBe('');
  });
});
