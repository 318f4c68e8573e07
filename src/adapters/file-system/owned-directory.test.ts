import { chmod, chown, lchown, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { openDataDirectory } from './data-directory.js';

const isRoot = process.geteuid?.() === 0;
if (!isRoot) console.warn('skipped: only root can give a directory to another user');

describe('A7: a data directory', () => {
  let path: string;
  beforeEach(async () => {
    path = await mkdtemp(join(tmpdir(), 'golog-owned-'));
  });
  afterEach(() => rm(path, { recursive: true }));
  const open = async (): Promise<void> => (await openDataDirectory(path, { create: true })).close();

  it.each([0o777, 0o1777, 0o770, 0o702])('that others can write (mode %o) is refused', async (mode) => {
    await chmod(path, mode);
    await expect(open()).rejects.toMatchObject({ problem: { kind: 'of others', what: 'it' } });
  });

  it.each([0o700, 0o755, 0o750])('that only its owner can write (mode %o) is used', async (mode) => {
    await chmod(path, mode);
    await expect(open()).resolves.toBeUndefined();
  });

  it.each(['raft', 'logs', 'logs/default'])('whose folder %s others can write is refused', async (folder) => {
    await open();
    await chmod(join(path, folder), 0o777);
    await expect(open()).rejects.toMatchObject({ problem: { kind: 'of others', what: folder } });
  });

  (isRoot ? it : it.skip)('of another user is refused by root', async () => {
    await chown(path, 12_345, 12_345);
    await expect(open()).rejects.toMatchObject({ problem: { kind: 'of others', owner: 12_345 } });
  });

  (isRoot ? it.each(['raft', 'logs']) : it.skip.each(['raft', 'logs']))(
    'with a link of another user as %s is refused by root, and nothing is written at its other end',
    async (name) => {
      const target = await mkdtemp(join(tmpdir(), 'golog-owned-'));
      await symlink(target, join(path, name));
      await expect(open()).resolves.toBeUndefined();
      await rm(target, { recursive: true });
      await mkdir(target);
      await lchown(join(path, name), 12_345, 12_345);
      await expect(open()).rejects.toMatchObject({ problem: { kind: 'of others', what: name, owner: 12_345 } });
      expect(await readdir(target)).toEqual([]);
      await rm(target, { recursive: true });
    },
  );

  it.each(['LOCK', 'node.id', 'node.id.tmp'])(
    'with a symbolic link as %s changes nothing at its other end',
    async (name) => {
      const victim = join(path, 'victim');
      await writeFile(victim, 'kept');
      await symlink(victim, join(path, name));
      await open().catch((error: unknown) => {
        expect(error).toMatchObject({ problem: { kind: 'symbolic link' } });
      });
      expect(await readFile(victim, 'utf8')).toBe('kept');
    },
  );
});
