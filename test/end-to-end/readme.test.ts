import { cpSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { tell } from '../cluster/deadline.js';
import { readText } from '../foundation/checkout.js';
import { noGoBecause } from '../interop/go-toolchain.js';
import { compile, Scratch } from './golog-process.js';
import { type Block, blocksOf, commandsOf, noMachineBecause, Reader, type Terminal } from './readme-reader.js';

const without = noMachineBecause();
if (without !== undefined) tell(`the walk through README is skipped: ${without}`);

/** A first build of the Go example compiles all of grpc-go. */
jest.setTimeout(300_000);

const scratch = new Scratch();
let reader: Reader;

/** What commands that run until Ctrl-C print once they do what README has them for. */
const untilCtrlC: readonly (readonly [command: RegExp, up: RegExp])[] = [
  [/^\.\/run\.sh|^bin\/golog serve/, /"event":"serving"/],
  [/^bin\/golog dev/, /^ready after/m],
  [/^bin\/golog consume .*--follow/, /^ *APPENDIX: How to apply the Apache License/m],
  [/ConsumeStream/, /"value": "[^"]+"/],
];
const upOf = (command: string): RegExp | undefined => untilCtrlC.find(([pattern]) => pattern.test(command))?.[1];

/** Why a command cannot run on this machine, if so: a tool that is neither of golog nor of npm is not installed. */
async function lackOf(command: string): Promise<string | undefined> {
  const [, tool] = /^\(?(\S+)/.exec(command)!;
  if (tool === 'go') return noGoBecause();
  if (tool.includes('/') || (await reader.run(`command -v ${tool}`)).code === 0) return undefined;
  return `${tool} is not installed`;
}

/** Runs a command to its end; its exit code and its output have to be those that README promises. */
async function run(command: string, code = 0): Promise<string> {
  const done = await reader.run(command);
  if (done.code !== code) throw new Error(`${command}\nended with ${done.code} instead of ${code}:\n${done.output}`);
  const [, shown] = /# (\{.*\})$/.exec(command) ?? [];
  if (shown !== undefined) expect(JSON.parse(done.output.slice(done.output.indexOf('{')))).toEqual(JSON.parse(shown));
  return done.output;
}

/** Starts a command that runs until Ctrl-C. */
async function start(command: string): Promise<Terminal> {
  const terminal = reader.start(command);
  await terminal.until(upOf(command)!);
  return terminal;
}

/** Presses Ctrl-C: a server then ends with 0, a reader of the log with 130. */
async function stop(terminal: Terminal): Promise<void> {
  const { command } = terminal;
  const code = await terminal.interrupt();
  if (!command.startsWith('grpcurl'))
    expect([command, code]).toEqual([command, command.startsWith('bin/golog consume') ? 130 : 0]);
}

/** The servers that run, in terminals of their own. */
let serving: Terminal[] = [];

async function stopServers(): Promise<void> {
  for (const terminal of serving) await stop(terminal);
  serving = [];
}

/** Runs the commands of a block in order; those that run until Ctrl-C until they have printed what is expected. */
async function runAll(block: Block): Promise<void> {
  for (const command of commandsOf(block)) {
    const lack = await lackOf(command);
    if (lack !== undefined) tell(`README, "${command}" is skipped: ${lack}`);
    else if (upOf(command) === undefined) await run(command);
    else await stop(await start(command));
  }
}

/** A cluster of three on one machine, whose leader is killed. */
async function killLeader(block: Block): Promise<void> {
  const [dev, produce, consume, kill, status, ...others] = commandsOf(block);
  expect(others).toEqual([]);
  await stopServers();
  const cluster = await start(dev);
  serving.push(cluster);
  await run(produce);
  const follower = await start(consume);
  const [, leader] = await cluster.until(/^(n\d) is leader/m);
  const [, pid] = await cluster.until(new RegExp(`^${leader} is up, pid (\\d+)`, 'm'));
  await run(kill.replace('PID', pid));
  await run(produce);
  await follower.until(/APPENDIX[^]*APPENDIX/);
  await stop(follower);
  expect(await run(status, 5)).toMatch(new RegExp(`^problem: .*${leader} unreachable`, 'm'));
}

/** Three machines, which are three addresses of this one; the address that they share, 127.0.0.1, has no place for HTTP. */
async function separateMachines(block: Block): Promise<void> {
  const [init, key, serve, servers, ...others] = commandsOf(block);
  expect(others).toEqual([]);
  await run(init);
  await run(key);
  const onMachine = (n: number): string =>
    serve
      .replaceAll(/\bn1\b/g, `n${n}`)
      .replace('--bind-addr 10.0.0.1', `--http-addr 10.0.0.${n} --bind-addr 10.0.0.${n}`);
  const nodes = await Promise.all([1, 2, 3].map((n) => start(onMachine(n))));
  const table = await run(servers);
  for (const n of [1, 2, 3]) expect(table).toMatch(new RegExp(`n${n} .*10\\.0\\.0\\.${n}:8400`));
  for (const node of nodes) await stop(node);
}

/** A replica of the cluster that is started again. */
async function replicate(block: Block): Promise<void> {
  await stopServers();
  serving.push(await start('bin/golog dev'));
  await runAll(block);
}

/** Checks a block of TypeScript as strictly as the compiler can, and runs it. */
async function runTypeScript(block: Block, prelude = ''): Promise<string> {
  const name = `block-${block.line}`;
  writeFileSync(`${reader.directory}/${name}.ts`, `${prelude}${block.text}`);
  const options = '--strict --noEmit --skipLibCheck --target es2022 --module nodenext --lib es2022,dom,dom.iterable';
  await run(`npx tsc --ignoreConfig ${options} ${name}.ts`);
  await run(`npx esbuild ${name}.ts --bundle --packages=external --format=esm --outfile=${name}.js`);
  return run(`node ${name}.js`);
}

async function fromBrowser(block: Block): Promise<void> {
  cpSync(`${reader.directory}/src/gen`, `${reader.directory}/gen`, { recursive: true });
  const render = `const render = (batches: readonly unknown[]): void => {
  console.log('%d batches', batches.length);
  process.exit(0);
};
declare const process: { exit(code: number): void };
`;
  expect(await runTypeScript(block, render)).toMatch(/^[1-9]\d* batches/);
}

/** How blocks are walked where running their commands one after the other is not enough, by how they begin. */
const walks: readonly (readonly [start: string, walk: (block: Block) => Promise<void>])[] = [
  ['./run.sh', async ({ text }) => void serving.push(await start(text))],
  ['bin/golog dev', killLeader],
  ['bin/golog certs init', separateMachines],
  ['bin/golog serve --replica', replicate],
  ["import { createClient } from '@connectrpc/connect'", fromBrowser],
  ['import { createContainer, DataDirectory', async (block) => void (await runTypeScript(block))],
];

const blocks = blocksOf(readText('README.md')).filter(({ language }) => language !== '');

(without === undefined ? describe : describe.skip)('README, walked top to bottom on one machine', () => {
  beforeAll(async () => {
    compile();
    reader = await Reader.sitDown(scratch.folder('checkout'), ['10.0.0.1', '10.0.0.2', '10.0.0.3']);
  });
  afterAll(async () => {
    await reader?.leave();
    scratch.remove();
  });

  it.each(blocks.map((block) => [block.line, block.text.split('\n', 1)[0], block] as const))(
    'line %i: %s',
    async (_line, _first, block) => {
      const found = walks.find(([start]) => block.text.startsWith(start));
      await (found?.[1] ?? runAll)(block);
    },
  );

  it('ends with servers that stop at Ctrl-C', stopServers);

  it('knows every block that it walks in a way of its own', () => {
    const unknown = walks.filter(([start]) => !blocks.some(({ text }) => text.startsWith(start)));
    expect(unknown).toEqual([]);
  });
});
