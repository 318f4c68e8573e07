import type { Message, MessageType } from './message.js';
import { noNode } from './message.js';
import type { VoteTally } from './progress-tracker.js';
import type { Raft } from './raft.js';
import { hex } from './raft-logger.js';

/** Why a node campaigns: asking first (thesis §9.6), for its timeout, or because the leader told it to (§3.10). */
export type CampaignKind = 'pre-election' | 'election' | 'transfer';

/** Marks the votes of a transfer, which are granted even within a leader's lease. */
const transferContext = new TextEncoder().encode('CampaignTransfer');

export function isTransferContext(context: Uint8Array | undefined): boolean {
  return context?.length === transferContext.length && context.every((byte, place) => byte === transferContext[place]);
}

/** Starts an election, if this node may. */
export function campaignOnHup(raft: Raft, kind: CampaignKind): void {
  const own = hex(raft.id);
  if (raft.state === 'StateLeader') {
    raft.logger.debug(`${own} ignoring MsgHup because already leader`);
  } else if (!raft.promotable) {
    raft.logger.warning(`${own} is unpromotable and can not campaign`);
  } else if (hasUnappliedConfChange(raft)) {
    raft.logger.warning(
      `${own} cannot campaign at term ${raft.term} since there are still pending configuration changes to apply`,
    );
  } else {
    raft.logger.info(`${own} is starting a new election at term ${raft.term}`);
    campaign(raft, kind);
  }
}

/** Asks all voters for their votes (Raft §5.2). */
export function campaign(raft: Raft, kind: CampaignKind): void {
  const asksFirst = kind === 'pre-election';
  if (asksFirst) raft.becomePreCandidate();
  else raft.becomeCandidate();
  const type = asksFirst ? 'MsgPreVote' : 'MsgVote';
  const term = asksFirst ? raft.term + 1 : raft.term;
  const context = kind === 'transfer' ? transferContext : undefined;
  const last = raft.log.lastEntryId;
  for (const to of raft.tracker.voterNodes()) {
    if (to === raft.id) {
      // Its own vote counts when it is durable, like any other.
      raft.send({ type: voteResponse(type), to, term });
      continue;
    }
    raft.logger.info(
      `${hex(raft.id)} [logterm: ${last.term}, index: ${last.index}] sent ${type} request to ${hex(to)} at term ${raft.term}`,
    );
    raft.send({ type, to, term, index: last.index, logTerm: last.term, context });
  }
}

/** Takes in a vote for this node. */
export function poll(raft: Raft, { from, type, reject }: Message): VoteTally {
  raft.logger.info(
    `${hex(raft.id)} received ${type}${reject ? ' rejection' : ''} from ${hex(from)} at term ${raft.term}`,
  );
  raft.tracker.recordVote(from, !reject);
  return raft.tracker.tallyVotes();
}

/**
 * Grants or refuses a vote (Raft §5.2, §5.4.1). A learner votes too: whoever asks may know of a configuration where it
 * is a voter.
 */
export function answerVoteRequest(raft: Raft, request: Message): void {
  const { type, from, term } = request;
  const free =
    raft.vote === from ||
    (raft.vote === noNode && raft.lead === noNode) ||
    // A pre-vote for a later term promises nothing.
    (type === 'MsgPreVote' && term > raft.term);
  const granted = free && raft.log.isUpToDate({ term: request.logTerm, index: request.index });
  const last = raft.log.lastEntryId;
  raft.logger.info(
    `${hex(raft.id)} [logterm: ${last.term}, index: ${last.index}, vote: ${hex(raft.vote)}] ` +
      `${granted ? 'cast' : 'rejected'} ${type} ${granted ? 'for' : 'from'} ${hex(from)} ` +
      `[logterm: ${request.logTerm}, index: ${request.index}] at term ${raft.term}`,
  );
  // A pre-vote is granted in the term it asked for, which may not be this node's; refused in this node's own.
  raft.send({ type: voteResponse(type), to: from, term: granted ? term : raft.term, reject: !granted });
  if (granted && type === 'MsgVote') {
    raft.timers.electionElapsed = 0;
    raft.vote = from;
  }
}

function voteResponse(type: MessageType): 'MsgVoteResp' | 'MsgPreVoteResp' {
  return type === 'MsgPreVote' ? 'MsgPreVoteResp' : 'MsgVoteResp';
}

/** A node that campaigns goes by a configuration no older than its committed entries. */
function hasUnappliedConfChange({ log, config }: Raft): boolean {
  if (log.applied >= log.committed) return false;
  return log.some(log.applied + 1, log.committed + 1, config.maxCommittedSizePerReady, ({ type }) => type !== 'normal');
}
