import { InvalidArgumentError } from 'commander';
import { AcknowledgedLossError, RpcError, UnreachableError } from '../../client/index.js';
import { printableLines } from './printable.js';

export const ExitCode = {
  ok: 0,
  failure: 1,
  usage: 2,
  unreachable: 3,
  corrupt: 4,
  problem: 5,
  interrupted: 130,
} as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

export const exitCodesHelp = `
Exit codes:
  0    done
  1    failed; the message says why
  2    wrong usage: unknown command or flag, or invalid value
  3    no server could be reached, or the connection was lost for too long
  4    stored data is corrupt or missing
  5    "golog cluster status" printed a problem
  130  interrupted`;

/** The exit code for this kind of failure. */
export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof UnreachableError) return ExitCode.unreachable;
  if (error instanceof AcknowledgedLossError) return ExitCode.corrupt;
  if (error instanceof RpcError && error.code === 'DATA_LOSS') return ExitCode.corrupt;
  if (error instanceof RpcError && error.code === 'UNAVAILABLE') return ExitCode.unreachable;
  if (error instanceof InvalidArgumentError) return ExitCode.usage;
  return ExitCode.failure;
}

/**
 * The message of an error for the terminal, with the gRPC code when the server sent one. Control characters in it are
 * escaped, since a server may send any.
 */
export function messageOf(error: unknown): string {
  if (error instanceof RpcError) return printableLines(`${error.message} (${error.code})`);
  return printableLines(error instanceof Error ? error.message : String(error));
}
