import { Readable } from 'node:stream';
import { expect, it } from '@jest/globals';
import { namedInput } from './named-input.js';

function* failing(): Generator<Buffer> {
  yield Buffer.from('a');
  throw Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' });
}

it.each([
  ['access.log', 'cannot read access.log: EIO: i/o error, read'],
  ['-', 'cannot read standard input: EIO: i/o error, read'],
])('an input (%s) that fails in the middle is named, after what was read of it', async (file, message) => {
  const read: string[] = [];
  const reading = (async () => {
    for await (const chunk of namedInput(Readable.from(failing()), file)) read.push(String(chunk));
  })();
  await expect(reading).rejects.toThrow(message);
  expect(read).toEqual(['a']);
});
