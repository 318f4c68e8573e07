import { constants } from 'node:fs';
import { access, mkdir, readdir, rename, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { DataDirectory } from '../../application/ports/data-directory.js';
import { FileNotFoundError, isNoSpaceError } from '../../domain/log/directory.js';
import { invariant } from '../../domain/log/invariant.js';
import { DataDirectoryError, problemOfCode } from './data-directory-error.js';
import { type ClaimWatch, DirectoryClaim, lockFileName } from './directory-claim.js';
import { lockHolder } from './directory-lock.js';
import { errorCode } from './errors.js';
import { existingAncestor, makeDirectory } from './make-directory.js';
import { NodeDirectory, syncDirectory } from './node-directory.js';
import { assertOwned } from './owned-directory.js';
import {
  identityFileName,
  identityFormat,
  newIdentity,
  readIdentity,
  syncIdentity,
  uuidBytes,
  uuidOfBytes,
  writeIdentity,
  type NodeIdentity,
} from './node-identity.js';

export interface DataDirectoryOptions {
  /** If true, creates a missing directory with its parents and a new identity; otherwise a missing one is an error. */
  readonly create: boolean;
  /**
   * Opens for inspection (verify, dump): changes nothing, takes no lock, and also works while a node runs. Then the end
   * of the log may move; see `holder`.
   */
  readonly readOnly?: boolean;
  /** Looks each second whether another process may use the directory; not for read-only opens. */
  readonly watch?: ClaimWatch;
}

/** A node's data directory on this machine's disk. */
export interface FileDataDirectory extends DataDirectory {
  readonly path: string;
  readonly raft: NodeDirectory;
  readonly log: NodeDirectory;
  /** For read-only opens: the node that had the directory open at that time, if any. */
  readonly holder: { readonly pid: number | undefined } | undefined;
}

const dataParts = ['raft', join('logs', 'default')] as const;

/**
 * Opens a node's data directory, exclusively unless `readOnly`:
 *
 * ```
 * LOCK          locked by the process that has it open; holds its process id
 * node.id       the node's and the log's UUID
 * raft/         hard state, which is locked as well, and configuration
 * logs/default/ the segments
 * ```
 *
 * Rejects with `DataDirectoryError`, whose message is for the operator, or with the system's error (such as `EIO`).
 */
export async function openDataDirectory(path: string, options: DataDirectoryOptions): Promise<FileDataDirectory> {
  const absolutePath = resolve(path);
  const readOnly = options.readOnly ?? false;
  try {
    await ensureDirectory(absolutePath, options.create && !readOnly);
    return readOnly ? await openToRead(absolutePath) : await openToWrite(absolutePath, options);
  } catch (error) {
    const problem = problemOfCode(systemCode(error), readOnly ? 'read' : 'write');
    if (problem) throw new DataDirectoryError(absolutePath, problem, { cause: error });
    throw error;
  }
}

/** Returns the system's code of an error or of its causes. */
function systemCode(error: unknown): string | undefined {
  return errorCode(error) ?? (error instanceof Error ? errorCode(error.cause) : undefined);
}

async function ensureDirectory(path: string, create: boolean): Promise<void> {
  try {
    const stats = await stat(path);
    if (stats.isDirectory()) return;
    throw new DataDirectoryError(path, { kind: 'not a directory', blockedBy: path });
  } catch (error) {
    const code = errorCode(error);
    if (code === 'ENOTDIR') {
      const blockedBy = await existingAncestor(path);
      throw new DataDirectoryError(path, { kind: 'not a directory', blockedBy }, { cause: error });
    }
    if (code !== 'ENOENT' && code !== 'ENAMETOOLONG') throw error;
    if (!create) throw new DataDirectoryError(path, { kind: 'missing' }, { cause: error });
  }
  try {
    // Each is durable before the next.
    await makeDirectory(path, { mode: 0o700, onMade: syncDirectory });
  } catch (error) {
    const code = errorCode(error);
    if (code === undefined || problemOfCode(code, 'write') !== undefined) throw error;
    throw new DataDirectoryError(path, { kind: 'not created', code }, { cause: error });
  }
}

async function openToWrite(path: string, { create, watch }: DataDirectoryOptions): Promise<FileDataDirectory> {
  await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
  await assertOwned(path);
  const claim = await DirectoryClaim.make(path, watch);
  try {
    const root = await NodeDirectory.open(path);
    const found = await findIdentity(root);
    await refuseWrongState(path, found);
    if (!found && !create) throw new DataDirectoryError(path, { kind: 'missing' });
    let identity = found ?? newIdentity();
    // The identity is written before the data, so that data without an identity always has an unknown origin.
    if (!found) await writeIdentity(root, identity);
    // A copy may not have been synced, and what is stored below this identity counts as durable from now on.
    else await syncIdentity(root);
    const parts = await openParts(root);
    await noteData(root, identity);
    let closing: Promise<void> | undefined;
    return {
      path,
      nodeId: identity.nodeId,
      get logId() {
        return uuidBytes(identity.logId);
      },
      async adoptLogId(logId) {
        invariant(!identity.hasData, 'a directory with data keeps its log');
        const adopted = { ...identity, logId: uuidOfBytes(logId) };
        await writeIdentity(root, adopted);
        identity = adopted;
      },
      async setLogAside(name) {
        // Until the next start, an empty log is not one that was lost.
        identity = { ...identity, hasData: false };
        await writeIdentity(root, identity);
        return moveAside(join(path, 'logs'), name);
      },
      ...parts,
      holder: undefined,
      close: () => (closing ??= noteData(root, identity).finally(() => claim.release())),
    };
  } catch (error) {
    await claim.release();
    throw error;
  }
}

async function openToRead(path: string): Promise<FileDataDirectory> {
  await access(path, constants.R_OK | constants.X_OK);
  const root = await NodeDirectory.open(path, { readOnly: true });
  const identity = await findIdentity(root);
  await refuseWrongState(path, identity);
  if (!identity) throw new DataDirectoryError(path, { kind: 'missing' });
  try {
    const parts = await openParts(root);
    const holder = await lockHolder(join(path, lockFileName));
    return {
      path,
      ...identityFields(identity),
      adoptLogId: () => Promise.reject(new DataDirectoryError(path, { kind: 'read-only', code: 'EROFS' })),
      setLogAside: () => Promise.reject(new DataDirectoryError(path, { kind: 'read-only', code: 'EROFS' })),
      ...parts,
      holder,
      close: async () => {},
    };
  } catch (error) {
    // The first start was interrupted before there was anything to read.
    if (error instanceof FileNotFoundError) throw new DataDirectoryError(path, { kind: 'missing' }, { cause: error });
    throw error;
  }
}

async function openParts(root: NodeDirectory): Promise<{ raft: NodeDirectory; log: NodeDirectory }> {
  const raft = await root.subdirectory('raft');
  const logs = await root.subdirectory('logs');
  return { raft, log: await logs.subdirectory('default') };
}

/** Renames the folder of the log to the first free one of `name`, `name-2` and so on, and creates an empty one. */
async function moveAside(logs: string, name: string): Promise<string> {
  const taken = new Set(await readdir(logs));
  let free = name;
  for (let i = 2; taken.has(free); i++) free = `${name}-${i}`;
  await rename(join(logs, 'default'), join(logs, free));
  await mkdir(join(logs, 'default'), { mode: 0o700 });
  await syncDirectory(logs);
  return join(logs, free);
}

function identityFields({ nodeId, logId }: NodeIdentity): { nodeId: string; logId: Uint8Array } {
  return { nodeId, logId: uuidBytes(logId) };
}

async function findIdentity(root: NodeDirectory): Promise<NodeIdentity | undefined> {
  const file = await readIdentity(root);
  switch (file.kind) {
    case 'found':
      return file.identity;
    case 'missing':
      return undefined;
    case 'other version':
      throw new DataDirectoryError(root.path, { kind: 'other version', found: file.found, known: identityFormat });
    case 'corrupt':
      throw new DataDirectoryError(root.path, {
        kind: 'corrupt identity',
        file: identityFileName,
        detail: file.detail,
      });
  }
}

/** Throws if there is an identity without its data, or data without an identity. */
async function refuseWrongState(path: string, identity: NodeIdentity | undefined): Promise<void> {
  const full = await partsWithData(path);
  if (!identity && full.length > 0) throw new DataDirectoryError(path, { kind: 'unknown origin', found: full });
  const empty = dataParts.filter((part) => !full.includes(part));
  if (identity?.hasData && empty.length > 0)
    throw new DataDirectoryError(path, { kind: 'emptied', nodeId: identity.nodeId, empty });
}

/**
 * Marks the identity once all parts hold data. Until then (during the first start, up to a clean shutdown or the next
 * start) an empty part means that the first start was interrupted, and the next start completes it. If the disk is
 * full, a later start sets the mark; the existing state stays valid.
 */
async function noteData(root: NodeDirectory, identity: NodeIdentity): Promise<void> {
  if (identity.hasData || (await partsWithData(root.path)).length < dataParts.length) return;
  try {
    await writeIdentity(root, { ...identity, hasData: true });
  } catch (error) {
    if (!isNoSpaceError(error)) throw error;
  }
}

async function partsWithData(path: string): Promise<string[]> {
  const counts = await Promise.all(dataParts.map((part) => countEntries(join(path, part))));
  return dataParts.filter((_, i) => counts[i] !== 0);
}

async function countEntries(path: string): Promise<number> {
  try {
    return (await readdir(path)).length;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return 0;
    throw error;
  }
}
