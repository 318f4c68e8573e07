import type { RawNode } from '../../domain/raft/raw-node.js';
import type { ConfigurationFile } from '../configuration/configuration-file.js';
import { UnavailableError } from '../errors.js';
import type { Clock } from '../ports/clock.js';
import type { Logger } from '../ports/logger.js';
import type { RaftLoop } from './raft-loop.js';

/** A node that transferred leadership for lack of space and leads again keeps leadership for this long. */
const retryMs = 30_000;

export interface LeadershipTransferOptions {
  /** This node's Raft id. */
  readonly id: number;
  readonly configuration: Pick<ConfigurationFile, 'current'>;
  readonly loop: Pick<RaftLoop, 'leaderId' | 'step' | 'waitUntilOrTimeout'> & {
    readonly core: Pick<RawNode, 'transferLeader' | 'visitProgress'>;
  };
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Transfers leadership to another voter: before closing, when the disk is full, or on request (Raft thesis §3.10). */
export class LeadershipTransfer {
  #startedAt = -Infinity;
  #inProgress = false;

  constructor(private readonly options: LeadershipTransferOptions) {}

  /** Returns the voter with the longest log; of several, the next one by id, so that each has its turn. */
  transferee(): number | undefined {
    const others = this.#reachableVoters();
    const most = Math.max(...others.map(({ match }) => match));
    const candidates = others.filter(({ match }) => match === most);
    return (candidates.find(({ id }) => id > this.options.id) ?? candidates.at(0))?.id;
  }

  /** Resolves when the member leads; rejects with `UnavailableError` after an election timeout. */
  async transferTo(id: number): Promise<void> {
    const { loop } = this.options;
    loop.step(() => loop.core.transferLeader(id));
    await loop.waitUntilOrTimeout(() => loop.leaderId === id);
    if (loop.leaderId !== id) throw new UnavailableError('leadership transfer timed out');
  }

  /** Resolves when another node leads, or after an election timeout: the others then elect a leader later. */
  async transfer(): Promise<void> {
    const id = this.transferee();
    if (id === undefined) return;
    await this.transferTo(id).catch(() => {});
  }

  /**
   * Transfers leadership when a leader has no disk space for an append: another node may have some. Returns true while
   * leadership is being transferred; false when no other voter is reachable, or when this node has tried and leads
   * again.
   */
  transferForSpace(): boolean {
    if (this.#inProgress) return true;
    const { clock, logger } = this.options;
    const transferee = this.transferee();
    if (transferee === undefined || clock.now() - this.#startedAt < retryMs) return false;
    this.#startedAt = clock.now();
    this.#inProgress = true;
    logger.warn('disk_full', { role: 'leader', memberId: transferee }, 'the disk is full; transferring leadership');
    void this.transfer().then(() => (this.#inProgress = false));
    return true;
  }

  /** Returns the other reachable voters, by id, ascending; none if this node does not lead. */
  #reachableVoters(): { readonly id: number; readonly match: number }[] {
    const { loop, id: ownId, configuration } = this.options;
    const { voters } = configuration.current.confState;
    const others: { id: number; match: number }[] = [];
    loop.core.visitProgress((id, { match, recentActive }) => {
      if (id !== ownId && recentActive && voters.includes(id)) others.push({ id, match });
    });
    return others;
  }
}
