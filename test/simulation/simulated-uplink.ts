import type { Cluster } from '../../src/application/ports/cluster.js';
import { UnavailableError } from '../../src/application/errors.js';
import type { Peer } from '../../src/application/ports/peer-transport.js';
import type { AppendReceipt, Producers, ProposeOptions } from '../../src/application/ports/consensus.js';
import type { Contact, FollowFrom, ReplicaUplink, SourceNews } from '../../src/application/ports/replica-uplink.js';
import { unlessAborted } from '../../src/application/waiting/unless-aborted.js';
import type { Offset } from '../../src/domain/log/offsets.js';
import type { Records, BatchChecksum } from '../../src/domain/log/record-batch.js';
import { copyBatch } from './message-copy.js';
import type { Listener } from './network.js';
import type { SimulatedTransport } from './simulated-transport.js';
import { InvariantError } from './world.js';

/** Reaches the members from a replica over the simulated network: one call per update. */
export class SimulatedUplink implements ReplicaUplink {
  constructor(
    private readonly transport: SimulatedTransport,
    private readonly checksum: BatchChecksum,
  ) {}

  async *follow(source: Contact, from: FollowFrom, signal: AbortSignal): AsyncGenerator<SourceNews, void, void> {
    const ended = new AbortController();
    let news: AsyncIterator<SourceNews> | undefined;
    try {
      for (;;) {
        const next = this.#ask(source, 'news', ({ replicas }) => {
          news ??= replicas?.follow(from, ended.signal)[Symbol.asyncIterator]();
          return news?.next();
        });
        const { done, value } = await unlessAborted(signal, next);
        if (done === true) return;
        yield { ...value, batches: value.batches.map((batch) => copyBatch(batch, this.checksum)) };
      }
    } finally {
      // The member notices when it writes the next update.
      void this.#ask(source, 'end of news', async () => ended.abort()).catch(() => undefined);
    }
  }

  readBarrier(source: Contact, signal: AbortSignal): Promise<Offset> {
    return this.#ask(source, 'barrier', ({ replicas }) => replicas?.readBarrier(signal));
  }

  append(leader: Peer, records: Records, options: ProposeOptions): Promise<AppendReceipt> {
    return this.transport.appendAt(this.transport.addressOf(leader), records, options);
  }

  producersOf(leader: Peer): Producers {
    return this.transport.producersAt(this.transport.addressOf(leader));
  }

  clusterOf(member: Contact): Cluster {
    return this.transport.clusterAt(member.rpcAddr);
  }

  close(): Promise<void> {
    return this.transport.close();
  }

  /** Treats any failure as a missing answer. */
  async #ask<T>({ rpcAddr }: Contact, what: string, act: (to: Listener) => Promise<T> | undefined): Promise<T> {
    try {
      return await this.transport.call(rpcAddr, what, act);
    } catch (error) {
      if (error instanceof InvariantError) throw error;
      if (error instanceof UnavailableError) throw error;
      throw new UnavailableError(error instanceof Error ? error.message : String(error));
    }
  }
}
