import { describe, expect, it } from '@jest/globals';
import { connectionLimits, descriptorLimit } from './connection-limits.js';

describe('F13: the limits on connections', () => {
  it.each([
    [Infinity, 4_096, 1_024],
    [20_000, 4_096, 1_024],
    [1_024, 256, 128],
    [256, 32, 16],
    [1, 1, 1],
  ])('of a process with %d descriptors are %d, and %d for one address', (descriptors, all, ofOne) => {
    expect(connectionLimits(descriptors)).toEqual({ connectionsMax: all, connectionsPerAddressMax: ofOne });
  });

  it('leave descriptors for files', () => {
    for (let descriptors = 194; descriptors < 10_000; descriptors++)
      expect(2 * connectionLimits(descriptors).connectionsMax).toBeLessThanOrEqual(descriptors - 192);
    expect(descriptorLimit()).toBeGreaterThan(0);
  });
});
