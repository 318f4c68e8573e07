import type { Inflights } from './inflights.js';

/**
 * The way a leader sends to a follower.
 *
 *     probe ──── an append is accepted ───▶ replicate
 *       ▲ ▲                                    │  │
 *       │ └──── rejected, or unreachable ──────┘  │ the entries it needs are compacted
 *       │                                         ▼ (from probe as well)
 *       └── snapshot installed or failed ───── snapshot
 *
 * `probe`: the matching index is unknown, so one append is sent at a time. `replicate`: appends are pipelined up to the
 * in-flight window. `snapshot`: a snapshot is in flight, and nothing else is sent.
 */
export type ProgressState = 'probe' | 'replicate' | 'snapshot';

export interface ProgressFields {
  readonly match?: number;
  readonly next: number;
  readonly inflights: Inflights;
  readonly isLearner?: boolean;
  readonly recentActive?: boolean;
}

/**
 * A leader's view of one member's log (Raft §5.3, `matchIndex` and `nextIndex` of figure 2; thesis §10.2 for flow
 * control).
 *
 * Invariant: `match < next`; entries between them may be in flight only in `replicate`.
 */
export class Progress {
  /** The highest index up to which the logs are known to match; 0 when unknown. */
  match: number;
  /** The index of the next entry to send. Earlier entries have been sent or are known to match. */
  next: number;
  state: ProgressState = 'probe';
  /** In state `snapshot`, the index of the snapshot in flight; otherwise 0. */
  pendingSnapshot = 0;
  /** True if the member has answered since the last check (check-quorum, thesis §6.2). */
  recentActive: boolean;
  /**
   * True if appends wait for a response: a probe is in flight, or the window is full. A heartbeat response resumes
   * them.
   */
  appendsPaused = false;
  isLearner: boolean;
  readonly inflights: Inflights;
  /** The highest commit index sent that the member can have applied to its log. */
  private commitSent = 0;

  constructor(fields: ProgressFields) {
    this.match = fields.match ?? 0;
    this.next = fields.next;
    this.inflights = fields.inflights;
    this.isLearner = fields.isLearner ?? false;
    this.recentActive = fields.recentActive ?? false;
  }

  get sentCommit(): number {
    return this.commitSent;
  }

  /** Returns an independent copy. */
  clone(): Progress {
    const copy = new Progress({
      match: this.match,
      next: this.next,
      inflights: this.inflights.clone(),
      isLearner: this.isLearner,
      recentActive: this.recentActive,
    });
    copy.state = this.state;
    copy.pendingSnapshot = this.pendingSnapshot;
    copy.appendsPaused = this.appendsPaused;
    copy.commitSent = this.commitSent;
    return copy;
  }

  /** Resets everything except `isLearner` for a new term (Raft figure 2, "reinitialized after election"). */
  restart(match: number, next: number): void {
    this.enter('probe');
    this.match = match;
    this.next = next;
    this.recentActive = false;
    this.commitSent = 0;
  }

  becomeProbe(): void {
    // A snapshot in flight may have arrived: probing then starts after it.
    const next = Math.max(this.match, this.pendingSnapshot) + 1;
    this.enter('probe');
    this.moveNext(next);
  }

  becomeReplicate(): void {
    this.enter('replicate');
    this.next = this.match + 1;
  }

  /** `index` is the last entry that the snapshot covers. */
  becomeSnapshot(index: number): void {
    this.enter('snapshot');
    this.pendingSnapshot = index;
    this.next = index + 1;
    this.commitSent = index;
  }

  /** Records that an append of `count` entries and `bytes` of payload was sent. Not allowed in state `snapshot`. */
  sentEntries(count: number, bytes: number): void {
    switch (this.state) {
      case 'replicate':
        if (count > 0) {
          this.next += count;
          this.inflights.add(this.next - 1, bytes);
        }
        // An append into a full window is a probe: it pauses sending until it is answered.
        this.appendsPaused = this.inflights.full;
        break;
      case 'probe':
        if (count > 0) this.appendsPaused = true;
        break;
      case 'snapshot':
        throw new Error(`sending append in unhandled state ${describeProgressState(this.state)}`);
    }
  }

  /** Returns true if sending the commit index can advance the member's, given what was sent before. */
  canBumpCommit(commit: number): boolean {
    return commit > this.commitSent && this.commitSent < this.next - 1;
  }

  /** Records that the commit index was sent. */
  recordSentCommit(commit: number): void {
    this.commitSent = commit;
  }

  /** Records that the logs match up to `index`. Returns false when that was already known: the response is late. */
  maybeUpdate(index: number): boolean {
    if (index <= this.match) return false;
    this.match = index;
    this.next = Math.max(this.next, index + 1);
    this.appendsPaused = false;
    return true;
  }

  /**
   * Records that an append after `rejected` was rejected, and that the logs may match at `matchHint` (Raft §5.3, the
   * optimization). Returns false when the rejection is late.
   */
  maybeDecreaseTo(rejected: number, matchHint: number): boolean {
    if (this.state === 'replicate') {
      if (rejected <= this.match) return false;
      this.moveNext(this.match + 1);
      return true;
    }
    // Only one append is in flight: a rejection at another index is for an older one.
    if (this.next - 1 !== rejected) return false;
    this.moveNext(Math.max(Math.min(rejected, matchHint + 1), this.match + 1));
    this.appendsPaused = false;
    return true;
  }

  /** True if no entries may be sent for now. */
  get paused(): boolean {
    return this.state === 'snapshot' || this.appendsPaused;
  }

  private enter(state: ProgressState): void {
    this.state = state;
    this.appendsPaused = false;
    this.pendingSnapshot = 0;
    this.inflights.reset();
  }

  /** Moves `next` back: later entries, and a commit index above them, are sent again. */
  private moveNext(next: number): void {
    this.next = next;
    this.commitSent = Math.min(this.commitSent, next - 1);
  }
}

const stateNames: Record<ProgressState, string> = {
  probe: 'StateProbe',
  replicate: 'StateReplicate',
  snapshot: 'StateSnapshot',
};

export function describeProgressState(state: ProgressState): string {
  return stateNames[state];
}

/** Returns one line for logs and status, such as `StateReplicate match=11 next=14 inflight=2`. */
export function describeProgress(progress: Progress): string {
  const { inflights } = progress;
  const words = [describeProgressState(progress.state), `match=${progress.match}`, `next=${progress.next}`];
  if (progress.isLearner) words.push('learner');
  if (progress.paused) words.push('paused');
  if (progress.pendingSnapshot > 0) words.push(`pendingSnap=${progress.pendingSnapshot}`);
  if (!progress.recentActive) words.push('inactive');
  if (inflights.count > 0) words.push(`inflight=${inflights.count}${inflights.full ? '[full]' : ''}`);
  return words.join(' ');
}
