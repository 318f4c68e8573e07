import { execFile, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  lchownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { compile, runGolog, Scratch, ServerProcess } from '../end-to-end/golog-process.js';
import { loggedLines } from '../logging/logged-lines.js';

const run = promisify(execFile);
const scratch = new Scratch();
beforeAll(compile, 120_000);
afterAll(() => scratch.remove());

const isRoot = process.getuid?.() === 0;
const hasTerminals = spawnSync('script', ['--version']).status === 0;
const nobody = 65_534;
const serve = (dataDir: string, ...flags: string[]) =>
  runGolog([
    'serve',
    '--data-dir',
    dataDir,
    '--rpc-port',
    '0',
    '--http-port',
    '0',
    '--bind-addr',
    '127.0.0.1:0',
    ...flags,
  ]);

describe('A7: a data directory that another user prepared', () => {
  const links = ['node.id', 'LOCK', ...(isRoot ? ['raft', 'logs'] : [])];
  it.each(links)(
    'with a link at %s has nothing written where it leads',
    async (name) => {
      const outside = scratch.folder(`outside-${name}`);
      const file = join(outside, 'file');
      writeFileSync(file, 'as it was');
      const dataDir = scratch.folder(`linked-${name}`);
      const link = join(dataDir, name);
      symlinkSync(name === 'raft' || name === 'logs' ? outside : file, link);
      if (isRoot) lchownSync(link, nobody, nobody);
      const { code, stderr } = await serve(dataDir);
      expect([code, stderr]).toEqual([1, expect.stringContaining(dataDir)]);
      expect(readdirSync(outside)).toEqual(['file']);
      expect(readFileSync(file, 'utf8')).toBe('as it was');
    },
    60_000,
  );

  (isRoot ? it : it.skip)(
    'is refused while that user owns it, or may write to it',
    async () => {
      const owned = scratch.folder('owned');
      chownSync(owned, nobody, nobody);
      const shared = scratch.folder('shared');
      chmodSync(shared, 0o777);
      for (const dataDir of [owned, shared]) {
        const { code, stderr } = await serve(dataDir);
        expect([code, stderr]).toEqual([1, expect.stringContaining('another user could replace files of golog')]);
        expect(readdirSync(dataDir)).toEqual([]);
      }
    },
    60_000,
  );
});

describe('A13: the gossip key', () => {
  const key = Buffer.alloc(32, 7).toString('base64');

  it('is not repeated when it is mistyped', async () => {
    const mistyped = `${key.slice(0, -4)}!!!!`;
    const { code, stderr, stdout } = await serve(scratch.file('mistyped'), '--encrypt', mistyped);
    expect(code).toBe(2);
    expect(stderr + stdout).not.toContain(mistyped.slice(0, 12));
  }, 60_000);

  it('comes from a file whose mode is looked at, and is kept in files that only golog reads', async () => {
    const path = scratch.file('key');
    writeFileSync(path, `${key}\n`, { mode: 0o644 });
    const dataDir = scratch.file('keyed');
    const server = await ServerProcess.start(dataDir, undefined, ['--encrypt-file', path]);
    expect(loggedLines(server.stderr, 'key_file_open_to_others').map((line) => line.path)).toEqual([path]);
    expect(readFileSync(`/proc/${server.child.pid}/cmdline`, 'utf8')).not.toContain(key);
    expect(server.stderr).not.toContain(key);
    expect(await server.stop()).toBe(0);
    mkdirSync(join(dataDir, 'serf'), { recursive: true });
    for (const name of readdirSync(join(dataDir, 'serf')))
      expect([name, statSync(join(dataDir, 'serf', name)).mode & 0o077]).toEqual([name, 0]);
  }, 60_000);
});

describe('A15: escape sequences in a record', () => {
  const record = 'a\x1b[31mb\x1b]0;title\x07c';
  (hasTerminals ? it : it.skip)(
    'reach no terminal, and a file as they are',
    async () => {
      const server = await ServerProcess.start(scratch.file('escapes'));
      const { code } = await runGolog(['produce', '--addr', server.rpcAddr, '--quiet'], `${record}\n`);
      expect(code).toBe(0);
      const consume = ['consume', '--addr', server.rpcAddr];
      expect((await runGolog(consume)).stdout).toBe(`${record}\n`);
      const command = [process.execPath, join(process.cwd(), 'bin/golog'), ...consume]
        .map((part) => `'${part}'`)
        .join(' ');
      const { stdout } = await run('script', ['-qec', command, '/dev/null']);
      expect(stdout).toContain('a\\u{1b}[31mb\\u{1b}]0;title\\u{7}c');
      expect(stdout).not.toContain('\x1b]0;title');
      expect(await server.stop()).toBe(0);
    },
    60_000,
  );
});
