import { expect, it } from '@jest/globals';
import { descriptorReserve } from './descriptor-reserve.js';

it.each(['EMFILE', 'ENFILE'])(
  'F13: opening a file after %s uses the descriptors that are kept, then waits, and says so meanwhile',
  async (code) => {
    const exhausted: boolean[] = [];
    descriptorReserve.onExhausted = () => exhausted.push(descriptorReserve.isExhausted);
    descriptorReserve.keep(2);
    let failures = 5;
    const opened = await descriptorReserve.use(async () => {
      if (failures-- > 0) throw Object.assign(new Error(code), { code });
      return 'opened';
    });
    descriptorReserve.keep(0);
    expect([opened, descriptorReserve.isExhausted]).toEqual(['opened', false]);
    expect(exhausted).toEqual([false, false, false, true, true]);
  },
);

it('another error of the system is not retried', async () => {
  const open = (): Promise<void> => Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' }));
  await expect(descriptorReserve.use(open)).rejects.toThrow('EIO');
});
