import { compareEntryIds, type EntryId } from '../../domain/raft/entry-id.js';
import type { Message } from '../../domain/raft/message.js';
import type { Log } from '../../domain/log/log.js';

/**
 * Keeps a node whose disk may be an older copy from electing a leader that lacks what the node may have helped to commit.
 * That is at most what the logs of those hold that vouched for it: one of them was in every majority with it. Until its
 * own log reaches the floor, it grants its vote only to candidates whose log does (Raft §5.4.1), and asks for none.
 */
export class ElectionFloor {
  #floor: EntryId | undefined;

  constructor(
    floor: EntryId | undefined,
    private readonly log: Pick<Log, 'lastTerm' | 'lastIndex'>,
  ) {
    this.#floor = floor;
  }

  /** Returns false for a request for a vote that must not be answered. */
  admits({ type, logTerm: term, index }: Message): boolean {
    const floor = this.#current();
    if (floor === undefined) return true;
    if (type === 'MsgVote' || type === 'MsgPreVote') return compareEntryIds({ term, index }, floor) >= 0;
    return type !== 'MsgTimeoutNow';
  }

  /** Returns false for a request of this node for votes that must not be sent. */
  maySend({ type }: Message): boolean {
    return (type !== 'MsgVote' && type !== 'MsgPreVote') || this.#current() === undefined;
  }

  /** Undefined once the log has reached it: the core syncs the log before a vote leaves this node. */
  #current(): EntryId | undefined {
    const floor = this.#floor;
    if (floor === undefined) return undefined;
    const { lastTerm: term, lastIndex: index } = this.log;
    if (compareEntryIds({ term, index }, floor) >= 0) this.#floor = undefined;
    return this.#floor;
  }
}
