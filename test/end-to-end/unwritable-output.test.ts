import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { compile, runGolog, Scratch, ServerProcess } from './golog-process.js';

const isLinux = process.platform === 'linux';
if (!isLinux) console.warn('skipped: /dev/full and /proc are of Linux');

const scratch = new Scratch();
let server: ServerProcess;

(isLinux ? describe : describe.skip)('a command', () => {
  beforeAll(async () => {
    compile();
    server = await ServerProcess.start(scratch.file('data'));
  }, 120_000);
  afterAll(async () => {
    await server.stop();
    scratch.remove();
  });

  it.each([
    ['produce', '--addr'],
    ['consume', '--addr'],
    ['servers', '--addr'],
    ['cluster status', '--addr'],
    ['cluster get', '--addr'],
    ['cluster set retention-age 30d', '--addr'],
    ['verify', ''],
    ['--help', ''],
  ])(
    'whose output is lost fails, and says so: golog %s > /dev/full',
    async (command, addr) => {
      const target = addr === '' ? (command === 'verify' ? [scratch.file('data')] : []) : [addr, server.rpcAddr];
      const { code, stderr } = await runGolog([...command.split(' '), ...target], 'x\n', '/dev/full');
      expect([code, stderr]).toEqual([1, expect.stringMatching(/^golog[ a-z]*: [^\n]*ENOSPC[^\n]*\n/)]);
    },
    60_000,
  );

  it('that cannot make its directory fails, instead of trying for ever', async () => {
    for (const command of [['dev'], ['certs', 'init']]) {
      const { code, stderr } = await runGolog([...command, '--dir', '/proc/golog/new']);
      expect([code, stderr]).toEqual([1, expect.stringMatching(/ENOENT.*\/proc\/golog/)]);
    }
  }, 120_000);
});
