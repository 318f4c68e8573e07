import type { Inflights } from './inflights.js';

/**
 * How a leader sends to a follower.
 *
 *     probe ──── an append is accepted ───▶ replicate
 *       ▲ ▲                                    │  │
 *       │ └──── rejected, or unreachable ──────┘  │ the entries it needs are compacted
 *       │                                         ▼ (from probe as well)
 *       └── snapshot installed or failed ───── snapshot
 *
 * `probe`: where the logs meet is not known, so one append at a time. `replicate`: appends are pipelined up to the
 * in-flight window. `snapshot`: a snapshot is under way, nothing else is sent.
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
 * What a leader knows of one member's log (Raft §5.3, `matchIndex` and `nextIndex` of figure 2; thesis §10.2 for
 * flow control).
 *
 * Invariant: `match < next`, and of the entries between them some are under way in `replicate`, and none otherwise.
 */
export class Progress {
  /** The highest index known to be the same in both logs; 0 when nothing is known. */
  match: number;
  /** The index of the next entry to send. All before it have been sent or are known to be there. */
  next: number;
  state: ProgressState = 'probe';
  /** In state `snapshot`, the index of the snapshot under way; else 0. */
  pendingSnapshot = 0;
  /** Whether the member has answered since the leader last looked (check-quorum, thesis §6.2). */
  recentActive: boolean;
  /** Whether appends wait for an answer: the probe is out, or the window is full. A heartbeat's answer resumes them. */
  appendsPaused = false;
  isLearner: boolean;
  readonly inflights: Inflights;
  /** The highest commit index sent, so far as the member can have taken it over. */
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

  /** An independent copy. */
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

  /** Forgets all but whether it is a learner: a new term begins (Raft figure 2, "reinitialized after election"). */
  restart(match: number, next: number): void {
    this.enter('probe');
    this.match = match;
    this.next = next;
    this.recentActive = false;
    this.commitSent = 0;
  }

  becomeProbe(): void {
    // A snapshot that was under way may have arrived: then probing starts behind it.
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

  /** Records that an append of `count` entries and `bytes` of payload has been sent. Not in state `snapshot`. */
  sentEntries(count: number, bytes: number): void {
    switch (this.state) {
      case 'replicate':
        if (count > 0) {
          this.next += count;
          this.inflights.add(this.next - 1, bytes);
        }
        // An append into a full window is a probe: it pauses the flow until it is answered.
        this.appendsPaused = this.inflights.full;
        break;
      case 'probe':
        if (count > 0) this.appendsPaused = true;
        break;
      case 'snapshot':
        throw new Error(`sending append in unhandled state ${describeProgressState(this.state)}`);
    }
  }

  /** Whether sending the commit index can move the member's own, going by what was sent before. */
  canBumpCommit(commit: number): boolean {
    return commit > this.commitSent && this.commitSent < this.next - 1;
  }

  /** Records that the commit index has been sent. */
  recordSentCommit(commit: number): void {
    this.commitSent = commit;
  }

  /** Takes in that the logs agree up to `index`. False when that is no news: the answer is late. */
  maybeUpdate(index: number): boolean {
    if (index <= this.match) return false;
    this.match = index;
    this.next = Math.max(this.next, index + 1);
    this.appendsPaused = false;
    return true;
  }

  /**
   * Takes in that an append after `rejected` did not fit, and that the logs may meet at `matchHint` (Raft §5.3, the
   * faster way back). False when the rejection is late and says nothing.
   */
  maybeDecreaseTo(rejected: number, matchHint: number): boolean {
    if (this.state === 'replicate') {
      if (rejected <= this.match) return false;
      this.moveNext(this.match + 1);
      return true;
    }
    // One append is out at a time: an answer for another place answers an older one.
    if (this.next - 1 !== rejected) return false;
    this.moveNext(Math.max(Math.min(rejected, matchHint + 1), this.match + 1));
    this.appendsPaused = false;
    return true;
  }

  /** Whether no entries may be sent for now. */
  get paused(): boolean {
    return this.state === 'snapshot' || this.appendsPaused;
  }

  private enter(state: ProgressState): void {
    this.state = state;
    this.appendsPaused = false;
    this.pendingSnapshot = 0;
    this.inflights.reset();
  }

  /** Entries from `next` on are sent anew, and a commit index above them with them. */
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

/** One line for logs and status, such as `StateReplicate match=11 next=14 inflight=2`. */
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
