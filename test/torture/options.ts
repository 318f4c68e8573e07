import { parseArgs } from 'node:util';
import type { Fault } from './fault.js';
import { selectFaults } from './faults.js';

export const usage =
  'usage: npm run torture -- [--minutes N | --rounds N] [--nodes 3|5] [--tls] [--seed N] [--faults A,B,…] [--without A,B,…] [--list]';

export interface Options {
  readonly minutes: number;
  /** How often to measure each fault after which appends go on, instead of torture; undefined: torture. */
  readonly rounds: number | undefined;
  readonly nodes: number;
  readonly tls: boolean;
  readonly seed: number;
  readonly faults: readonly Fault[];
  /** Only show the faults. */
  readonly list: boolean;
  /** The flags that give the same sequence of faults again. */
  readonly again: string;
}

const namesIn = (text: string): string[] => text.split(',').filter((name) => name !== '');

function numberOf(flag: string, text: string): number {
  const number = Number(text);
  if (!(number > 0)) throw new RangeError(`invalid --${flag} ${JSON.stringify(text)}: expected a positive number`);
  return number;
}

/** Throws `RangeError`, or what `parseArgs` throws, on wrong usage. */
export function readOptions(args: readonly string[]): Options {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean', default: false } as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      minutes: text,
      rounds: text,
      nodes: text,
      tls: flag,
      seed: text,
      faults: text,
      without: text,
      list: flag,
    },
  });
  const minutes = numberOf('minutes', values.minutes ?? '5');
  const rounds = values.rounds === undefined ? undefined : numberOf('rounds', values.rounds);
  const nodes = numberOf('nodes', values.nodes ?? '3');
  if (nodes !== 3 && nodes !== 5) throw new RangeError(`invalid --nodes ${nodes}: expected 3 or 5`);
  const seed = values.seed === undefined ? 1 + Math.floor(Math.random() * 1e9) : numberOf('seed', values.seed);
  const only = values.faults === undefined ? undefined : namesIn(values.faults);
  const faults = selectFaults(only, namesIn(values.without ?? ''));
  const chosen = (['faults', 'without'] as const).flatMap((name) => {
    const value = values[name];
    return value === undefined ? [] : [`--${name} ${value}`];
  });
  const again = [
    `${rounds === undefined ? `--minutes ${minutes}` : `--rounds ${rounds}`} --nodes ${nodes}`,
    ...(values.tls ? ['--tls'] : []),
    `--seed ${seed}`,
    ...chosen,
  ];
  return { minutes, rounds, nodes, tls: values.tls, seed, faults, list: values.list, again: again.join(' ') };
}
