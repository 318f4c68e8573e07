import type { Log } from '../../domain/log/log.js';
import { toIndex } from '../../domain/log/offsets.js';
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

/** What members have acknowledged to their leader, and whether they still have it: this node's side of it. */
export class Acknowledgements {
  constructor(private readonly options: AcknowledgementsOptions) {}

  /** As the leader that this node is says it; undefined: it is none. */
  async viewOf(member: number): Promise<LeaderView | undefined> {
    const { core, log, configuration, id: leaderId } = this.options;
    const { hardState, softState } = core.basicStatus();
    const votes = configuration.current.confState.voters.includes(member);
    if (softState.raftState !== 'StateLeader') return undefined;
    const index = this.#matchOf(member);
    const term = index === 0 ? 0 : await log.termAt(toIndex(index)).catch(() => 0);
    return { term: hardState.term, leaderId, acknowledged: { index, term }, votes };
  }

  /** The member has lost entries: none that it acknowledged to this leader counts for a commit any more. */
  forget(member: number): void {
    this.options.core.forgetProgress(member);
  }

  /** The heartbeat with what its receiver has acknowledged: the receiver may know better. */
  addTo(heartbeat: Message): Message {
    const index = this.#matchOf(heartbeat.to);
    return index === 0 ? heartbeat : { ...heartbeat, index, logTerm: this.options.core.termAt(index) ?? 0 };
  }

  /**
   * Set where a leader's message says that this node acknowledged what it does not have. The core itself would end with
   * a failed assertion, or commit what it has in place of what it had.
   */
  contradiction({ type, term, index, logTerm, commit }: Message): AmnesiacError | undefined {
    const { core } = this.options;
    const { hardState } = core.basicStatus();
    if (type !== 'MsgHeartbeat' || term < hardState.term) return undefined;
    // A leader of an earlier release tells the commit index alone.
    const acknowledged = Math.max(index, commit);
    if (acknowledged > core.lastIndex) return new AmnesiacError(acknowledged, core.lastIndex);
    // What is committed here is what was committed everywhere.
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
