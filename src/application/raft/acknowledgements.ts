import type { Log } from '../../domain/log/log.js';
import { toIndex } from '../../domain/log/offsets.js';
import type { EntryId } from '../../domain/raft/entry-id.js';
import type { Message } from '../../domain/raft/message.js';
import type { RawNode } from '../../domain/raft/raw-node.js';
import { AmnesiacError } from '../join/amnesia.js';
import type { ConfigurationFile } from '../configuration/configuration-file.js';
import type { LeaderView } from '../ports/join-transport.js';

export interface AcknowledgementsOptions {
  readonly core: RawNode;
  readonly log: Pick<Log, 'termAt'>;
  readonly configuration: Pick<ConfigurationFile, 'current'>;
  /** This node's Raft id. */
  readonly id: number;
}

/** Tracks, on this node, what members have acknowledged to their leader and whether they still have it. */
export class Acknowledgements {
  constructor(private readonly options: AcknowledgementsOptions) {}

  /** Returns this node's view as the leader; undefined if it does not lead. */
  async viewOf(member: number): Promise<LeaderView | undefined> {
    const { core, log, configuration, id: leaderId } = this.options;
    const { hardState, softState } = core.basicStatus();
    const votes = configuration.current.confState.voters.includes(member);
    if (softState.raftState !== 'StateLeader') return undefined;
    const index = this.#matchOf(member);
    const term = index === 0 ? 0 : await log.termAt(toIndex(index)).catch(() => 0);
    return { term: hardState.term, leaderId, acknowledged: { index, term }, votes };
  }

  /**
   * Returns the term of an entry that is committed here, if that is another one than the given; undefined also if the
   * entry is not known to be committed, or no longer stored.
   */
  async otherTermOf({ index, term }: EntryId): Promise<number | undefined> {
    const { core, log } = this.options;
    if (index === 0 || index > core.basicStatus().hardState.commit) return undefined;
    const own = await log.termAt(toIndex(index)).catch(() => term);
    return own === term ? undefined : own;
  }

  /** The member has lost entries: what it acknowledged to this leader no longer counts for commits. */
  forget(member: number): void {
    this.options.core.forgetProgress(member);
  }

  /**
   * Returns the heartbeat with the last entry that its receiver has acknowledged, so that the receiver can contradict
   * it.
   */
  addTo(heartbeat: Message): Message {
    const index = this.#matchOf(heartbeat.to);
    return index === 0 ? heartbeat : { ...heartbeat, index, logTerm: this.options.core.termAt(index) ?? 0 };
  }

  /**
   * Returns an error if a leader's message says that this node acknowledged an entry that it does not have. The core
   * itself would fail an assertion, or commit a different entry in its place.
   */
  contradiction({ type, term, index, logTerm, commit }: Message): AmnesiacError | undefined {
    const { core } = this.options;
    const { hardState } = core.basicStatus();
    if (type !== 'MsgHeartbeat' || term < hardState.term) return undefined;
    // A leader of an earlier release sends only the commit index.
    const acknowledged = Math.max(index, commit);
    if (acknowledged > core.lastIndex) return new AmnesiacError(acknowledged, core.lastIndex);
    // A committed entry is the same on every node.
    if (index <= hardState.commit || logTerm === 0) return undefined;
    const own = core.termAt(index);
    return own === undefined || own === logTerm ? undefined : new AmnesiacError(index, core.lastIndex);
  }

  #matchOf(member: number): number {
    let index = 0;
    this.options.core.visitProgress((id, { match }) => {
      if (id === member) index = match;
    });
    return index;
  }
}
