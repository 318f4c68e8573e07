import type { HardStateFile } from '../../domain/log/hard-state-file.js';
import type { Log } from '../../domain/log/log.js';
import type { Consensus } from '../ports/consensus.js';
import type { Within } from '../waiting/patience.js';
import { inOrder } from './in-order.js';
import type { NodeContext, NodeStorage } from './node-context.js';

/** What a node does in its cluster: the part that differs between a member and a replica. */
export interface ClusterWork {
  /** Answers calls now; for a member with a damaged log, this becomes Raft once the log is repaired. */
  readonly consensus: Consensus;
  /** Leaves the cluster for good, as far as possible now; does not reject. */
  leave(): Promise<void>;
  /** Ends whatever could still replace the consensus. */
  settle(): Promise<void>;
  /** Ends everything but the consensus. */
  stop(): Promise<void>;
}

/** A node that is in its cluster, until it is closed. */
export class StartedNode<Work extends ClusterWork = ClusterWork> {
  readonly log: Log;
  readonly hardState: HardStateFile;
  /** HOST:PORT. */
  readonly gossipAddr: string;

  constructor(
    private readonly context: NodeContext,
    storage: NodeStorage,
    readonly work: Work,
  ) {
    this.log = storage.log;
    this.hardState = context.hardState;
    this.gossipAddr = context.discovery.addr;
  }

  get consensus(): Consensus {
    return this.work.consensus;
  }

  /** Leaves the cluster and the gossip for good. Call it before `close`. */
  async leave(within: Within = run): Promise<void> {
    await this.work.leave();
    await within(() => this.context.discovery.leave());
  }

  /**
   * Transfers leadership, ends the node's work for its cluster, and closes its files, which are then durable.
   * `closeListeners` runs while the links to the peers close: those are calls too, and the log stays readable until
   * both have ended. A failed step does not keep the others from running; this rejects with the first failure. Steps
   * that a disk that hangs may hold up run `within`.
   */
  close(closeListeners: () => Promise<unknown> = () => Promise.resolve(), within: Within = run): Promise<void> {
    const { context, work, log, hardState } = this;
    return inOrder(
      () => within(() => work.settle()),
      () => work.consensus.giveUpLeadership(),
      () => within(() => work.stop()),
      () => within(() => context.discovery.close()),
      () =>
        inParallel(
          closeListeners(),
          within(() => work.consensus.close()),
        ),
      () => within(() => log.close()),
      () => within(() => hardState.close()),
    );
  }
}

const run: Within = async (step) => void (await step());

/** Waits for all tasks, even if one fails. */
async function inParallel(...tasks: Promise<unknown>[]): Promise<void> {
  await Promise.allSettled(tasks);
  await Promise.all(tasks);
}
