import type { Offset } from '../../domain/log/offsets.js';
import type { ConfChangeV2 } from '../../domain/raft/conf-change.js';
import type { Progress } from '../../domain/raft/progress.js';
import { ProposalDroppedError } from '../../domain/raft/raft-errors.js';
import type { BasicStatus } from '../../domain/raft/status.js';
import type { AcknowledgementGaps } from './acknowledgement-gaps.js';
import type { Acknowledgements } from './acknowledgements.js';
import type { Configuration } from '../configuration/configuration.js';
import type { ConfigurationFile } from '../configuration/configuration-file.js';
import type { DiskReserve, DiskShortage } from '../storage/disk-reserve.js';
import type { DiskStall } from '../storage/disk-stall.js';
import type { EntrySealer } from './entry-sealer.js';
import type { UnavailableError } from '../errors.js';
import type { LeaderLag } from './leader-lag.js';
import type { LeadershipTransfer } from './leadership-transfer.js';
import type { MessageFilter } from './message-filter.js';
import type { Proposals } from './proposals.js';
import type { RaftLoop } from './raft-loop.js';
import type { Watermark } from '../storage/watermark.js';

export interface LeadershipOptions {
  readonly loop: RaftLoop;
  readonly configuration: ConfigurationFile;
  readonly sealer: EntrySealer;
  readonly proposals: Proposals;
  readonly transfer: LeadershipTransfer;
  readonly stall: DiskStall;
  readonly diskReserve: Pick<DiskReserve, 'shortage'>;
  readonly gaps: AcknowledgementGaps;
  readonly filter: MessageFilter;
  readonly lag: LeaderLag;
  readonly watermark: Watermark;
  readonly acknowledgements: Acknowledgements;
}

/** The Raft group as seen by one of its nodes, and the operations that only its leader can perform. */
export class Leadership {
  /** What members have acknowledged to this node as the leader. */
  readonly acknowledgements: Acknowledgements;

  constructor(private readonly options: LeadershipOptions) {
    this.acknowledgements = options.acknowledgements;
  }

  get isLeader(): boolean {
    return this.options.loop.isLeader;
  }

  /** The Raft id of the leader; 0: unknown. */
  get leaderId(): number {
    return this.options.loop.leaderId;
  }

  get configuration(): Configuration {
    return this.options.configuration.current;
  }

  /** The cluster's first configuration. */
  get firstConfiguration(): Configuration {
    return this.options.configuration.at(0);
  }

  get status(): BasicStatus {
    return this.options.loop.core.basicStatus();
  }

  /** The index of the last entry here, durable or not. */
  get lastIndex(): number {
    return this.options.sealer.lastIndex;
  }

  /** One past the last committed record. */
  get highWatermark(): Offset {
    return this.options.watermark.value;
  }

  /** Whether this node has all that is committed, give or take what is on its way; see `LeaderLag`. */
  get isCaughtUp(): boolean {
    return this.isLeader || this.options.lag.isCaughtUp();
  }

  /** For how many milliseconds the disk of this node has hung; undefined: it does not. */
  get diskStalledMs(): number | undefined {
    return this.options.stall.stalledMs;
  }

  /** How little space the disk of this node has; undefined: more than its reserve. */
  get diskShortage(): DiskShortage | undefined {
    return this.options.diskReserve.shortage;
  }

  /** A member counts as unreachable after this long without a message from it. */
  get electionTimeoutMs(): number {
    return this.options.loop.electionTimeoutMs;
  }

  /** Returns the milliseconds since the member was last heard from; undefined: not since this node started. */
  heardMsAgo(id: number): number | undefined {
    return this.options.filter.heardMsAgo(id);
  }

  /** Returns for how many milliseconds the member has acknowledged nothing to this leader although it lacks entries. */
  unacknowledgedMs(id: number): number {
    return this.options.gaps.msOf(id);
  }

  /** Visits the leader's progress of each member, by ascending id; visits nothing on other nodes. */
  visitProgress(visit: (id: number, progress: Readonly<Progress>) => void): void {
    this.options.loop.core.visitProgress(visit);
  }

  /** Resolves when the condition holds; it is checked after every step of the core. */
  waitUntil(holds: () => boolean): Promise<void> {
    return this.options.loop.waitUntil(holds);
  }

  /**
   * Changes the configuration. Resolves when the change is committed and applied. Rejects with `UnavailableError` if
   * this node does not lead or another change is in progress, and when leadership is lost (the change may still
   * happen).
   */
  async proposeChange(change: ConfChangeV2): Promise<void> {
    const { loop, proposals } = this.options;
    if (!loop.isAlive || !loop.isLeader) throw loop.notLeading();
    try {
      await proposals.change((proposal) => {
        loop.core.proposeConfChange(change, proposal);
        loop.schedule();
      });
    } catch (error) {
      throw error instanceof ProposalDroppedError ? loop.notLeading() : error;
    }
  }

  /** The voter to which leadership would be transferred; undefined: no other voter is reachable. */
  transferee(): number | undefined {
    return this.options.transfer.transferee();
  }

  /** Transfers leadership. Resolves when the member leads; `UnavailableError` after an election timeout. */
  transferTo(id: number): Promise<void> {
    return this.options.transfer.transferTo(id);
  }

  /** The error for a caller that needs the leader; it names the leader where one is known. */
  notLeading(): UnavailableError {
    return this.options.loop.notLeading();
  }
}
