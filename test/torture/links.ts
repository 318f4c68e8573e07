import { addressOf, type Network } from '../cluster/network-namespaces.js';
import { has, run } from './commands.js';

/** What every host gets: packets from hosts in `cut` are dropped, and what `weather` says happens to the others. */
const rules = `
  add table ip torture
  add set ip torture cut { type ipv4_addr; }
  add chain ip torture weather
  add chain ip torture input { type filter hook input priority 0; }
  add rule ip torture input ip saddr @cut drop
  add rule ip torture input jump weather
  add chain ip torture output { type filter hook output priority 0; }
`;
const device = 'eth';

/** The links between the hosts of a network, for those that have nft and tc. */
export class Links {
  readonly #cuts = new Map<string, number>();
  readonly #ruled = new Set<number>();

  constructor(private readonly network: Network) {}

  static lacks(): string | undefined {
    return has('nft') ? undefined : 'no nft';
  }

  static cannotShape(): string | undefined {
    return has('tc') ? undefined : 'no tc';
  }

  /** What `from` sends to `to` is lost from here on, and nothing else. */
  async cut(from: number, to: number): Promise<void> {
    const count = (this.#cuts.get(`${from} ${to}`) ?? 0) + 1;
    this.#cuts.set(`${from} ${to}`, count);
    if (count === 1) await this.#nft(to, `add element ip torture cut { ${addressOf(from)} }`);
  }

  /** Ends one cut; the link is whole when all its cuts have ended. */
  async mend(from: number, to: number): Promise<void> {
    const count = (this.#cuts.get(`${from} ${to}`) ?? 0) - 1;
    this.#cuts.set(`${from} ${to}`, count);
    if (count === 0) await this.#nft(to, `delete element ip torture cut { ${addressOf(from)} }`);
  }

  /** Loses so many of a hundred packets that come to the host. */
  async lose(host: number, percent: number): Promise<void> {
    await this.#nft(host, `add rule ip torture weather numgen random mod 100 < ${percent} drop`);
  }

  async loseNone(host: number): Promise<void> {
    await this.#nft(host, 'flush chain ip torture weather');
  }

  /** Sends every packet of the host to other hosts twice. */
  async repeat(host: number): Promise<void> {
    const everybody = addressOf(0);
    await this.#nft(host, `add rule ip torture output ip daddr ${everybody}/24 dup to ip daddr device "${device}"`);
  }

  async repeatNothing(host: number): Promise<void> {
    await this.#nft(host, 'flush chain ip torture output');
  }

  /** Sends no faster than this. Packets wait for their turn, up to so many milliseconds, and are lost after that. */
  async slow(host: number, kilobitsPerSecond: number, waitMs: number): Promise<void> {
    const shape = ['rate', `${kilobitsPerSecond}kbit`, 'burst', '16kb', 'latency', `${waitMs}ms`];
    await this.#run(host, 'tc', 'qdisc', 'replace', 'dev', device, 'root', 'tbf', ...shape);
  }

  async slowNothing(host: number): Promise<void> {
    await this.#run(host, 'tc', 'qdisc', 'del', 'dev', device, 'root');
  }

  async #nft(host: number, command: string): Promise<void> {
    if (!this.#ruled.has(host)) {
      this.#ruled.add(host);
      await this.#run(host, 'nft', rules);
    }
    await this.#run(host, 'nft', command);
  }

  async #run(host: number, ...command: readonly string[]): Promise<void> {
    await run(...this.network.through(host), ...command);
  }
}
