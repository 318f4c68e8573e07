import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { FaultyDirectory } from '../memory/faulty-directory.js';
import { ManualClock } from '../memory/manual-clock.js';
import { ReadOnlyDirectoryError } from '../../domain/log/directory.js';
import { openDataDirectory, type FileDataDirectory } from './data-directory.js';
import { DataDirectoryError, problemOfCode, type DataDirectoryProblem } from './data-directory-error.js';
import { FileOperationError } from './errors.js';
import { formatIdentity, newIdentity, readIdentity, writeIdentity } from './node-identity.js';

let scratch: string;
let path: string;
beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'golog-data-'));
  path = join(scratch, 'data');
});
afterEach(() => rm(scratch, { recursive: true }));

async function problemOf(opening: Promise<FileDataDirectory>): Promise<DataDirectoryProblem> {
  const error: unknown = await opening.then(
    (directory) => directory.close().then(() => 'it opened'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof DataDirectoryError)) throw error;
  expect(error.message).toContain(error.path);
  return error.problem;
}

/** Writes something into every part, as a node does. */
async function fill(directory: FileDataDirectory): Promise<void> {
  await (await directory.raft.create('hard-state')).close();
  await (await directory.log.create('00000000000000000000.store')).close();
}

async function makeUsed(): Promise<{ nodeId: string; logId: Uint8Array }> {
  const directory = await openDataDirectory(path, { create: true });
  await fill(directory);
  await directory.close();
  return { nodeId: directory.nodeId, logId: directory.logId };
}

describe('openDataDirectory', () => {
  it('creates the directory and its parents, readable by the owner only', async () => {
    path = join(scratch, 'not', 'there', 'yet');
    const directory = await openDataDirectory(path, { create: true });
    expect((await readdir(path)).sort()).toEqual(['LOCK', 'logs', 'node.id', 'raft']);
    expect((await stat(path)).mode & 0o777).toBe(0o700);
    expect((await stat(join(path, 'node.id'))).mode & 0o777).toBe(0o600);
    expect(directory.logId).toHaveLength(16);
    expect(directory.raft.path).toBe(join(path, 'raft'));
    expect(directory.log.path).toBe(join(path, 'logs', 'default'));
    await directory.close();
  });

  it('creates it while others are created concurrently under the same parents', async () => {
    const paths = Array.from({ length: 8 }, (_, number) => join(scratch, 'not', 'there', 'yet', `n${number}`));
    const directories = await Promise.all(paths.map((each) => openDataDirectory(each, { create: true })));
    expect(new Set(directories.map(({ nodeId }) => nodeId)).size).toBe(paths.length);
    for (const directory of directories) await directory.close();
  });

  const itOnLinux = process.platform === 'linux' ? it : it.skip; // uses /proc
  itOnLinux('says why the directory cannot be created, instead of retrying forever', async () => {
    const attempts = ['/proc/golog/data', join(scratch, 'x'.repeat(300)), join(scratch, 'x'.repeat(300), 'data')];
    const problems = await Promise.all(attempts.map((each) => problemOf(openDataDirectory(each, { create: true }))));
    expect(problems).toEqual(['ENOENT', 'ENAMETOOLONG', 'ENAMETOOLONG'].map((code) => ({ kind: 'not created', code })));
  });

  it('finds the same identity again, and a different one in another directory', async () => {
    const first = await makeUsed();
    const again = await openDataDirectory(path, { create: true });
    expect({ nodeId: again.nodeId, logId: again.logId }).toEqual(first);
    await again.close();
    const other = await openDataDirectory(join(scratch, 'other'), { create: true });
    expect(other.nodeId).not.toBe(first.nodeId);
    expect(other.logId).not.toEqual(first.logId);
    await other.close();
  });

  it('does not create a directory unless asked to', async () => {
    expect(await problemOf(openDataDirectory(path, { create: false }))).toEqual({ kind: 'missing' });
    expect(await problemOf(openDataDirectory(path, { create: true, readOnly: true }))).toEqual({ kind: 'missing' });
    await mkdir(path);
    expect(await problemOf(openDataDirectory(path, { create: false }))).toEqual({ kind: 'missing' });
    expect(await problemOf(openDataDirectory(path, { create: false, readOnly: true }))).toEqual({ kind: 'missing' });
  });

  it('rejects a file, and a path through a file', async () => {
    await writeFile(path, 'I am a file');
    expect(await problemOf(openDataDirectory(path, { create: true }))).toEqual({
      kind: 'not a directory',
      blockedBy: path,
    });
    expect(await problemOf(openDataDirectory(join(path, 'a', 'b'), { create: true }))).toEqual({
      kind: 'not a directory',
      blockedBy: path,
    });
    expect(await readFile(path, 'utf8')).toBe('I am a file');
  });

  it('rejects a future format', async () => {
    await makeUsed();
    await writeFile(join(path, 'node.id'), JSON.stringify({ format: 7, whatever: true }));
    expect(await problemOf(openDataDirectory(path, { create: true }))).toEqual({
      kind: 'other version',
      found: 7,
      known: 1,
    });
  });

  const good = formatIdentity({ ...newIdentity(), nodeId: '11111111-2222-4333-8444-555555555555' });
  it.each([
    ['nothing', '', 'it is empty'],
    ['zeros, as a lost write leaves them', '\0'.repeat(200), 'it is not JSON'],
    ['a cut-off file', good.slice(0, 40), 'it is not JSON'],
    ['another type', '[]', '"format" is missing or not a version number'],
    ['no version', '{}', '"format" is missing or not a version number'],
    ['version 0', '{"format":0}', '"format" is missing or not a version number'],
    ['an invalid node id', good.replace('11111111', '1111111g'), '"nodeId" is missing or not a UUID'],
    ['no log id', good.replace('"logId"', '"blogId"'), '"logId" is missing or not a UUID'],
    ['an invalid flag', good.replace('false', '"no"'), '"hasData" is missing or not true or false'],
    ['a digit that changed', good.replace('11111111', '11111112'), '"checksum" does not match the other fields'],
    ['a flag that changed', good.replace('false', 'true'), '"checksum" does not match the other fields'],
  ])('rejects a node.id with %s', async (_what, contents, detail) => {
    await makeUsed();
    await writeFile(join(path, 'node.id'), contents);
    expect(await problemOf(openDataDirectory(path, { create: true }))).toEqual({
      kind: 'corrupt identity',
      file: 'node.id',
      detail,
    });
    expect(await readFile(join(path, 'node.id'), 'utf8')).toBe(contents);
  });

  it('rejects data without a node.id, and creates none', async () => {
    await makeUsed();
    await rm(join(path, 'node.id'));
    for (const readOnly of [false, true])
      expect(await problemOf(openDataDirectory(path, { create: true, readOnly }))).toEqual({
        kind: 'unknown origin',
        found: ['raft', 'logs/default'],
      });
    expect(await readdir(path)).not.toContain('node.id');
  });

  it.each([
    ['raft', ['raft']],
    ['logs', ['logs/default']],
  ])('rejects a node.id whose %s was emptied', async (part, empty) => {
    const { nodeId } = await makeUsed();
    await rename(join(path, part), join(scratch, 'elsewhere'));
    expect(await problemOf(openDataDirectory(path, { create: true }))).toEqual({ kind: 'emptied', nodeId, empty });
  });

  it('says how to rejoin if the state cannot be trusted', async () => {
    await makeUsed();
    await rm(join(path, 'node.id'));
    await expect(openDataDirectory(path, { create: true })).rejects.toThrow(/rejoin the cluster as a new member/);
  });

  it('completes a first start that was interrupted anywhere', async () => {
    const whole = await openDataDirectory(path, { create: true });
    await whole.close();
    for (const missing of [['logs/default'], ['logs/default', 'logs'], ['logs/default', 'logs', 'raft']]) {
      for (const part of missing) await rm(join(path, part), { recursive: true, force: true });
      await writeFile(join(path, 'node.id.tmp'), 'half writ');
      const again = await openDataDirectory(path, { create: true });
      expect(again.nodeId).toBe(whole.nodeId);
      await again.close();
    }
    await rm(join(path, 'node.id'));
    await (await openDataDirectory(path, { create: true })).close();
  });

  it('keeps its identity when the first node was killed after it wrote data', async () => {
    const killed = await openDataDirectory(path, { create: true });
    await fill(killed);
    const identity = await readFile(join(path, 'node.id'), 'utf8');
    await killed.close();
    await writeFile(join(path, 'node.id'), identity); // as before the clean shutdown
    const again = await openDataDirectory(path, { create: true });
    expect(again.nodeId).toBe(killed.nodeId);
    expect(await readFile(join(path, 'node.id'), 'utf8')).toContain('"hasData": true');
    await again.close();
  });

  it('sets the log aside, and an empty log does not keep it from opening after that', async () => {
    const { nodeId, logId } = await makeUsed();
    for (const name of ['before', 'before-2']) {
      const directory = await openDataDirectory(path, { create: false });
      expect(await directory.setLogAside('before')).toBe(join(path, 'logs', name));
      expect(await directory.log.list()).toEqual([]);
      expect(await readdir(join(path, 'logs', name))).toEqual(['00000000000000000000.store']);
      await directory.close();
      const again = await openDataDirectory(path, { create: false });
      expect([again.nodeId, again.logId]).toEqual([nodeId, logId]);
      await (await again.log.create('00000000000000000000.store')).close();
      await again.close();
    }
    // From now on an empty log is one that was lost.
    await rm(join(path, 'logs', 'default', '00000000000000000000.store'));
    expect(await problemOf(openDataDirectory(path, { create: false }))).toMatchObject({ kind: 'emptied' });
  });

  it('opens read-only without changing anything, even while a node runs', async () => {
    const { nodeId } = await makeUsed();
    const before = (await readdir(path, { recursive: true })).sort();
    const quiet = await openDataDirectory(path, { create: false, readOnly: true });
    expect(quiet.holder).toBeUndefined();
    const node = await openDataDirectory(path, { create: true });
    const busy = await openDataDirectory(path, { create: false, readOnly: true });
    expect(busy.holder).toEqual({ pid: process.pid });
    expect(busy.nodeId).toBe(nodeId);
    await expect(busy.log.create('x')).rejects.toBeInstanceOf(ReadOnlyDirectoryError);
    await expect(busy.raft.remove('hard-state')).rejects.toBeInstanceOf(ReadOnlyDirectoryError);
    await expect(busy.raft.rename('hard-state', 'y')).rejects.toBeInstanceOf(ReadOnlyDirectoryError);
    await expect(busy.raft.subdirectory('new')).rejects.toMatchObject({ name: 'FileNotFoundError' });
    const file = await busy.raft.open('hard-state');
    await expect(file.write(0, [Uint8Array.of(1)])).rejects.toBeInstanceOf(ReadOnlyDirectoryError);
    await expect(file.truncate(0)).rejects.toBeInstanceOf(ReadOnlyDirectoryError);
    await file.close();
    await node.close();
    expect((await readdir(path, { recursive: true })).sort()).toEqual(before);
  });
});

async function replaceByCopy(file: string): Promise<void> {
  await copyFile(file, `${file}.copy`);
  await rename(`${file}.copy`, file);
}

describe('the lock of a data directory', () => {
  let holder: ChildProcess | undefined;
  afterEach(async () => {
    if (holder && holder.exitCode === null && holder.signalCode === null) {
      holder.kill('SIGKILL');
      await once(holder, 'exit');
    }
    holder = undefined;
  });

  /** Starts another process that locks the file as golog does, and returns whether it could. */
  async function otherProcess(): Promise<string> {
    const script = `
      const fs = require('node:fs');
      const fd = fs.openSync(process.argv[1], fs.constants.O_RDWR | fs.constants.O_CREAT);
      const locked = require('fs-native-extensions').tryLock(fd);
      if (locked) fs.writeSync(fd, process.pid + '\\n', 0);
      process.stdout.write(locked ? 'locked' : 'refused');
      setInterval(() => {}, 1000);`;
    const child = (holder = spawn(process.execPath, ['-e', script, join(path, 'LOCK')], {
      stdio: ['ignore', 'pipe', 'inherit'],
    }));
    const [answer] = (await once(child.stdout, 'data')) as [Buffer];
    return answer.toString();
  }

  it('excludes a second open in the same process, until closed', async () => {
    const first = await openDataDirectory(path, { create: true });
    expect(await problemOf(openDataDirectory(path, { create: true }))).toEqual({ kind: 'locked', pid: process.pid });
    await first.close();
    await first.close();
    await (await openDataDirectory(path, { create: true })).close();
  });

  it('excludes another process', async () => {
    const first = await openDataDirectory(path, { create: true });
    expect(await otherProcess()).toBe('refused');
    await first.close();
  });

  it('T12: excludes a second open after LOCK was removed, by the lock on the hard state', async () => {
    await makeUsed();
    const first = await openDataDirectory(path, { create: true });
    await rm(join(path, 'LOCK'));
    expect(await problemOf(openDataDirectory(path, { create: true }))).toEqual({ kind: 'locked', pid: undefined });
    await first.close();
    await (await openDataDirectory(path, { create: true })).close();
  });

  it.each([
    ['LOCK', 'removed', () => rm(join(path, 'LOCK'))],
    ['LOCK', 'replaced', () => replaceByCopy(join(path, 'LOCK'))],
    ['raft/hard-state', 'removed', () => rm(join(path, 'raft', 'hard-state'))],
    ['raft/hard-state', 'replaced', () => replaceByCopy(join(path, 'raft', 'hard-state'))],
    ['raft/hard-state', 'moved away with its directory', () => rename(join(path, 'raft'), join(scratch, 'raft'))],
  ])('T12: is lost, and its holder told, when %s is %s', async (file, _what, act) => {
    await makeUsed();
    const clock = new ManualClock();
    let onLost: (error: unknown) => void = () => undefined;
    const lost = new Promise((resolve) => (onLost = resolve));
    const directory = await openDataDirectory(path, { create: true, watch: { clock, onLost } });
    await act();
    clock.advance(1_000);
    expect(await lost).toMatchObject({ problem: { kind: 'replaced', file } });
    await mkdir(join(path, 'raft'), { recursive: true });
    await directory.close();
  });

  it('T12: covers a hard state that was created after the directory was opened', async () => {
    const clock = new ManualClock();
    let onLost: (error: unknown) => void = () => undefined;
    const lost = new Promise((resolve) => (onLost = resolve));
    const directory = await openDataDirectory(path, { create: true, watch: { clock, onLost } });
    await fill(directory);
    clock.advance(1_000);
    // Each look arms the next one when it has ended.
    while (clock.pending === 0) await new Promise((resolve) => setImmediate(resolve));
    await rm(join(path, 'raft', 'hard-state'));
    clock.advance(1_000);
    expect(await lost).toMatchObject({ problem: { kind: 'replaced', file: 'raft/hard-state' } });
    await directory.close();
  });

  it('is dropped by the kernel when its holder is killed with -9', async () => {
    await mkdir(path);
    expect(await otherProcess()).toBe('locked');
    expect(await problemOf(openDataDirectory(path, { create: true }))).toEqual({ kind: 'locked', pid: holder?.pid });
    holder?.kill('SIGKILL');
    if (holder) await once(holder, 'exit');
    await (await openDataDirectory(path, { create: true })).close();
  });

  it('is free if only the file remains', async () => {
    await mkdir(path);
    await writeFile(join(path, 'LOCK'), '99999999\n');
    await (await openDataDirectory(path, { create: true })).close();
  });

  it('is released when opening fails', async () => {
    await makeUsed();
    const identity = await readFile(join(path, 'node.id'));
    await writeFile(join(path, 'node.id'), 'broken');
    expect((await problemOf(openDataDirectory(path, { create: true }))).kind).toBe('corrupt identity');
    await writeFile(join(path, 'node.id'), identity);
    await (await openDataDirectory(path, { create: true })).close();
  });
});

describe('a data directory without permissions', () => {
  it.each([
    ['EROFS', 'write', { kind: 'read-only', code: 'EROFS' }],
    ['EACCES', 'write', { kind: 'read-only', code: 'EACCES' }],
    ['EPERM', 'write', { kind: 'read-only', code: 'EPERM' }],
    ['EACCES', 'read', { kind: 'not accessible', code: 'EACCES' }],
    ['EIO', 'write', undefined],
    [undefined, 'write', undefined],
  ] as const)('%s on %s', (code, attempted, problem) => {
    expect(problemOfCode(code, attempted)).toEqual(problem);
  });

  // Permission bits do not apply to root, and tests often run as root; the immutable flag does, if it is supported.
  const immutableWorks = ((): boolean => {
    const probe = mkdtempSync(join(tmpdir(), 'golog-immutable-'));
    try {
      execFileSync('chattr', ['+i', probe], { stdio: 'ignore' });
      execFileSync('chattr', ['-i', probe], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    } finally {
      rmSync(probe, { recursive: true });
    }
  })();
  const itOnImmutable = immutableWorks ? it : it.skip;
  const whySkipped = immutableWorks ? '' : ' (skipped: chattr +i does not work here)';

  itOnImmutable(`is reported when it cannot be written to${whySkipped}`, async () => {
    await mkdir(path);
    execFileSync('chattr', ['+i', path]);
    try {
      expect((await problemOf(openDataDirectory(path, { create: true }))).kind).toBe('read-only');
      expect((await problemOf(openDataDirectory(join(path, 'below'), { create: true }))).kind).toBe('read-only');
    } finally {
      execFileSync('chattr', ['-i', path]);
    }
  });

  it('names the file of a system error', () => {
    const cause = Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' });
    const error = new FileOperationError('sync', '/data/00.store', cause);
    expect(error).toMatchObject({
      code: 'EIO',
      cause,
      message: 'cannot sync /data/00.store: EIO: i/o error, fdatasync',
    });
  });
});

describe('readIdentity', () => {
  it('says of a file that the disk cannot read that this is what is wrong with it', async () => {
    const directory = FaultyDirectory.create();
    const identity = newIdentity();
    await writeIdentity(directory, identity);
    directory.inject({ operation: 'read', fileName: 'node.id' });
    expect(await readIdentity(directory)).toEqual({ kind: 'found', identity });
    directory.spoil('node.id', 0, 1);
    expect(await readIdentity(directory)).toEqual({ kind: 'corrupt', detail: 'the disk cannot read it' });
  });
});
