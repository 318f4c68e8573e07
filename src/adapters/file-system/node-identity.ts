import { createHash, randomUUID } from 'node:crypto';
import { FileExistsError, type Directory } from '../../domain/log/directory.js';
import { readWholeOrThrow, unlessUnreadable } from '../../domain/log/durable-file.js';

/** The contents of `node.id`: the owner of the directory's data. */
export interface NodeIdentity {
  /** UUID of this node's disk. */
  readonly nodeId: string;
  /** UUID of the log; the same on every node that stores it. */
  readonly logId: string;
  /** True once the directory has contained data: from then on an empty one is rejected. */
  readonly hasData: boolean;
}

export type IdentityFile =
  | { readonly kind: 'found'; readonly identity: NodeIdentity }
  | { readonly kind: 'missing' }
  | { readonly kind: 'other version'; readonly found: number }
  | { readonly kind: 'corrupt'; readonly detail: string };

export const identityFileName = 'node.id';
export const identityFormat = 1;
const temporaryName = 'node.id.tmp';
const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export function newIdentity(): NodeIdentity {
  return { nodeId: randomUUID(), logId: randomUUID(), hasData: false };
}

export async function readIdentity(directory: Directory): Promise<IdentityFile> {
  const bytes = await unlessUnreadable(() => readWholeOrThrow(directory, identityFileName), 'unreadable');
  if (bytes === undefined) return { kind: 'missing' };
  if (bytes === 'unreadable') return { kind: 'corrupt', detail: 'the disk cannot read it' };
  return parseIdentity(Buffer.from(bytes).toString('utf8'));
}

/** Makes the file durable as it is: what put it there may not have synced it. */
export async function syncIdentity(directory: Directory): Promise<void> {
  const file = await directory.open(identityFileName);
  try {
    await file.sync();
  } finally {
    await file.close();
  }
  await directory.sync();
}

/** Replaces the file atomically; durable when it resolves. */
export async function writeIdentity(directory: Directory, identity: NodeIdentity): Promise<void> {
  const bytes = new TextEncoder().encode(formatIdentity(identity));
  const file = await directory.create(temporaryName).catch(async (error: unknown) => {
    if (!(error instanceof FileExistsError)) throw error;
    await directory.remove(temporaryName); // left by a crash
    return directory.create(temporaryName);
  });
  try {
    await file.write(0, [bytes]);
    await file.sync();
  } finally {
    await file.close();
  }
  await directory.rename(temporaryName, identityFileName);
  await directory.sync();
}

export function formatIdentity(identity: NodeIdentity): string {
  const { nodeId, logId, hasData } = identity;
  const fields = { format: identityFormat, nodeId, logId, hasData, checksum: checksum(identity) };
  return `${JSON.stringify(fields, null, 2)}\n`;
}

export function parseIdentity(text: string): IdentityFile {
  const corrupt = (detail: string): IdentityFile => ({ kind: 'corrupt', detail });
  let fields: unknown;
  try {
    fields = JSON.parse(text);
  } catch {
    return corrupt(text.trim() === '' ? 'it is empty' : 'it is not JSON');
  }
  if (typeof fields !== 'object' || fields === null) return corrupt('it is not a JSON object');
  const { format, nodeId, logId, hasData, checksum: stored }: Record<string, unknown> = { ...fields };
  if (typeof format !== 'number' || !Number.isSafeInteger(format) || format < 1)
    return corrupt('"format" is missing or not a version number');
  if (format !== identityFormat) return { kind: 'other version', found: format };
  if (typeof nodeId !== 'string' || !uuidPattern.test(nodeId)) return corrupt('"nodeId" is missing or not a UUID');
  if (typeof logId !== 'string' || !uuidPattern.test(logId)) return corrupt('"logId" is missing or not a UUID');
  if (typeof hasData !== 'boolean') return corrupt('"hasData" is missing or not true or false');
  const identity: NodeIdentity = { nodeId, logId, hasData };
  if (stored !== checksum(identity)) return corrupt('"checksum" does not match the other fields');
  return { kind: 'found', identity };
}

/** Detects a flipped bit in a UUID, which would make another valid UUID. */
function checksum({ nodeId, logId, hasData }: NodeIdentity): string {
  return createHash('sha256').update([identityFormat, nodeId, logId, hasData].join('\n')).digest('hex').slice(0, 16);
}

/** Returns the UUID of 16 bytes. */
export function uuidOfBytes(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes).toString('hex');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** Returns the 16 bytes of a UUID. */
export function uuidBytes(uuid: string): Uint8Array {
  return new Uint8Array(Buffer.from(uuid.replaceAll('-', ''), 'hex'));
}
