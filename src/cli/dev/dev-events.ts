import type { DevNode } from './dev-node.js';
import type { DevView } from './dev-view.js';

/** What is watched of a node. */
export type WatchedNode = Pick<DevNode, 'spec' | 'status' | 'end' | 'pid' | 'command'>;

/** Derives the events of a local cluster from its current and its previous state. */
export class DevEvents {
  readonly #startedMs = performance.now();
  readonly #up = new Set<WatchedNode>();
  readonly #down = new Set<WatchedNode>();
  #ready = false;
  #hasMajority = true;
  #leader: string | undefined;
  #term = 0;
  #leaderless: { readonly lost: string; readonly sinceMs: number } | undefined;

  constructor(private readonly nodes: readonly WatchedNode[]) {}

  /** Whether the node has answered at any time since it was started. */
  hasServed(node: WatchedNode): boolean {
    return this.#up.has(node) || this.#down.has(node);
  }

  /** Returns a line for each event since the last call. */
  since(view: DevView): readonly string[] {
    const ofNodes = this.nodes.flatMap((node) => this.#ofNode(node));
    return [...ofNodes, ...this.#ofLeader(view), ...this.#ofMajority(), ...this.#ofCluster(view)];
  }

  #ofNode(node: WatchedNode): readonly string[] {
    const { name, rpcAddr, httpAddr } = node.spec;
    const isUp = node.status !== undefined;
    if (isUp && !this.#up.has(node)) {
      const again = this.#down.delete(node) ? ' again' : '';
      this.#up.add(node);
      return [`${name} is up${again}, pid ${node.pid ?? 'unknown'}, gRPC ${rpcAddr}, HTTP ${httpAddr}`];
    }
    if (!isUp && node.end !== undefined && this.#up.delete(node)) {
      this.#down.add(node);
      if (name === this.#leader) this.#leaderless = { lost: name, sinceMs: performance.now() };
      return [`${name} is down, ${node.end}; to restart it: ${node.command}`];
    }
    return [];
  }

  #ofLeader({ leader, term = 0 }: DevView): readonly string[] {
    if (leader === undefined || term < this.#term || (leader === this.#leader && term === this.#term)) return [];
    if (leader === this.#leaderless?.lost && term === this.#term) return [];
    const after = this.#leaderless;
    [this.#leader, this.#term, this.#leaderless] = [leader, term, undefined];
    const span =
      after === undefined ? '' : `, ${seconds(performance.now() - after.sinceMs)} after ${after.lost} was lost`;
    return [`${leader} is leader in term ${term}${span}`];
  }

  #ofMajority(): readonly string[] {
    const count = this.nodes.length;
    const [up, needed] = [count - this.#down.size, Math.floor(count / 2) + 1];
    const had = this.#hasMajority;
    this.#hasMajority = up >= needed;
    if (this.#hasMajority || !had) return [];
    const served = up === 0 ? '' : ': appends wait, and reads get what is committed';
    return [`no leader is possible while ${up} of ${count} nodes run, need ${needed}${served}`];
  }

  #ofCluster({ ready }: DevView): readonly string[] {
    if (this.#ready || !ready) return [];
    this.#ready = true;
    return [`ready after ${seconds(performance.now() - this.#startedMs)}`];
  }
}

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;
