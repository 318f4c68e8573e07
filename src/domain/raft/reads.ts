import type { Message } from './message.js';
import { noNode } from './message.js';
import type { Raft } from './raft.js';
import { broadcastHeartbeat } from './replication.js';
import { readContext, ReadIndexQueue } from './read-index.js';
import { voteResult } from './quorum.js';

/** The reads that a leader has not answered yet (thesis §6.4). */
export interface PendingReads {
  /** Reads that wait for a quorum to confirm that this node is still the leader. */
  readonly queue: ReadIndexQueue;
  /** Reads that wait for this leader's first commit: until then, it does not know what is committed. */
  early: Message[];
  clear(): void;
}

export function newPendingReads(): PendingReads {
  const queue = new ReadIndexQueue();
  return {
    queue,
    early: [],
    clear() {
      queue.clear();
      this.early = [];
    },
  };
}

/** Handles a read request on the leader. */
export function leadRead(raft: Raft, request: Message): void {
  if (raft.tracker.isSingleton) {
    answerRead(raft, request, raft.log.committed);
  } else if (committedInTerm(raft)) {
    confirmRead(raft, request);
  } else {
    raft.reads.early.push(request);
  }
}

/** Resumes the early reads once the leader has committed an entry of its term. */
export function releaseEarlyReads(raft: Raft): void {
  if (raft.reads.early.length === 0 || !committedInTerm(raft)) return;
  const early = raft.reads.early;
  raft.reads.early = [];
  for (const request of early) confirmRead(raft, request);
}

/** Records a heartbeat response, which confirms the read whose context the heartbeat carried. */
export function confirmReadBy(raft: Raft, response: Message): void {
  const { context } = response;
  if (raft.config.readOnlyOption !== 'safe' || context === undefined || context.length === 0) return;
  const acks = raft.reads.queue.acknowledge(response.from, context);
  if (voteResult(raft.tracker.config, acks) !== 'won') return;
  for (const { request, index } of raft.reads.queue.advance(context)) answerRead(raft, request, index);
}

function confirmRead(raft: Raft, request: Message): void {
  if (raft.config.readOnlyOption === 'lease-based') {
    answerRead(raft, request, raft.log.committed);
    return;
  }
  const context = readContext(request);
  raft.reads.queue.add(request, raft.log.committed);
  raft.reads.queue.acknowledge(raft.id, context);
  broadcastHeartbeat(raft, context);
}

function answerRead(raft: Raft, request: Message, index: number): void {
  if (request.from === noNode || request.from === raft.id) {
    raft.readStates.push({ index, requestContext: readContext(request) });
  } else {
    raft.send({ type: 'MsgReadIndexResp', to: request.from, index, entries: request.entries });
  }
}

function committedInTerm(raft: Raft): boolean {
  return raft.log.term(raft.log.committed) === raft.term;
}
