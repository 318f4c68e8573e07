/**
 * An operation on a file or directory failed. `code` is the system's (`EIO`, `ENOSPC`, …); `cause` is the original
 * error.
 */
export class FileOperationError extends Error {
  override readonly name = 'FileOperationError';
  readonly code: string;
  constructor(
    readonly operation: string,
    readonly path: string,
    override readonly cause: unknown,
  ) {
    super(`cannot ${operation} ${path}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.code = errorCode(cause) ?? 'UNKNOWN';
  }
}

/** Returns the system's error code, if the error has one. */
export function errorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
