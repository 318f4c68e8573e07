import { payloadsSize } from './entry.js';
import type { Progress } from './progress.js';
import { describeProgress } from './progress.js';
import type { Raft } from './raft.js';
import { hex, panic } from './raft-logger.js';
import type { Snapshot } from './snapshot.js';
import { isEmptySnapshot } from './snapshot.js';
import { SnapshotTemporarilyUnavailableError } from './storage.js';

/** Sends every member its missing entries, or else the commit index. */
export function broadcastAppend(raft: Raft): void {
  raft.tracker.visit((id) => {
    if (id !== raft.id) sendAppend(raft, id, 'even-if-empty');
  });
}

export function broadcastHeartbeat(raft: Raft, context: Uint8Array | undefined): void {
  raft.tracker.visit((to, progress) => {
    if (to === raft.id) return;
    // After the known match, the follower's log may differ from this one.
    const commit = Math.min(progress.match, raft.log.committed);
    raft.send({ type: 'MsgHeartbeat', to, commit, context });
    progress.recordSentCommit(commit);
  });
}

/**
 * Sends the follower as many of its next entries as fit in one message, or a snapshot if they are compacted. Returns
 * whether a message was sent; without new entries, sends one only with `even-if-empty`, for the commit index.
 */
export function sendAppend(raft: Raft, to: number, when: 'even-if-empty' | 'with-entries'): boolean {
  const progress = raft.tracker.progress.get(to);
  if (progress === undefined || progress.paused) return false;
  const index = progress.next - 1;
  const logTerm = raft.log.term(index);
  if (logTerm === undefined) return sendSnapshot(raft, to, progress);

  // With a full window, an empty message is a probe: nothing else would detect that all messages in flight were lost.
  const throttled = progress.state === 'replicate' && progress.inflights.full;
  const entries = throttled ? [] : raft.log.entries(progress.next, raft.config.maxSizePerMsg);
  if (entries === undefined) return sendSnapshot(raft, to, progress);
  if (entries.length === 0 && when === 'with-entries') return false;

  const commit = raft.log.committed;
  raft.send({ type: 'MsgApp', to, index, logTerm, entries, commit });
  progress.sentEntries(entries.length, payloadsSize(entries));
  progress.recordSentCommit(commit);
  return true;
}

/** Commits the entries of this term that a quorum has (Raft §5.3, §5.4.2). */
export function maybeCommit(raft: Raft): boolean {
  return raft.log.maybeCommit({ term: raft.term, index: raft.tracker.committed() });
}

function sendSnapshot(raft: Raft, to: number, progress: Progress): boolean {
  const { logger, log } = raft;
  if (!progress.recentActive) {
    logger.debug(`ignore sending snapshot to ${hex(to)} since it is not recently active`);
    return false;
  }
  const snapshot = availableSnapshot(raft);
  if (snapshot === undefined) {
    logger.debug(`${hex(raft.id)} failed to send snapshot to ${hex(to)} because snapshot is temporarily unavailable`);
    return false;
  }
  if (isEmptySnapshot(snapshot)) panic('need non-empty snapshot');
  const { index, term } = snapshot.metadata;
  logger.debug(
    `${hex(raft.id)} [firstindex: ${log.firstIndex}, commit: ${log.committed}] sent snapshot[index: ${index}, term: ${term}] ` +
      `to ${hex(to)} [${describeProgress(progress)}]`,
  );
  progress.becomeSnapshot(index);
  logger.debug(`${hex(raft.id)} paused sending replication messages to ${hex(to)} [${describeProgress(progress)}]`);
  raft.send({ type: 'MsgSnap', to, snapshot });
  return true;
}

function availableSnapshot(raft: Raft): Snapshot | undefined {
  try {
    return raft.log.snapshot();
  } catch (error) {
    if (error instanceof SnapshotTemporarilyUnavailableError) return undefined;
    throw error;
  }
}
