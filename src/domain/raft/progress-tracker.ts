import type { ConfState } from './conf-state.js';
import { emptyConfState } from './conf-state.js';
import { Inflights } from './inflights.js';
import type { Progress } from './progress.js';
import { describeProgress } from './progress.js';
import type { VoteResult } from './quorum.js';
import { committedIndex, voteResult } from './quorum.js';

/** The progress of every member of a configuration, by ID. */
export type ProgressMap = ReadonlyMap<number, Progress>;

/** A configuration with the progress of exactly its members. Lists of `config` are in ascending order. */
export interface Membership {
  readonly config: ConfState;
  readonly progress: ProgressMap;
}

/** The votes cast so far in this node's election, counting only voters. */
export interface VoteTally {
  readonly granted: number;
  readonly rejected: number;
  readonly result: VoteResult;
}

/** One node's view of the members: the current configuration, each member's progress, and the votes of an election. */
export class ProgressTracker implements Membership {
  private membership: Membership = { config: emptyConfState, progress: new Map() };
  /** The IDs of all members, ascending: the order of every visit. */
  private ids: readonly number[] = [];
  private readonly votesById = new Map<number, boolean>();

  /** The bounds of each member's in-flight window: see `Inflights`. */
  constructor(
    readonly inflightMessagesMax: number,
    readonly inflightBytesMax: number,
  ) {}

  get config(): ConfState {
    return this.membership.config;
  }

  get progress(): ProgressMap {
    return this.membership.progress;
  }

  get votes(): ReadonlyMap<number, boolean> {
    return this.votesById;
  }

  /** Installs a configuration built by `ConfChanger`. Votes are kept. */
  configure(membership: Membership): void {
    this.membership = { config: membership.config, progress: membership.progress };
    this.ids = ascending(membership.progress.keys());
  }

  /** Returns an empty in-flight window with this tracker's bounds. */
  newInflights(): Inflights {
    return new Inflights(this.inflightMessagesMax, this.inflightBytesMax);
  }

  /** Visits every member in ascending order of IDs. */
  visit(callback: (id: number, progress: Progress) => void): void {
    for (const id of this.ids) {
      const progress = this.progress.get(id);
      if (progress !== undefined) callback(id, progress);
    }
  }

  /** Returns the voters of both halves, ascending and without duplicates. */
  voterNodes(): readonly number[] {
    return ascending(new Set([...this.config.voters, ...this.config.votersOutgoing]));
  }

  /** Returns the learners, ascending, without `learnersNext`. */
  learnerNodes(): readonly number[] {
    return this.config.learners;
  }

  isVoter(id: number): boolean {
    return this.config.voters.includes(id) || this.config.votersOutgoing.includes(id);
  }

  /** True if the only voter decides alone. */
  get isSingleton(): boolean {
    return this.config.voters.length === 1 && this.config.votersOutgoing.length === 0;
  }

  /** True if the configuration is joint (Raft §6). */
  get isJoint(): boolean {
    return this.config.votersOutgoing.length > 0;
  }

  /** Returns the highest index that a quorum has (Raft §5.3); `unboundedIndex` without voters. */
  committed(): number {
    return committedIndex(this.config, (id) => this.progress.get(id)?.match);
  }

  /** Returns true if a quorum has answered since `recentActive` was last cleared (thesis §6.2). */
  quorumActive(): boolean {
    const active = new Map<number, boolean>();
    this.visit((id, progress) => {
      if (!progress.isLearner) active.set(id, progress.recentActive);
    });
    return voteResult(this.config, active) === 'won';
  }

  resetVotes(): void {
    this.votesById.clear();
  }

  /** Records the vote of `id`; only the first one counts. */
  recordVote(id: number, granted: boolean): void {
    if (!this.votesById.has(id)) this.votesById.set(id, granted);
  }

  tallyVotes(): VoteTally {
    let granted = 0;
    let rejected = 0;
    this.visit((id, progress) => {
      const vote = progress.isLearner ? undefined : this.votesById.get(id);
      if (vote === true) granted += 1;
      else if (vote === false) rejected += 1;
    });
    return { granted, rejected, result: voteResult(this.config, this.votesById) };
  }
}

/** Returns one line for logs, such as `voters=(1 2)&&(1) learners=(3) learners_next=(4) autoleave`. */
export function describeConfig(config: ConfState): string {
  let line = `voters=${describeIds(config.voters)}`;
  if (config.votersOutgoing.length > 0) line += `&&${describeIds(config.votersOutgoing)}`;
  if (config.learners.length > 0) line += ` learners=${describeIds(config.learners)}`;
  if (config.learnersNext.length > 0) line += ` learners_next=${describeIds(config.learnersNext)}`;
  if (config.autoLeave) line += ' autoleave';
  return line;
}

/** Returns a line per member in ascending order of IDs, each with a newline, such as `1: StateProbe match=0 next=1`. */
export function describeProgressMap(progress: ProgressMap): string {
  const lines: string[] = [];
  for (const id of ascending(progress.keys())) {
    const each = progress.get(id);
    if (each !== undefined) lines.push(`${id}: ${describeProgress(each)}\n`);
  }
  return lines.join('');
}

function describeIds(ids: readonly number[]): string {
  return `(${ids.join(' ')})`;
}

function ascending(ids: Iterable<number>): number[] {
  return Array.from(ids).sort((a, b) => a - b);
}
