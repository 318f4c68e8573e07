import { voteResult } from '../../domain/raft/quorum.js';
import type { RawNode } from '../../domain/raft/raw-node.js';
import type { ConfigurationFile } from '../configuration/configuration-file.js';
import { UnavailableError } from '../errors.js';
import type { Clock } from '../ports/clock.js';
import type { Logger } from '../ports/logger.js';
import type { FullDisks } from './full-disks.js';
import type { MessageFilter } from './message-filter.js';
import type { RaftLoop } from './raft-loop.js';

/**
 * A node that transferred leadership because of its disk and leads again keeps leadership for this long, unless a full
 * disk has had space in the meantime.
 */
const retryMs = 30_000;

export interface LeadershipTransferOptions {
  /** This node's Raft id. */
  readonly id: number;
  readonly configuration: Pick<ConfigurationFile, 'current'>;
  readonly loop: Pick<RaftLoop, 'leaderId' | 'term' | 'step' | 'waitUntilOrTimeout'> & {
    readonly core: Pick<RawNode, 'transferLeader' | 'visitProgress'>;
  };
  /** When each member was last heard. The core forgets that at each election timeout, and learns it again later. */
  readonly filter: Pick<MessageFilter, 'heardMsAgo' | 'electionTimeoutMs'>;
  readonly fullDisks: Pick<FullDisks, 'includes'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A voter other than the leader, and what it has acknowledged. */
interface OtherVoter {
  readonly id: number;
  readonly match: number;
}

/**
 * Transfers leadership to another voter: before closing, when the disk is full or hangs, or on request (Raft thesis
 * §3.10).
 */
export class LeadershipTransfer {
  /** Cancels the time until leadership may be transferred again because of the disk; undefined: it may be now. */
  #cancelRetry: (() => void) | undefined;
  #inProgress = false;
  /** Whether the last transfer because of the disk was for space. */
  #lacksSpace = false;
  /** What each member had acknowledged when this node's write in progress began. */
  readonly #acknowledged = new Map<number, number>();

  constructor(private readonly options: LeadershipTransferOptions) {}

  /** Returns the voter with the longest log; of several, the next one by id, so that each has its turn. */
  transferee(others = this.#reachableVoters()): number | undefined {
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
   * leadership is being transferred; false when no other voter with space is reachable, or when this node has tried and
   * leads again.
   */
  transferForSpace(): boolean {
    if (this.#inProgress) return true;
    const { logger, loop, fullDisks } = this.options;
    const transferee = this.transferee(this.#reachableVoters().filter(({ id }) => !fullDisks.includes(id, loop.term)));
    if (transferee === undefined || this.#cancelRetry !== undefined) return false;
    logger.warn('disk_full', { role: 'leader', memberId: transferee }, 'the disk is full; transferring leadership');
    this.#startTransferTo(transferee);
    this.#lacksSpace = true;
    return true;
  }

  /** The disk has space again: if it fills up once more, leadership may be transferred at once. */
  spaceReturned(): void {
    if (!this.#lacksSpace) return;
    this.#lacksSpace = false;
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
  }

  /** This node begins to write to its disk. */
  writeBegins(): void {
    this.options.loop.core.visitProgress((id, { match }) => this.#acknowledged.set(id, match));
  }

  /**
   * Transfers leadership when the leader's disk hangs, to a voter that has acknowledged something since the write in
   * progress began. Does nothing where such voters could not elect it without this one, whose vote does not get on its
   * disk, or when this node has just tried.
   */
  transferFromStalledDisk(): void {
    if (this.#inProgress || this.#cancelRetry !== undefined) return;
    const { configuration, logger } = this.options;
    const working = this.#reachableVoters().filter(({ id, match }) => match > (this.#acknowledged.get(id) ?? 0));
    const transferee = this.transferee(working);
    const votes = new Map(working.map(({ id }) => [id, true]));
    if (transferee === undefined || voteResult(configuration.current.confState, votes) !== 'won') return;
    logger.warn('leader_disk_stalled', { memberId: transferee }, 'the disk hangs; transferring leadership');
    this.#lacksSpace = false;
    this.#startTransferTo(transferee);
  }

  close(): void {
    this.#cancelRetry?.();
  }

  #startTransferTo(id: number): void {
    this.#inProgress = true;
    this.#cancelRetry = this.options.clock.after(retryMs, () => (this.#cancelRetry = undefined));
    void this.transferTo(id)
      .catch(() => {})
      .then(() => (this.#inProgress = false));
  }

  /** Returns the other reachable voters, by id, ascending; none if this node does not lead. */
  #reachableVoters(): OtherVoter[] {
    const { loop, id: ownId, configuration, filter } = this.options;
    const { voters } = configuration.current.confState;
    const others: OtherVoter[] = [];
    loop.core.visitProgress((id, { match }) => {
      const isHeard = (filter.heardMsAgo(id) ?? Infinity) < 2 * filter.electionTimeoutMs;
      if (id !== ownId && isHeard && voters.includes(id)) others.push({ id, match });
    });
    return others;
  }
}
