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

/** Whether the core must hear that the work is durable. */
export function needsStorageAppendResponse(raft: Raft, work: AppendWork): boolean {
  return raft.log.unstable.length > 0 || work.snapshot !== undefined;
}

/**
 * The work for the append thread. Its responses are the messages that promise durability, and last the core's own
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
 * Acknowledges the whole unstable log as of now, entries in progress included: appends are done in order.
 *
 * It carries the term, and is void in a later one. Else an acknowledgement might come late and find another entry of
 * the same id in its place: (t1, i) is handed out, then replaced by a leader of t2, which is then replaced by t1's
 * entries once more; the first write is overtaken by the second, and what is acknowledged is not what is on disk.
 * In one term entries are never replaced, so what was appended in it is what its last entry names.
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

/** The work for the apply thread; what is committed holds in every term, so no term is given. */
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
