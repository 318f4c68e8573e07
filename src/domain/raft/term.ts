import { isTransferContext } from './election.js';
import type { Message } from './message.js';
import { noNode } from './message.js';
import type { Raft } from './raft.js';
import { hex } from './raft-logger.js';

/**
 * Adopts a later term, and answers or drops messages of an earlier one (Raft §5.1). Returns whether the message must
 * still be handled.
 */
export function acceptTerm(raft: Raft, received: Message): boolean {
  if (received.term === 0) return true;
  if (received.term > raft.term) return acceptLaterTerm(raft, received);
  if (received.term < raft.term) {
    answerEarlierTerm(raft, received);
    return false;
  }
  return true;
}

function acceptLaterTerm(raft: Raft, received: Message): boolean {
  const { type, from, term } = received;
  const isVoteRequest = type === 'MsgVote' || type === 'MsgPreVote';
  if (isVoteRequest && !isTransferContext(received.context) && holdsLease(raft)) {
    const last = raft.log.lastEntryId;
    raft.logger.info(
      `${hex(raft.id)} [logterm: ${last.term}, index: ${last.index}, vote: ${hex(raft.vote)}] ignored ${type} from ${hex(from)} ` +
        `[logterm: ${received.logTerm}, index: ${received.index}] at term ${raft.term}: ` +
        `lease is not expired (remaining ticks: ${raft.timers.leaseTicks})`,
    );
    return false;
  }
  // A pre-vote changes no term, and a granted response carries the term of the future campaign. A rejection carries a
  // real term.
  if (type === 'MsgPreVote' || (type === 'MsgPreVoteResp' && !received.reject)) return true;
  raft.logger.info(
    `${hex(raft.id)} [term: ${raft.term}] received a ${type} message with higher term from ${hex(from)} [term: ${term}]`,
  );
  const fromLeader = type === 'MsgApp' || type === 'MsgHeartbeat' || type === 'MsgSnap';
  raft.becomeFollower(term, fromLeader ? from : noNode);
  return true;
}

/** Returns true if this node has recently heard from a leader and must not help to depose it (thesis §6.2, §4.2.3). */
function holdsLease(raft: Raft): boolean {
  return raft.config.checkQuorum && raft.lead !== noNode && raft.timers.leaseTicks > 0;
}

function answerEarlierTerm(raft: Raft, received: Message): void {
  const { type, from, term } = received;
  const guarded = raft.config.checkQuorum || raft.config.preVote;
  if (guarded && (type === 'MsgHeartbeat' || type === 'MsgApp')) {
    // A node that returns with a later term cannot win, because its vote requests are ignored, nor follow, because its
    // term is later. The response moves the leader to the later term, whose election includes the node.
    raft.send({ type: 'MsgAppResp', to: from });
  } else if (type === 'MsgPreVote') {
    // Without a response, candidates with and without pre-vote could deadlock.
    const last = raft.log.lastEntryId;
    raft.logger.info(
      `${hex(raft.id)} [logterm: ${last.term}, index: ${last.index}, vote: ${hex(raft.vote)}] rejected ${type} from ${hex(from)} ` +
        `[logterm: ${received.logTerm}, index: ${received.index}] at term ${raft.term}`,
    );
    raft.send({ type: 'MsgPreVoteResp', to: from, term: raft.term, reject: true });
  } else if (type === 'MsgStorageAppendResp') {
    if (received.index !== 0) {
      raft.logger.info(
        `${hex(raft.id)} [term: ${raft.term}] ignored entry appends from a ${type} message with lower term [term: ${term}]`,
      );
    }
    if (received.snapshot !== undefined) raft.appliedSnapshot(received.snapshot);
  } else {
    raft.logger.info(
      `${hex(raft.id)} [term: ${raft.term}] ignored a ${type} message with lower term from ${hex(from)} [term: ${term}]`,
    );
  }
}
