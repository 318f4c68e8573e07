import type { Message, MessageType } from './message.js';
import { noNode } from './message.js';
import type { VoteTally } from './progress-tracker.js';
import type { Raft } from './raft.js';
import { hex } from './raft-logger.js';

/** The reason for a campaign: a pre-vote (thesis §9.6), a timeout, or a leadership transfer (§3.10). */
export type CampaignKind = 'pre-election' | 'election' | 'transfer';

/** Marks the vote requests of a transfer, which are granted even within a leader's lease. */
const transferContext = new TextEncoder().encode('CampaignTransfer');

export function isTransferContext(context: Uint8Array | undefined): boolean {
  return context?.length === transferContext.length && context.every((byte, i) => byte === transferContext[i]);
}

/** Starts an election if this node may campaign. */
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

/** Requests the votes of all voters (Raft §5.2). */
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
      // Its own vote counts once it is durable, like any other.
      raft.send({ type: voteResponse(type), to, term });
      continue;
    }
    raft.logger.info(
      `${hex(raft.id)} [logterm: ${last.term}, index: ${last.index}] sent ${type} request to ${hex(to)} at term ${raft.term}`,
    );
    raft.send({ type, to, term, index: last.index, logTerm: last.term, context });
  }
}

/** Records a vote response and returns the tally. */
export function poll(raft: Raft, { from, type, reject }: Message): VoteTally {
  raft.logger.info(
    `${hex(raft.id)} received ${type}${reject ? ' rejection' : ''} from ${hex(from)} at term ${raft.term}`,
  );
  raft.tracker.recordVote(from, !reject);
  return raft.tracker.tallyVotes();
}

/**
 * Grants or rejects a vote (Raft §5.2, §5.4.1). A learner votes too: the candidate may know a configuration in which it
 * is a voter.
 */
export function answerVoteRequest(raft: Raft, request: Message): void {
  const { type, from, term } = request;
  const free =
    raft.vote === from ||
    (raft.vote === noNode && raft.lead === noNode) ||
    // Granting a pre-vote for a later term is not a promise.
    (type === 'MsgPreVote' && term > raft.term);
  const granted = free && raft.log.isUpToDate({ term: request.logTerm, index: request.index });
  const last = raft.log.lastEntryId;
  raft.logger.info(
    `${hex(raft.id)} [logterm: ${last.term}, index: ${last.index}, vote: ${hex(raft.vote)}] ` +
      `${granted ? 'cast' : 'rejected'} ${type} ${granted ? 'for' : 'from'} ${hex(from)} ` +
      `[logterm: ${request.logTerm}, index: ${request.index}] at term ${raft.term}`,
  );
  // A grant carries the term of the request, which may differ from this node's term; a rejection carries this node's
  // term.
  raft.send({ type: voteResponse(type), to: from, term: granted ? term : raft.term, reject: !granted });
  if (granted && type === 'MsgVote') {
    raft.timers.electionElapsed = 0;
    raft.vote = from;
  }
}

function voteResponse(type: MessageType): 'MsgVoteResp' | 'MsgPreVoteResp' {
  return type === 'MsgPreVote' ? 'MsgPreVoteResp' : 'MsgVoteResp';
}

/** A node campaigns only with a configuration that is not older than its committed entries. */
function hasUnappliedConfChange({ log, config }: Raft): boolean {
  if (log.applied >= log.committed) return false;
  return log.some(log.applied + 1, log.committed + 1, config.maxCommittedSizePerReady, ({ type }) => type !== 'normal');
}
