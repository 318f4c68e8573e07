import { createInterface } from 'node:readline/promises';
import { InvalidArgumentError } from 'commander';

/** Asks on the terminal. @throws InvalidArgumentError unless the answer is yes */
export async function confirmOrThrow(question: string, signal: AbortSignal): Promise<void> {
  if (!process.stdin.isTTY) throw new InvalidArgumentError('give --yes to do this without a terminal to ask on');
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await terminal.question(`${question} [y/N] `, { signal });
    if (!/^y(es)?$/i.test(answer.trim())) throw new InvalidArgumentError('not confirmed; nothing was changed');
  } finally {
    terminal.close();
  }
}
