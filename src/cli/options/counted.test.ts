import { expect, it } from '@jest/globals';
import { spanText } from '../../client/index.js';
import { bytesText, counted, offsetsText } from './counted.js';

it('gives every number its unit', () => {
  expect([0, 1, 1_023, 1_024, 262_144, 1_610_612_736, 2 ** 50].map(bytesText)).toEqual([
    '0 B',
    '1 B',
    '1023 B',
    '1 KiB',
    '256 KiB',
    '1.5 GiB',
    '1024 TiB',
  ]);
  expect([0, 999, 1_000, 31_999, 119_999, 120_000, 7_200_000].map(spanText)).toEqual([
    '0 ms',
    '999 ms',
    '1 s',
    '31 s',
    '119 s',
    '2 min',
    '2 h',
  ]);
  expect([counted(0, 'record'), counted(1, 'record'), counted(2, 'batch')]).toEqual([
    '0 records',
    '1 record',
    '2 batches',
  ]);
  expect([offsetsText(0, 10), offsetsText(5, 5), offsetsText(undefined, 3)]).toEqual(['0 to 9', 'none', '? to 2']);
});
