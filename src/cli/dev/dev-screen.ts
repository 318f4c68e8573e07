import type { DevNode } from './dev-node.js';
import { type DevView, devTable } from './dev-view.js';
import { DataOutput } from '../options/standard-output.js';

/** How to show the cluster: `live` redraws a table in place, `lines` prints events, `json` prints each state. */
export type DisplayMode = 'live' | 'lines' | 'json';

export interface DevScreen {
  /** @throws ReaderLeftError when the reader of the output has left */
  show(view: DevView, events: readonly string[]): Promise<void>;
}

const clearScreen = '\u001b[H\u001b[J';
const eventsShown = 8;

export function screenFor(mode: DisplayMode, nodes: readonly DevNode[], directory: string): DevScreen {
  const output = new DataOutput(process.stdout);
  if (mode === 'live') return new LiveScreen(output, nodes, directory);
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
    private readonly nodes: readonly DevNode[],
    private readonly directory: string,
  ) {}

  async show(view: DevView, events: readonly string[]): Promise<void> {
    const time = new Date().toTimeString().slice(0, 8);
    this.#events = [...this.#events, ...events.map((event) => `${time} ${event}`)].slice(-eventsShown);
    const lines = [
      `${this.nodes.length === 1 ? 'A node' : `A cluster of ${this.nodes.length}`} in ${this.directory}. Ctrl-C stops it and keeps its data.`,
      view.leader === undefined ? 'no leader' : `leader ${view.leader}, term ${view.term}`,
      ...(view.problem === undefined ? [] : [`problem: ${view.problem}`]),
      '',
      devTable(view.nodes),
      ...this.#hints(view),
      '',
      ...this.#events,
    ];
    await this.output.write(`${clearScreen}${lines.join('\n')}\n`);
  }

  #hints({ leader, nodes }: DevView): readonly string[] {
    const leading = nodes.find(({ node }) => node === leader);
    if (leading === undefined) return [];
    const addresses = nodes.map(({ rpcAddr }) => rpcAddr).join(',');
    return [
      `golog produce FILE --addr ${addresses}`,
      `golog consume --follow --addr ${addresses}`,
      `golog cluster status --addr ${addresses}`,
      ...(leading.pid === undefined || nodes.length === 1 ? [] : [`kill -9 ${leading.pid}    # the leader`]),
    ].map((command) => `  ${command}`);
  }
}
