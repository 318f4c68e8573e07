import type { Command } from 'commander';

/**
 * The options among the arguments of a command, as they were given, without the operands.
 *
 * @param args what follows the name of the command
 */
export function givenOptions({ options }: Command, args: readonly string[]): string[] {
  const given: string[] = [];
  for (let i = 0; i < args.length && args[i] !== '--'; i += 1) {
    const arg = args[i];
    if (!arg.startsWith('-') || arg === '-') continue;
    given.push(arg);
    const hasValueNext = options.some(({ long, short, required }) => required && (arg === long || arg === short));
    if (!hasValueNext) continue;
    i += 1;
    given.push(args[i]);
  }
  return given;
}

/** Quotes an argument for a shell, where it needs quotes. */
export function quoted(arg: string): string {
  return /^[\w./:=,@%+-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", String.raw`'\''`)}'`;
}
