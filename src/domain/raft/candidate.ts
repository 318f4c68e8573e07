import { campaign, poll } from './election.js';
import { handleAppend, handleHeartbeat, handleSnapshot } from './follower.js';
import { takeLead } from './leader.js';
import type { Message } from './message.js';
import { noNode } from './message.js';
import type { Raft } from './raft.js';
import { ProposalDroppedError } from './raft-errors.js';
import { hex } from './raft-logger.js';

/** The rules of a candidate (Raft §5.2) and of a pre-candidate (thesis §9.6). */
export function stepCandidate(raft: Raft, received: Message): void {
  switch (received.type) {
    case 'MsgProp':
      raft.logger.info(`${hex(raft.id)} no leader at term ${raft.term}; dropping proposal`);
      throw new ProposalDroppedError();
    case 'MsgApp':
      raft.becomeFollower(received.term, received.from);
      handleAppend(raft, received);
      break;
    case 'MsgHeartbeat':
      raft.becomeFollower(received.term, received.from);
      handleHeartbeat(raft, received);
      break;
    case 'MsgSnap':
      raft.becomeFollower(received.term, received.from);
      handleSnapshot(raft, received);
      break;
    case 'MsgPreVoteResp':
      if (raft.state === 'StatePreCandidate') countVote(raft, received);
      break;
    case 'MsgVoteResp':
      if (raft.state === 'StateCandidate') countVote(raft, received);
      break;
    case 'MsgTimeoutNow':
      raft.logger.debug(
        `${hex(raft.id)} [term ${raft.term} state ${raft.state}] ignored MsgTimeoutNow from ${hex(received.from)}`,
      );
      break;
    default:
  }
}

function countVote(raft: Raft, received: Message): void {
  const { granted, rejected, result } = poll(raft, received);
  raft.logger.info(`${hex(raft.id)} has received ${granted} ${received.type} votes and ${rejected} vote rejections`);
  if (result === 'won') {
    if (raft.state === 'StatePreCandidate') campaign(raft, 'election');
    else takeLead(raft);
  } else if (result === 'lost') {
    // The answer to a pre-vote may carry a later term: stay in this one.
    raft.becomeFollower(raft.term, noNode);
  }
}
