import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { tell } from '../cluster/deadline.js';
import { compile, Scratch, ServerProcess } from '../end-to-end/golog-process.js';
import { goEnvironment as env, goExample as example, noGoBecause } from './go-toolchain.js';

const without = noGoBecause();
if (without !== undefined) tell(`the Go client is skipped: ${without}`);

/** A first build compiles all of grpc-go. */
jest.setTimeout(600_000);

const scratch = new Scratch();
const run = async (command: string, ...args: string[]): Promise<string> =>
  (await promisify(execFile)(command, args, { cwd: example, env })).stdout;

function filesBelow(folder: string): [path: string, text: string][] {
  const paths = (readdirSync(folder, { recursive: true }) as string[]).sort();
  const files = paths.filter((path) => statSync(join(folder, path)).isFile());
  return files.map((path) => [path, readFileSync(join(folder, path), 'utf8')]);
}

(without === undefined ? describe : describe.skip)('the Go client of examples/go', () => {
  beforeAll(compile);
  afterAll(() => scratch.remove());

  it('produces and consumes over each method of log.v1.Log', async () => {
    const client = scratch.file('client');
    await run('go', 'build', '-o', client, '.');
    const server = await ServerProcess.start(scratch.file('data'), undefined, ['--node-name', 'n1']);
    try {
      const lines = ['server n1 at ADDR, leader: true', 'produced and consumed "one" at offset 0'];
      const streamed = ['two', 'three', 'four'].map((value, index) => `produced "${value}" at offset ${index + 1}`);
      const read = ['one', 'two', 'three', 'four'].map((value, offset) => `consumed "${value}" at offset ${offset}`);
      const printed = await run(client, '-addr', server.rpcAddr);
      expect(printed.replace(server.rpcAddr, 'ADDR').trimEnd().split('\n')).toEqual([...lines, ...streamed, ...read]);
    } finally {
      expect(await server.stop()).toBe(0);
    }
  });

  it('is formatted, vetted, and generated from the protos as they are', async () => {
    expect(await run('gofmt', '-l', '.')).toBe('');
    await run('go', 'vet', './...');
    const fresh = scratch.folder('generated');
    await run('./generate.sh', fresh);
    expect(filesBelow(join(fresh, 'api'))).toEqual(filesBelow(join(example, 'api')));
  });
});
