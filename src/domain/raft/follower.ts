import { campaignOnHup } from './election.js';
import { restoreSnapshot } from './membership.js';
import type { Message } from './message.js';
import { noNode } from './message.js';
import type { Raft } from './raft.js';
import { ProposalDroppedError } from './raft-errors.js';
import { hex } from './raft-logger.js';
import { readContext } from './read-index.js';
import { emptySnapshot } from './snapshot.js';

/** The rules of a follower (Raft §5.2, §5.3). */
export function stepFollower(raft: Raft, received: Message): void {
  switch (received.type) {
    case 'MsgProp':
      forwardProposal(raft, received);
      break;
    case 'MsgApp':
      heardFromLeader(raft, received);
      handleAppend(raft, received);
      break;
    case 'MsgHeartbeat':
      heardFromLeader(raft, received);
      handleHeartbeat(raft, received);
      break;
    case 'MsgSnap':
      heardFromLeader(raft, received);
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
      takeReadIndex(raft, received);
      break;
    case 'MsgForgetLeader':
      forgetLeader(raft);
      break;
    case 'MsgTimeoutNow':
      raft.logger.info(
        `${hex(raft.id)} [term ${raft.term}] received MsgTimeoutNow from ${hex(received.from)} and starts an election to get leadership.`,
      );
      // Nobody is cut off here: there is no need to ask first.
      campaignOnHup(raft, 'transfer');
      break;
    default:
  }
}

/** Appends what follows on this log, or says where it might (Raft figure 2, AppendEntries). */
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
  // Entries here of later terms than the leader's at that place cannot match it: skip them all at once.
  const hint = log.findConflictByTerm(Math.min(index, log.lastIndex), received.logTerm);
  raft.send({ type: 'MsgAppResp', to, index, reject: true, rejectHint: hint.index, logTerm: hint.term });
}

export function handleHeartbeat(raft: Raft, received: Message): void {
  raft.log.commitTo(received.commit);
  raft.send({ type: 'MsgHeartbeatResp', to: received.from, context: received.context });
}

/** Replaces log and configuration by the snapshot, if it is of use (Raft §7). */
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

function heardFromLeader(raft: Raft, { from }: Message): void {
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

function takeReadIndex(raft: Raft, received: Message): void {
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
    // The leader serves reads because nobody votes against it for a timeout.
    raft.logger.error('ignoring MsgForgetLeader due to ReadOnlyLeaseBased');
  } else if (raft.lead !== noNode) {
    raft.logger.info(`${hex(raft.id)} forgetting leader ${hex(raft.lead)} at term ${raft.term}`);
    raft.lead = noNode;
  }
}

function logNoLeader(raft: Raft, dropped: string): void {
  raft.logger.info(`${hex(raft.id)} no leader at term ${raft.term}; dropping ${dropped}`);
}
