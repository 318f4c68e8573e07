import { expect, it } from '@jest/globals';
import { descriptorReserve } from './descriptor-reserve.js';

it.each(['EMFILE', 'ENFILE'])(
  'F13: opening a file after %s uses the descriptors that are kept, then waits',
  async (code) => {
    let exhausted = 0;
    descriptorReserve.onExhausted = () => (exhausted += 1);
    descriptorReserve.keep(2);
    let failures = 4;
    const opened = await descriptorReserve.use(async () => {
      if (failures-- > 0) throw Object.assign(new Error(code), { code });
      return 'opened';
    });
    descriptorReserve.keep(0);
    expect([opened, exhausted]).toEqual(['opened', 4]);
  },
);

it('another error of the system is not retried', async () => {
  const open = (): Promise<void> => Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' }));
  await expect(descriptorReserve.use(open)).rejects.toThrow('EIO');
});
