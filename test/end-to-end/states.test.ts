import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { freePorts } from '../cluster/free-ports.js';
import { hasLogged, loggedLines } from '../logging/logged-lines.js';
import { compile, runGolog, Scratch, ServerProcess } from './golog-process.js';

const scratch = new Scratch();
beforeAll(compile, 120_000);
afterAll(() => scratch.remove());

interface Answer {
  readonly code: number;
  readonly status: string;
  readonly problem?: string;
}

async function readyz(httpAddr: string, query = ''): Promise<Answer> {
  const response = await fetch(`http://${httpAddr}/readyz${query}`);
  return { code: response.status, ...((await response.json()) as Omit<Answer, 'code'>) };
}

/** Asks until the node answers in this state. */
async function becomes(httpAddr: string, state: string): Promise<Answer> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const answer = await readyz(httpAddr).catch((error: unknown) => error);
    if ((answer as Answer).status === state) return answer as Answer;
    if (Date.now() > deadline) throw new Error(`never ${state}: ${JSON.stringify(answer)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const healthz = async (httpAddr: string): Promise<number> => (await fetch(`http://${httpAddr}/healthz`)).status;
const statusOf = (addr: string, ...flags: string[]): ReturnType<typeof runGolog> =>
  runGolog(['cluster', 'status', '--addr', addr, ...flags]);

it('a cluster that loses its leader is not ready, keeps the latch, and exits with 5: F24', async () => {
  const names = ['n1', 'n2', 'n3'];
  const first = await ServerProcess.start(scratch.file('n1'), undefined, ['--node-name', 'n1', '--bootstrap']);
  const joining = ['--start-join-addrs', first.gossipAddr];
  const others = await Promise.all(
    names.slice(1).map((name) => ServerProcess.start(scratch.file(name), undefined, ['--node-name', name, ...joining])),
  );
  for (const { httpAddr } of [first, ...others])
    expect(await becomes(httpAddr, 'ready')).toMatchObject({ code: 200, status: 'ready' });
  expect((await statusOf(first.rpcAddr)).code).toBe(0);

  for (const other of others) await other.killNine();
  const { code, problem } = await becomes(first.httpAddr, 'no-leader');
  expect([code, await healthz(first.httpAddr)]).toEqual([503, 200]);
  expect(problem).toMatch(/^no(?: leader|thing commits); /);
  const latched = await readyz(first.httpAddr, '?latched');
  expect(latched).toMatchObject({ code: 200, status: 'ready', problem: expect.any(String) });
  for (const flags of [[], ['--local'], ['--json']]) {
    const status = await statusOf(first.rpcAddr, ...flags);
    expect([status.code, status.stdout]).toEqual([
      5,
      expect.stringMatching(/1 of 3 voters reachable from here, need 2/),
    ]);
  }
  const impatient = ['--addr', first.rpcAddr, '--reconnect-timeout', '1s'];
  const refused = await runGolog(['produce', ...impatient], 'x\n');
  expect(refused).toMatchObject({ code: 3, stdout: expect.stringMatching(/^0 records/) });
  expect(refused.stderr).toMatch(/; "golog cluster status" says why\n {2}nothing was appended\n$/);
  const change = await runGolog(['cluster', 'set', 'retention-age', '30d', '--addr', first.rpcAddr]);
  expect([change.code, change.stderr]).toEqual([3, expect.stringMatching(/; "golog cluster status" says why\n$/)]);
  const unconfirmed = await runGolog(['consume', ...impatient]);
  expect([unconfirmed.code, unconfirmed.stderr]).toEqual([0, expect.stringContaining('printing what is known')]);

  await first.until(
    'it logged it',
    ({ stderr }) => loggedLines(stderr, 'readiness_changed').at(-1)?.state === 'no-leader' || undefined,
  );
  expect(await first.stop()).toBe(0);

  // The latch is of the process: after a restart the node has to be ready once again.
  const again = await ServerProcess.start(scratch.file('n1'), first, ['--node-name', 'n1']);
  const waiting = await becomes(again.httpAddr, 'unvouched');
  expect(await readyz(again.httpAddr, '?latched')).toMatchObject({ code: 503, status: 'unvouched' });
  expect([waiting.code, waiting.problem]).toEqual([503, expect.stringMatching(/no answer from n2, n3/)]);
  expect((await statusOf(again.rpcAddr)).code).toBe(5);
  const back = await Promise.all(
    others.map((other, i) => ServerProcess.start(scratch.file(names[i + 1]), other, ['--node-name', names[i + 1]])),
  );
  for (const { httpAddr } of [again, ...back]) await becomes(httpAddr, 'ready');
  for (const server of [again, ...back]) expect(await server.stop()).toBe(0);
}, 120_000);

it('a node that waits to join is alive and not ready, and says why', async () => {
  const [rpcPort, httpPort] = await freePorts(2);
  const waits = ['--http-port', String(httpPort), '--start-join-addrs', '127.0.0.1:1'];
  const server = ServerProcess.spawn(scratch.file('waits'), String(rpcPort), waits);
  const httpAddr = `127.0.0.1:${httpPort}`;
  const answer = await becomes(httpAddr, 'joining');
  expect(answer).toEqual({
    code: 503,
    status: 'joining',
    problem: expect.stringMatching(/^this node is starting and waits/),
  });
  expect([(await readyz(httpAddr, '?latched')).code, await healthz(httpAddr)]).toEqual([503, 200]);
  const status = await statusOf(`127.0.0.1:${rpcPort}`);
  expect([status.code, status.stderr]).toEqual([
    3,
    expect.stringMatching(/this node is starting and waits(?!.*says why)/),
  ]);
  expect(hasLogged(server.stderr, 'no_node_known')).toBe(true);
  expect(await server.stop()).toBe(0);
}, 60_000);
