import { type DevView, devTable } from './dev-view.js';
import { calledAs } from '../../infrastructure/called-as.js';
import { quoted } from '../options/given-options.js';
import { printable } from '../options/printable.js';
import { DataOutput } from '../options/standard-output.js';
import { columnsOfOutput, cutTo, rowsOfOutput, wrapped } from '../options/terminal.js';

/** How to show the cluster: `live` redraws a table in place, `lines` prints events, `json` prints each state. */
export type DisplayMode = 'live' | 'lines' | 'json';

export interface DevScreen {
  /** @throws ReaderLeftError when the reader of the output has left */
  show(view: DevView, events: readonly string[]): Promise<void>;
}

const clearScreen = '\u001b[H\u001b[J';
const eventsShown = 8;

export function screenFor(mode: DisplayMode, directory: string): DevScreen {
  const output = new DataOutput(process.stdout);
  if (mode === 'live') return new LiveScreen(output, directory);
  if (mode === 'json') return new JsonScreen(output);
  return {
    show: async (_, events) => {
      for (const event of events) await output.write(`${event}\n`);
    },
  };
}

class JsonScreen implements DevScreen {
  #shown = '';

  constructor(private readonly output: DataOutput) {}

  async show(view: DevView): Promise<void> {
    const line = `${JSON.stringify(view)}\n`;
    if (line === this.#shown) return;
    this.#shown = line;
    await this.output.write(line);
  }
}

class LiveScreen implements DevScreen {
  #events: readonly string[] = [];

  constructor(
    private readonly output: DataOutput,
    private readonly directory: string,
  ) {}

  async show(view: DevView, events: readonly string[]): Promise<void> {
    const time = new Date().toTimeString().slice(0, 8);
    this.#events = [...this.#events, ...events.map((event) => `${time} ${event}`)].slice(-eventsShown);
    const size = { columns: columnsOfOutput(), rows: rowsOfOutput(), golog: quoted(calledAs()) };
    await this.output.write(`${clearScreen}${devScreen(view, this.directory, this.#events, size)}`);
  }
}

/**
 * What fits on a screen, the title first: the state, commands to try, and as many of the last events as there is space.
 *
 * @param golog how a shell calls golog
 */
export function devScreen(
  view: DevView,
  directory: string,
  events: readonly string[],
  { columns, rows, golog }: { readonly columns: number; readonly rows: number; readonly golog: string },
): string {
  const { leader, nodes, problem, term } = view;
  const what = nodes.length === 1 ? 'A node' : `A cluster of ${nodes.length}`;
  const wrap = (lines: readonly string[]): string[] => lines.flatMap((line) => wrapped(line, columns));
  const head = [
    ...wrap([
      `${what} in ${directory}. Ctrl-C stops it and keeps its data.`,
      leader === undefined ? 'no leader' : `leader ${leader}, term ${term}`,
      ...(problem === undefined ? [] : [`problem: ${printable(problem)}`]),
    ]),
    '',
    ...devTable(nodes, columns).trimEnd().split('\n'),
    '',
    ...hints(view, golog, columns),
    '',
  ];
  const space = Math.max(0, rows - 1 - head.length);
  const shown = space === 0 ? [] : wrap(events).slice(-space);
  return cutTo(rows, [...head, ...shown].join('\n'));
}

function hints({ leader, nodes }: DevView, golog: string, width: number): readonly string[] {
  const leading = nodes.find(({ node }) => node === leader);
  if (leading === undefined) return [];
  const others = nodes.filter(({ node }) => node !== leader);
  // A client that is given one address learns the others; with all of them it starts without that one, too.
  const withAddresses = (command: string): string => {
    let line = `  ${golog} ${command} --addr ${leading.rpcAddr}`;
    for (const { rpcAddr } of others) if (line.length + 1 + rpcAddr.length <= width) line += `,${rpcAddr}`;
    return line;
  };
  return [
    ...['produce FILE', 'consume --follow', 'cluster status'].map(withAddresses),
    ...(leading.pid === undefined || nodes.length === 1 ? [] : [`  kill -9 ${leading.pid}    # the leader`]),
  ];
}
