import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { LogClient } from '../../src/client/index.js';
import { eventually, generousMs, tell } from '../cluster/deadline.js';
import { Appender } from '../cluster/load.js';
import { hasLogged } from '../logging/logged-lines.js';
import { FakeClock, withoutFakeClock } from './fake-clock.js';
import { compile, Scratch, ServerProcess } from './golog-process.js';

const yearSeconds = 365 * 86_400;
const ageMs = 8_000;

if (withoutFakeClock !== undefined) tell(`clocks that jump are skipped: ${withoutFakeClock}`);

(withoutFakeClock === undefined ? describe : describe.skip)(
  'a node whose clock was a year ahead for one record',
  () => {
    let scratch: Scratch;
    let clock: FakeClock;
    let server: ServerProcess;
    let client: LogClient;
    let appender: Appender;

    beforeAll(compile, 120_000);
    beforeEach(() => {
      scratch = new Scratch();
      clock = new FakeClock(scratch.file('clock'));
    });
    afterEach(async () => {
      client.close();
      appender.close();
      await server.killNine();
      FakeClock.forget(server.child.pid ?? 0);
      scratch.remove();
    });

    async function start(): Promise<void> {
      const args = ['--bootstrap', '--retention-age', `${ageMs}ms`];
      server = await ServerProcess.spawn(scratch.file('data'), '0', args, { through: clock.through }).served();
      client = LogClient.connect(server.rpcAddr);
      appender = new Appender(server.rpcAddr);
    }

    async function append(): Promise<number> {
      const outcome = await appender.append(['x'], generousMs);
      if (outcome.kind !== 'acknowledged') throw outcome.error;
      return outcome.baseOffset;
    }

    /** Appends until the log starts after the offset. */
    async function expectRemoved(offset: number): Promise<void> {
      await eventually(
        `the removal of offset ${offset}`,
        async () => {
          await append();
          await delay(200);
          return (await client.info()).logStartOffset > offset ? true : undefined;
        },
        60_000,
      );
    }

    it('removes that record and later ones when they are too old (kafka #19137)', async () => {
      await start();
      await append();
      clock.setAhead(yearSeconds);
      const wrong = await append();
      clock.setAhead(0);
      await expectRemoved(wrong + 5);
    }, 120_000);

    it('removes them as well if it started with that clock, and says what is wrong', async () => {
      clock.setAhead(yearSeconds);
      await start();
      const wrong = await append();
      clock.setAhead(0);
      await expectRemoved(wrong + 5);
      expect(hasLogged(server.stderr, 'log_time_ahead')).toBe(true);
      expect(hasLogged(server.stderr, 'append_time_ahead')).toBe(true);
      expect(hasLogged(server.stderr, 'wall_clock_differs')).toBe(true);
    }, 120_000);
  },
);
