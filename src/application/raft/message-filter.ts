import type { Message } from '../../domain/raft/message.js';
import type { BasicStatus } from '../../domain/raft/status.js';
import type { ConfigurationFile } from '../configuration/configuration-file.js';
import type { Clock, MonotonicMs } from '../ports/clock.js';
import type { Logger } from '../ports/logger.js';

/**
 * No cluster holds this many elections while a member is away; a term further ahead would exhaust the range of terms.
 */
const termsAheadMax = 2 ** 32;

export interface MessageFilterOptions {
  readonly id: number;
  readonly configuration: Pick<ConfigurationFile, 'current' | 'stored'>;
  readonly electionTimeoutMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Decides which messages of peers a node handles, and records when it last handled one of each peer. */
export class MessageFilter {
  readonly #heardAt = new Map<number, MonotonicMs>();

  constructor(private readonly options: MessageFilterOptions) {}

  get electionTimeoutMs(): number {
    return this.options.electionTimeoutMs;
  }

  /** Returns the milliseconds since the member was last heard from; undefined: not since this node started. */
  heardMsAgo(id: number): number | undefined {
    const at = this.#heardAt.get(id);
    return at === undefined ? undefined : this.options.clock.now() - at;
  }

  /**
   * Whether the node handles the message. A lagging node also accepts messages from nodes that it does not know yet:
   * they may have been elected in the meantime (Raft §6). It does not while it leads or hears from a leader: an unknown
   * node could then only depose a healthy leader.
   */
  admits({ type, from, term }: Message, { hardState, softState: { lead } }: BasicStatus): boolean {
    const { clock, logger } = this.options;
    if (type === 'MsgProp') return false;
    if (term > hardState.term + termsAheadMax) {
      logger.error(
        'implausible_term',
        { peerId: from, term, ownTerm: hardState.term },
        'dropped a message with an implausibly high term',
      );
      return false;
    }
    if (from !== lead && this.#hears(lead) && !this.#knows(from)) return false;
    this.#heardAt.set(from, clock.now());
    return true;
  }

  #hears(lead: number): boolean {
    const { id, electionTimeoutMs } = this.options;
    return lead === id || (this.heardMsAgo(lead) ?? Infinity) < electionTimeoutMs;
  }

  #knows(from: number): boolean {
    const { current, stored } = this.options.configuration;
    const isThis = ({ id }: { readonly id: number }): boolean => id === from;
    return current.members.some(isThis) || stored?.contacts.some(isThis) === true;
  }
}
