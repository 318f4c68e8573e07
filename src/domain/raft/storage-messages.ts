import type { Entry } from './entry.js';
import type { Message } from './message.js';
import { appendThread, applyThread, message } from './message.js';
import type { Raft } from './raft.js';
import type { Ready } from './ready.js';

type AppendWork = Pick<Ready, 'entries' | 'hardState' | 'snapshot'>;

export function needsStorageAppend(raft: Raft, work: AppendWork): boolean {
  return (
    work.entries.length > 0 ||
    work.hardState !== undefined ||
    work.snapshot !== undefined ||
    raft.messagesAfterAppend.length > 0
  );
}

/** Returns true if the core needs an acknowledgement that the work is durable. */
export function needsStorageAppendResponse(raft: Raft, work: AppendWork): boolean {
  return raft.log.unstable.length > 0 || work.snapshot !== undefined;
}

/**
 * Builds the work for the append thread. Its responses are the messages that promise durability, then the core's own
 * acknowledgement.
 */
export function storageAppend(raft: Raft, work: AppendWork): Message {
  const responses = [...raft.messagesAfterAppend];
  if (needsStorageAppendResponse(raft, work)) responses.push(storageAppendResponse(raft, work));
  return message({
    type: 'MsgStorageAppend',
    to: appendThread,
    from: raft.id,
    entries: work.entries,
    term: work.hardState?.term ?? 0,
    vote: work.hardState?.vote ?? 0,
    commit: work.hardState?.commit ?? 0,
    snapshot: work.snapshot,
    responses,
  });
}

/**
 * Builds the acknowledgement of the whole unstable log as of now, including entries in progress: appends are done in
 * order.
 *
 * It carries the term and is ignored in a later term. Otherwise, a late acknowledgement might match another entry with
 * the same ID: (t1, i) is being written, then replaced by a leader of t2, then replaced by t1's entries again; the
 * second write overtakes the first, and the acknowledged entry is not the one on disk. Within one term, entries are
 * never replaced, so the last entry's ID identifies everything appended in it.
 */
export function storageAppendResponse(raft: Raft, work: AppendWork): Message {
  const last = raft.log.unstable.length > 0 ? raft.log.lastEntryId : undefined;
  return message({
    type: 'MsgStorageAppendResp',
    to: raft.id,
    from: appendThread,
    term: raft.term,
    index: last?.index ?? 0,
    logTerm: last?.term ?? 0,
    snapshot: work.snapshot,
  });
}

/** Builds the work for the apply thread. It has no term, since committed entries are valid in every term. */
export function storageApply(raft: Raft, entries: readonly Entry[]): Message {
  return message({
    type: 'MsgStorageApply',
    to: applyThread,
    from: raft.id,
    entries,
    responses: [storageApplyResponse(raft, entries)],
  });
}

export function storageApplyResponse(raft: Raft, entries: readonly Entry[]): Message {
  return message({ type: 'MsgStorageApplyResp', to: raft.id, from: applyThread, entries });
}
