import { describe, expect, it } from '@jest/globals';
import { entriesSize, entry, entrySize, limitEntriesSize, payloadsSize } from './entry.js';

const bytes = (length: number) => new Uint8Array(length);

describe('entrySize', () => {
  it('always counts term and index, and counts type and data when present', () => {
    expect(entrySize(entry({ term: 1, index: 1 }))).toBe(4);
    expect(entrySize(entry({ term: 1, index: 1, type: 'conf-change-v2' }))).toBe(6);
    expect(entrySize(entry({ term: 1, index: 1, data: bytes(3) }))).toBe(9);
  });

  it('counts longer numbers in full', () => {
    expect(entrySize(entry({ term: 127, index: 128 }))).toBe(5);
    expect(entrySize(entry({ term: 1, index: Number.MAX_SAFE_INTEGER }))).toBe(11);
    expect(entrySize(entry({ term: 1, index: 1, data: bytes(128) }))).toBe(4 + 1 + 2 + 128);
  });
});

describe('limitEntriesSize', () => {
  const entries = [1, 2, 3].map((index) => entry({ term: 1, index, data: bytes(10) }));
  const one = entrySize(entry({ term: 1, index: 1, data: bytes(10) }));

  it('keeps what fits exactly', () => {
    expect(limitEntriesSize(entries, one * 2)).toHaveLength(2);
    expect(limitEntriesSize(entries, one * 2 - 1)).toHaveLength(1);
    expect(limitEntriesSize(entries, entriesSize(entries))).toHaveLength(3);
  });

  it('keeps one entry even when it does not fit', () => {
    expect(limitEntriesSize(entries, 0)).toHaveLength(1);
    expect(limitEntriesSize([], 0)).toHaveLength(0);
  });

  it('does not count like payloadsSize', () => {
    expect(payloadsSize(entries)).toBe(30);
  });
});
