import type { Records } from '../../domain/log/record-batch.js';
import { OutcomeUnknownError } from '../errors.js';
import type { AppendReceipt, ProposeOptions } from '../ports/consensus.js';
import type { PeerTransport } from '../ports/peer-transport.js';

export interface ForwardedAppendsOptions {
  readonly transport: Pick<PeerTransport, 'append'>;
  /** The Raft id of the leader; 0: unknown. */
  readonly leaderId: () => number;
  /** How long ago the last message of a member came; undefined: none has. */
  readonly heardMsAgo: (id: number) => number | undefined;
  readonly electionTimeoutMs: number;
}

interface Forwarded {
  readonly to: number;
  readonly abandon: (reason: OutcomeUnknownError) => void;
}

/**
 * The appends that this node has forwarded to the leader and that are not answered yet. A leader that was deposed
 * answers within an election timeout. One that nobody hears any more answers nothing, and its link may take long to
 * break: its appends are then of unknown outcome, so that their callers can go on at the next leader.
 */
export class ForwardedAppends {
  readonly #open = new Set<Forwarded>();

  constructor(private readonly options: ForwardedAppendsOptions) {}

  get count(): number {
    return this.#open.size;
  }

  /** Appends at the leader. Rejects as `PeerTransport.append`. */
  append(to: number, records: Records, options: ProposeOptions): Promise<AppendReceipt> {
    return new Promise((resolve, reject) => {
      const forwarded: Forwarded = { to, abandon: reject };
      this.#open.add(forwarded);
      this.options.transport
        .append(to, records, options)
        .finally(() => this.#open.delete(forwarded))
        .then(resolve, reject);
    });
  }

  /** Gives up the appends at leaders that lead no more and are silent. */
  tick(): void {
    const { leaderId, heardMsAgo, electionTimeoutMs } = this.options;
    for (const forwarded of this.#open) {
      const { to, abandon } = forwarded;
      if (to === leaderId() || (heardMsAgo(to) ?? Infinity) < electionTimeoutMs) continue;
      this.#open.delete(forwarded);
      abandon(new OutcomeUnknownError(`member ${to} leads no more and does not answer`));
    }
  }
}
