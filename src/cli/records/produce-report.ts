import {
  AcknowledgedLossError,
  ConcurrentProducerError,
  OutcomeUnknownError,
  RpcError,
  UnreachableError,
} from '../../client/index.js';
import { counted } from '../options/counted.js';
import { ExitCode, exitCodeOf } from '../options/exit-codes.js';
import { quoted } from '../options/given-options.js';
import type { Produced } from './produce.js';

export interface StoppedInput {
  /** The file, or `-` for standard input. */
  readonly file: string;
  readonly unit: 'line' | 'chunk';
  /** How golog was called, and with which options. */
  readonly command: string;
  readonly options: readonly string[];
}

/** Describes which part of the input is stored after the command stopped early, and how to resume. */
export function stoppedReport(
  produced: Produced,
  { file, unit, command, options }: StoppedInput,
  failure: unknown,
): string {
  const { records, recordsSent, units, unitsSent, inputBytes } = produced;
  const isUnknown = recordsSent > records && !isKnownRefusal(failure);
  const lines: string[] = [];
  if (records > 0)
    lines.push(`acknowledged: ${counted(records, 'record')}, the first ${inputBytes} bytes of the input`);
  else if (!isUnknown) lines.push('nothing was appended');
  if (isUnknown)
    lines.push(
      `unknown: whether ${unit} ${units + 1} to ${unit} ${unitsSent} are stored; check the log before resuming`,
    );
  else if (recordsSent > records)
    lines.push(`refused: the batch that begins with ${unit} ${units + 1}; nothing from this ${unit} on is stored`);
  if (records > 0) {
    const rest = file === '-' ? 'INPUT' : quoted(file.startsWith('-') ? `./${file}` : file);
    const again = [command, 'produce', ...options].map(quoted).join(' ');
    lines.push(`to resume after the acknowledged input: tail -c +${inputBytes + 1} ${rest} | ${again}`);
  }
  return lines.map((line) => `  ${line}\n`).join('');
}

/** Whether the server answered that it did not append the batch. */
function isKnownRefusal(failure: unknown): boolean {
  if (failure instanceof OutcomeUnknownError || failure instanceof ConcurrentProducerError) return false;
  if (failure instanceof AcknowledgedLossError || failure instanceof UnreachableError) return false;
  return exitCodeOf(failure) === ExitCode.failure && failure instanceof RpcError;
}

/** Describes what was stored. */
export function summary(produced: Produced, seconds: number, json: boolean): string {
  const { records, bytes, firstOffset, lastOffset } = produced;
  if (json) {
    const rounded = Math.round(seconds * 1_000) / 1_000;
    return `${JSON.stringify({ records, bytes, seconds: rounded, firstOffset, lastOffset })}\n`;
  }
  const offsets =
    firstOffset === undefined
      ? 'no offsets'
      : firstOffset === lastOffset
        ? `offset ${firstOffset}`
        : `offsets ${firstOffset} to ${lastOffset}`;
  return `${counted(records, 'record')}, ${counted(bytes, 'byte')}, ${seconds.toFixed(2)} s, ${offsets}\n`;
}
