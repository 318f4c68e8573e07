import { describe, expect, it } from '@jest/globals';
import { anonymous, type Caller } from './access.js';
import { CallQuota } from './call-quota.js';
import { OverloadedError } from '../errors.js';

const root: Caller = { subject: 'root', certified: true };

describe('a quota of calls', () => {
  it('counts callers with a certificate by name, others by address', () => {
    const quota = new CallQuota({ callsMax: 100, callsReserved: 0, callsPerClientMax: 2 });
    for (let call = 0; call < 2; call += 1) {
      quota.begin(root, `10.0.0.${call}`);
      quota.begin(anonymous, '10.0.0.1');
    }
    expect(() => quota.begin(root, '10.0.0.9')).toThrow(new OverloadedError('calls in flight per client', 2));
    expect(() => quota.begin(anonymous, '10.0.0.1')).toThrow(OverloadedError);
    quota.begin(anonymous, '10.0.0.2');
    quota.begin({ subject: '10.0.0.1', certified: true }, '10.0.0.1');
  });

  it('admits another call once one has ended, even if its end is reported twice', () => {
    const quota = new CallQuota({ callsMax: 100, callsReserved: 0, callsPerClientMax: 2 });
    const end = quota.begin(root, undefined);
    quota.begin(root, undefined);
    end();
    end();
    quota.begin(root, undefined);
    expect(() => quota.begin(root, undefined)).toThrow(OverloadedError);
  });

  it('bounds the calls of all clients together', () => {
    const quota = new CallQuota({ callsMax: 3, callsReserved: 0, callsPerClientMax: 2 });
    const ends = ['a', 'b', 'c'].map((address) => quota.begin(anonymous, address));
    expect(() => quota.begin(anonymous, 'd')).toThrow(new OverloadedError('calls in flight', 3));
    for (const end of ends) end();
    quota.begin(anonymous, 'd');
  });

  it('keeps some for clients that have few', () => {
    const quota = new CallQuota({ callsMax: 40, callsReserved: 20, callsPerClientMax: 40 });
    for (let call = 0; call < 40; call += 1) quota.begin(anonymous, 'greedy');
    expect(() => quota.begin(anonymous, 'greedy')).toThrow(new OverloadedError('calls in flight per client', 40));
    for (let call = 0; call < 16; call += 1) quota.begin(anonymous, 'honest');
    expect(() => quota.begin(anonymous, 'honest')).toThrow(new OverloadedError('calls in flight', 40));
    for (let call = 0; call < 4; call += 1) quota.begin(anonymous, 'late');
    expect(() => quota.begin(anonymous, 'late')).toThrow(OverloadedError);
  });
});
