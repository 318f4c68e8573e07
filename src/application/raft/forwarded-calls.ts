import type { Records } from '../../domain/log/record-batch.js';
import { OutcomeUnknownError } from '../errors.js';
import type { AppendReceipt, Producers, ProposeOptions } from '../ports/consensus.js';
import type { PeerTransport } from '../ports/peer-transport.js';

export interface ForwardedCallsOptions {
  readonly transport: Pick<PeerTransport, 'append' | 'producersOf'>;
  /** The Raft id of the leader; 0: unknown. */
  readonly leaderId: () => number;
  /** How long ago the last message of a member came; undefined: none has. */
  readonly heardMsAgo: (id: number) => number | undefined;
  readonly electionTimeoutMs: number;
  /** Called when a call has ended. */
  readonly onEnd: () => void;
}

interface Forwarded {
  readonly to: number;
  readonly abandon: (reason: OutcomeUnknownError) => void;
}

/**
 * The appends, and the openings and closings of producers, that this node has forwarded to the leader and that are not
 * answered yet. A leader that was deposed answers within an election timeout. One that nobody hears any more answers
 * nothing, and its link may take long to break: its calls are then of unknown outcome, so that their callers can go on
 * at the next leader.
 */
export class ForwardedCalls {
  readonly #open = new Set<Forwarded>();

  constructor(private readonly options: ForwardedCallsOptions) {}

  get count(): number {
    return this.#open.size;
  }

  /** Appends at the leader. Rejects as `PeerTransport.append`. */
  append(to: number, records: Records, options: ProposeOptions): Promise<AppendReceipt> {
    return this.#forward(to, this.options.transport.append(to, records, options));
  }

  /** Opens and closes producers at the leader. Rejects as `PeerTransport.append`. */
  producersOf(to: number): Producers {
    const there = this.options.transport.producersOf(to);
    return {
      openProducer: (opening) => this.#forward(to, there.openProducer(opening)),
      closeProducer: (id, epoch) => this.#forward(to, there.closeProducer(id, epoch)),
    };
  }

  /** Gives up the calls at leaders that lead no more and are silent. */
  tick(): void {
    const { leaderId, heardMsAgo, electionTimeoutMs } = this.options;
    for (const forwarded of this.#open) {
      const { to, abandon } = forwarded;
      if (to === leaderId() || (heardMsAgo(to) ?? Infinity) < electionTimeoutMs) continue;
      this.#open.delete(forwarded);
      abandon(new OutcomeUnknownError(`member ${to} leads no more and does not answer`));
    }
  }

  async #forward<T>(to: number, call: Promise<T>): Promise<T> {
    let forwarded: Forwarded | undefined;
    const abandoned = new Promise<never>((_, abandon) => {
      this.#open.add((forwarded = { to, abandon }));
    });
    try {
      return await Promise.race([call, abandoned]);
    } finally {
      if (forwarded !== undefined) this.#open.delete(forwarded);
      this.options.onEnd();
    }
  }
}
