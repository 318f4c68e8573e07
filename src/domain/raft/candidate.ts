import { campaign, poll } from './election.js';
import { handleAppend, handleHeartbeat, handleSnapshot } from './follower.js';
import { startLeading } from './leader.js';
import type { Message } from './message.js';
import { noNode } from './message.js';
import type { Raft } from './raft.js';
import { ProposalDroppedError } from './raft-errors.js';
import { hex } from './raft-logger.js';

/** Handles a message as a candidate (Raft §5.2) or a pre-candidate (thesis §9.6). */
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
    else startLeading(raft);
  } else if (result === 'lost') {
    // A pre-vote response may carry a later term: stay in this one.
    raft.becomeFollower(raft.term, noNode);
  }
}
