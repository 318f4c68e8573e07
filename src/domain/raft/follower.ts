import { campaignOnHup } from './election.js';
import { restoreSnapshot } from './membership.js';
import type { Message } from './message.js';
import { noNode } from './message.js';
import type { Raft } from './raft.js';
import { ProposalDroppedError } from './raft-errors.js';
import { hex } from './raft-logger.js';
import { readContext } from './read-index.js';
import { emptySnapshot } from './snapshot.js';

/** Handles a message as a follower (Raft §5.2, §5.3). */
export function stepFollower(raft: Raft, received: Message): void {
  switch (received.type) {
    case 'MsgProp':
      forwardProposal(raft, received);
      break;
    case 'MsgApp':
      noteLeader(raft, received);
      handleAppend(raft, received);
      break;
    case 'MsgHeartbeat':
      noteLeader(raft, received);
      handleHeartbeat(raft, received);
      break;
    case 'MsgSnap':
      noteLeader(raft, received);
      handleSnapshot(raft, received);
      break;
    case 'MsgTransferLeader':
      if (raft.lead === noNode) logNoLeader(raft, 'leader transfer msg');
      else raft.send({ ...received, to: raft.lead });
      break;
    case 'MsgReadIndex':
      if (raft.lead === noNode) logNoLeader(raft, 'index reading msg');
      else raft.send({ ...received, to: raft.lead });
      break;
    case 'MsgReadIndexResp':
      handleReadIndexResponse(raft, received);
      break;
    case 'MsgForgetLeader':
      forgetLeader(raft);
      break;
    case 'MsgTimeoutNow':
      raft.logger.info(
        `${hex(raft.id)} [term ${raft.term}] received MsgTimeoutNow from ${hex(received.from)} and starts an election to get leadership.`,
      );
      // The node is not partitioned, so it needs no pre-vote.
      campaignOnHup(raft, 'transfer');
      break;
    default:
  }
}

/** Appends entries that match this log, or rejects them with a hint (Raft figure 2, AppendEntries). */
export function handleAppend(raft: Raft, received: Message): void {
  const { log } = raft;
  const { from: to, index } = received;
  if (index < log.committed) {
    raft.send({ type: 'MsgAppResp', to, index: log.committed });
    return;
  }
  const matched = log.maybeAppend({ term: received.logTerm, index }, received.entries, received.commit);
  if (matched !== undefined) {
    raft.send({ type: 'MsgAppResp', to, index: matched });
    return;
  }
  raft.logger.debug(
    `${hex(raft.id)} [logterm: ${log.term(index) ?? 0}, index: ${index}] rejected MsgApp ` +
      `[logterm: ${received.logTerm}, index: ${index}] from ${hex(to)}`,
  );
  // Entries with a term above the leader's term at that index cannot match: skip them all at once.
  const hint = log.findConflictByTerm(Math.min(index, log.lastIndex), received.logTerm);
  raft.send({ type: 'MsgAppResp', to, index, reject: true, rejectHint: hint.index, logTerm: hint.term });
}

export function handleHeartbeat(raft: Raft, received: Message): void {
  raft.log.commitTo(received.commit);
  raft.send({ type: 'MsgHeartbeatResp', to: received.from, context: received.context });
}

/** Replaces log and configuration by the snapshot, if it is newer than the committed log (Raft §7). */
export function handleSnapshot(raft: Raft, received: Message): void {
  const snapshot = received.snapshot ?? emptySnapshot;
  const { index, term } = snapshot.metadata;
  const restored = restoreSnapshot(raft, snapshot);
  raft.logger.info(
    `${hex(raft.id)} [commit: ${raft.log.committed}] ${restored ? 'restored' : 'ignored'} snapshot [index: ${index}, term: ${term}]`,
  );
  const matched = restored ? raft.log.lastIndex : raft.log.committed;
  raft.send({ type: 'MsgAppResp', to: received.from, index: matched });
}

function noteLeader(raft: Raft, { from }: Message): void {
  raft.timers.electionElapsed = 0;
  raft.lead = from;
}

function forwardProposal(raft: Raft, received: Message): void {
  if (raft.lead === noNode) {
    logNoLeader(raft, 'proposal');
    throw new ProposalDroppedError();
  }
  if (raft.config.disableProposalForwarding) {
    raft.logger.info(
      `${hex(raft.id)} not forwarding to leader ${hex(raft.lead)} at term ${raft.term}; dropping proposal`,
    );
    throw new ProposalDroppedError();
  }
  raft.send({ ...received, to: raft.lead });
}

function handleReadIndexResponse(raft: Raft, received: Message): void {
  const count = received.entries.length;
  if (count === 1) {
    raft.readStates.push({ index: received.index, requestContext: readContext(received) });
    return;
  }
  raft.logger.error(
    `${hex(raft.id)} invalid format of MsgReadIndexResp from ${hex(received.from)}, entries count: ${count}`,
  );
}

function forgetLeader(raft: Raft): void {
  if (raft.config.readOnlyOption === 'lease-based') {
    // The leader serves reads because no node votes for another one within a timeout.
    raft.logger.error('ignoring MsgForgetLeader due to ReadOnlyLeaseBased');
  } else if (raft.lead !== noNode) {
    raft.logger.info(`${hex(raft.id)} forgetting leader ${hex(raft.lead)} at term ${raft.term}`);
    raft.lead = noNode;
  }
}

function logNoLeader(raft: Raft, dropped: string): void {
  raft.logger.info(`${hex(raft.id)} no leader at term ${raft.term}; dropping ${dropped}`);
}
