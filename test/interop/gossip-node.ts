import { systemClock } from '../../src/adapters/clock/system-clock.js';
import { SerfGossip, type SerfGossipOptions } from '../../src/adapters/serf/index.js';
import { lanTiming, type GossipTiming } from '../../src/domain/gossip/timing.js';
import { RecordingLogger } from '../logging/recording-logger.js';

/**
 * Some message in a few hundred reaches not all of a few members, among agents, too: exchanges of everything, here more
 * often than Serf's 30 s, bring what was missed.
 */
const timing: GossipTiming = { ...lanTiming, pushPullIntervalMs: 2000 };

const open = new Set<GossipNode>();

/** Ends what a failed test left open. */
export async function closeNodes(): Promise<void> {
  await Promise.all([...open].map((node) => node.close()));
}

/** A golog node of gossip in this process, on the loopback. */
export class GossipNode {
  static async start(name: string, options: Partial<SerfGossipOptions> = {}): Promise<GossipNode> {
    const node = new GossipNode(name, options);
    open.add(node);
    node.addr = await node.gossip.start();
    return node;
  }

  addr = '';
  readonly events: string[] = [];
  readonly logger = new RecordingLogger();
  readonly gossip: SerfGossip;
  /** Ends the waiting of a join when the node is closed. */
  readonly #closed = new AbortController();

  private constructor(
    readonly name: string,
    options: Partial<SerfGossipOptions>,
  ) {
    this.gossip = new SerfGossip({
      name,
      bindAddr: '127.0.0.1:0',
      tags: new Map([['role', 'log']]),
      timing,
      clock: systemClock,
      logger: this.logger,
      onUserEvent: (event, payload) => this.events.push(`${event} ${Buffer.from(payload).toString()}`),
      onQuery: (query, payload) => Buffer.from(`${name} on ${query} ${Buffer.from(payload).toString()}`),
      ...options,
    });
  }

  join(...addrs: readonly string[]): Promise<number> {
    return this.gossip.join(addrs, this.#closed.signal);
  }

  /** `name status`, by name. */
  statuses(): string[] {
    return this.gossip.members().map(({ name, status }) => `${name} ${status}`);
  }

  async close(): Promise<void> {
    open.delete(this);
    this.#closed.abort();
    await this.gossip.close();
  }
}
