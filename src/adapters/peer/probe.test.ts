import { once } from 'node:events';
import { createServer } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '../memory/manual-clock.js';
import { probe, type ProbeAnswer, probeAnswerOf } from './probe.js';

const withCode = (code: string) => Object.assign(new Error(code), { code });
/** As Node makes it of the errors of all addresses of a host: with the code of the first. */
const ofAll = (...codes: string[]) => Object.assign(new AggregateError(codes.map(withCode)), { code: codes[0] });

describe('probe', () => {
  it('tells a port where a process listens from one where none does', async () => {
    const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const rpcAddr = `127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
    const ask = (): Promise<ProbeAnswer> =>
      new Promise((resolve) => void probe(rpcAddr, 1_000, new ManualClock(), resolve));
    expect(await ask()).toBe('accepted');
    server.close();
    await once(server, 'close');
    expect(await ask()).toBe('refused');
  });

  it.each([
    [withCode('ECONNREFUSED'), 'refused'],
    [withCode('EHOSTUNREACH'), 'silent'],
    [ofAll('ECONNREFUSED', 'ECONNREFUSED'), 'refused'],
    [ofAll('ECONNREFUSED', 'ETIMEDOUT'), 'silent'],
    [ofAll('ETIMEDOUT', 'ECONNREFUSED'), 'silent'],
  ])('takes a process for ended only if all addresses of its host refuse: %#', (error, answer) => {
    expect(probeAnswerOf(error)).toBe(answer);
  });
});
