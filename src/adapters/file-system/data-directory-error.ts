/** The reason that a data directory cannot be used. */
export type DataDirectoryProblem =
  | { readonly kind: 'missing' }
  | { readonly kind: 'not a directory'; readonly blockedBy: string }
  | { readonly kind: 'not created'; readonly code: string }
  | { readonly kind: 'not accessible'; readonly code: string }
  | { readonly kind: 'read-only'; readonly code: string }
  | { readonly kind: 'of others'; readonly what: string; readonly owner: number; readonly mode: string }
  | { readonly kind: 'symbolic link'; readonly code: string }
  | { readonly kind: 'locked'; readonly pid: number | undefined }
  | { readonly kind: 'replaced'; readonly file: string }
  | { readonly kind: 'other version'; readonly found: number; readonly known: number }
  | { readonly kind: 'corrupt identity'; readonly file: string; readonly detail: string }
  | { readonly kind: 'unknown origin'; readonly found: readonly string[] }
  | { readonly kind: 'emptied'; readonly nodeId: string; readonly empty: readonly string[] };

type ProblemKind = DataDirectoryProblem['kind'];
type Messages = {
  [K in ProblemKind]: (path: string, problem: Extract<DataDirectoryProblem, { kind: K }>) => string;
};

const rejoin = 'To rejoin the cluster as a new member, move the whole directory aside and start with an empty one.';

const messages: Messages = {
  missing: (path) => `no golog data directory at ${path}: check the path; 'golog serve' creates a new one`,
  'not a directory': (path, { blockedBy }) =>
    `data directory ${path} must be a directory, but ${blockedBy === path ? 'it' : blockedBy} is a file`,
  'not created': (path, { code }) =>
    `data directory ${path} cannot be created (${code}): expected a path on a file system where golog may make ` +
    `directories; give another --data-dir`,
  'not accessible': (path, { code }) =>
    `data directory ${path} cannot be read (${code}): it must belong to the user that golog runs as`,
  'read-only': (path, { code }) =>
    `data directory ${path} cannot be written to (${code}): its file system must be mounted for writing, and the ` +
    `directory must belong to the user that golog runs as`,
  'of others': (path, { what, owner, mode }) =>
    `data directory ${path}: ${what} belongs to user ${owner} and has mode ${mode}, so another user could replace ` +
    `files of golog or have it write elsewhere: expected a directory of the user that golog runs as (or of root), ` +
    `that nobody else may write to. Use chown and chmod go-w, or give a new directory in it`,
  'symbolic link': (path, { code }) =>
    `data directory ${path} has a symbolic link in place of a file (${code}), through which golog would write ` +
    `elsewhere: remove the link`,
  locked: (path, { pid }) =>
    `data directory ${path} is in use by ${pid === undefined ? 'another process' : `process ${pid}`}: ` +
    `each node needs a directory of its own`,
  replaced: (path, { file }) =>
    `data directory ${path}: ${file} was removed or replaced while this node ran, so another process may use the ` +
    `directory as well: this node ends. Make sure that no other node uses the directory, and start it again`,
  'other version': (path, { found, known }) =>
    `data directory ${path} has format ${found}, and this golog supports formats up to ${known}: use the golog that wrote it, or a later one`,
  'corrupt identity': (path, { file, detail }) =>
    `data directory ${path}: ${file} is corrupt (${detail}), so it is unknown which node this is. ${rejoin}`,
  'unknown origin': (path, { found }) =>
    `data directory ${path} holds data (${found.join(', ')}) but no node.id: which node and which log it belongs to is unknown. ` +
    rejoin,
  emptied: (path, { nodeId, empty }) =>
    `data directory ${path} belongs to node ${nodeId}, but its data is missing (${empty.join(' and ')} is empty): ` +
    `a node that lost acknowledged data must not continue under its old id. ${rejoin}`,
};

function describe<K extends ProblemKind>(
  path: string,
  problem: Extract<DataDirectoryProblem, { kind: K }> & { kind: K },
): string {
  const message: Messages[K] = messages[problem.kind];
  return message(path, problem);
}

/** A data directory cannot be used as it is. The message is for the operator and names the path. */
export class DataDirectoryError extends Error {
  override readonly name = 'DataDirectoryError';
  constructor(
    readonly path: string,
    readonly problem: DataDirectoryProblem,
    options?: ErrorOptions,
  ) {
    super(describe(path, problem), options);
  }
}

const readOnlyCodes: ReadonlySet<string> = new Set(['EROFS', 'EACCES', 'EPERM']);

/** Maps a system error code to a problem of the data directory; undefined for other codes, such as `EIO`. */
export function problemOfCode(code: string | undefined, attempted: 'read' | 'write'): DataDirectoryProblem | undefined {
  if (code === 'ELOOP') return { kind: 'symbolic link', code };
  if (code === undefined || !readOnlyCodes.has(code)) return undefined;
  return { kind: attempted === 'read' ? 'not accessible' : 'read-only', code };
}
