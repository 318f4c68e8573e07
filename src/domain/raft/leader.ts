import { asV2, decodeConfChange, describeConfChange, encodeConfChange } from './conf-change.js';
import type { Entry, ProposedEntry } from './entry.js';
import { payloadsSize } from './entry.js';
import type { Message } from './message.js';
import { message, noNode } from './message.js';
import type { Progress } from './progress.js';
import { describeProgress } from './progress.js';
import { describeConfig } from './progress-tracker.js';
import type { Raft } from './raft.js';
import { ProposalDroppedError } from './raft-errors.js';
import { hex, panic } from './raft-logger.js';
import { confirmReadBy, leadRead, releaseEarlyReads } from './reads.js';
import { broadcastAppend, broadcastHeartbeat, maybeCommit, sendAppend } from './replication.js';

type NewEntry = ProposedEntry & Pick<Entry, 'type'>;

const emptyEntry: NewEntry = { type: 'normal', data: new Uint8Array(0) };

/** Makes a candidate that won the leader, and appends an entry of its term, so that it can commit (Raft §5.4.2, §8). */
export function startLeading(raft: Raft): void {
  raft.becomeLeader();
  const own = progressOf(raft, raft.id);
  if (own !== undefined) {
    own.becomeReplicate();
    own.recentActive = true;
  }
  if (!append(raft, [emptyEntry])) panic('empty entry was dropped');
  raft.logger.info(`${hex(raft.id)} became leader at term ${raft.term}`);
  broadcastAppend(raft);
}

/** Handles a message as the leader (Raft §5.3). */
export function stepLeader(raft: Raft, received: Message): void {
  switch (received.type) {
    case 'MsgBeat':
      broadcastHeartbeat(raft, raft.reads.queue.lastContext);
      return;
    case 'MsgCheckQuorum':
      checkQuorum(raft);
      return;
    case 'MsgProp':
      propose(raft, received.entries);
      return;
    case 'MsgReadIndex':
      leadRead(raft, received);
      return;
    case 'MsgForgetLeader':
      return;
    default:
  }
  const progress = progressOf(raft, received.from);
  if (progress === undefined) {
    raft.logger.debug(`${hex(raft.id)} no progress available for ${hex(received.from)}`);
    return;
  }
  switch (received.type) {
    case 'MsgAppResp':
      progress.recentActive = true;
      if (received.reject) handleRejection(raft, received, progress);
      else handleAcceptance(raft, received, progress);
      break;
    case 'MsgHeartbeatResp':
      handleHeartbeatResponse(raft, received, progress);
      break;
    case 'MsgSnapStatus':
      handleSnapshotStatus(raft, received, progress);
      break;
    case 'MsgUnreachable':
      // Messages in flight are probably lost.
      if (progress.state === 'replicate') progress.becomeProbe();
      raft.logger.debug(
        `${hex(raft.id)} failed to send message to ${hex(received.from)} because it is unreachable [${describeProgress(progress)}]`,
      );
      break;
    case 'MsgTransferLeader':
      transferTo(raft, received.from, progress);
      break;
    default:
  }
}

/** Proposes to leave a joint configuration with `autoLeave` (thesis §4.3); repeated whenever entries are applied. */
export function proposeLeavingJoint(raft: Raft): void {
  const { type, data } = encodeConfChange(undefined);
  const config = describeConfig(raft.tracker.config);
  try {
    raft.step(message({ type: 'MsgProp', entries: [{ term: 0, index: 0, type, data }] }));
    raft.logger.info(`initiating automatic transition out of joint configuration ${config}`);
  } catch (error) {
    if (!(error instanceof ProposalDroppedError)) throw error;
    raft.logger.debug(`not initiating automatic transition out of joint configuration ${config}: ${error.message}`);
  }
}

function propose(raft: Raft, entries: readonly Entry[]): void {
  if (entries.length === 0) panic(`${hex(raft.id)} stepped empty MsgProp`);
  // This node was removed from the configuration while it was the leader.
  if (!raft.hasMember(raft.id)) throw new ProposalDroppedError();
  if (raft.leadTransferee !== noNode) {
    raft.logger.debug(
      `${hex(raft.id)} [term ${raft.term}] transfer leadership to ${hex(raft.leadTransferee)} is in progress; dropping proposal`,
    );
    throw new ProposalDroppedError();
  }
  const first = raft.log.lastIndex + 1;
  const checked = entries.map((entry, i) => checkProposal(raft, entry, first + i));
  if (!append(raft, checked)) throw new ProposalDroppedError();
  broadcastAppend(raft);
}

/** Replaces a configuration change that cannot be applied now by an empty entry (thesis §4.1, §4.3). */
function checkProposal(raft: Raft, entry: NewEntry, index: number): NewEntry {
  if (entry.type === 'normal') return entry;
  const change = decodeConfChange(entry.type, entry.data);
  const { applied } = raft.log;
  const { isJoint, config } = raft.tracker;
  const leavesJoint = asV2(change).changes.length === 0;
  let failed: string | undefined;
  if (raft.pendingConfIndex > applied) {
    failed = `possible unapplied conf change at index ${raft.pendingConfIndex} (applied to ${applied})`;
  } else if (isJoint && !leavesJoint) {
    failed = 'must transition out of joint config first';
  } else if (!isJoint && leavesJoint) {
    failed = 'not in joint state; refusing empty conf change';
  }
  if (failed !== undefined && !raft.config.disableConfChangeValidation) {
    raft.logger.info(
      `${hex(raft.id)} ignoring conf change ${describeConfChange(change)} at config ${describeConfig(config)}: ${failed}`,
    );
    return emptyEntry;
  }
  raft.pendingConfIndex = index;
  return entry;
}

/** Appends to the leader's own log; returns false if that would exceed the limit of uncommitted entries. */
function append(raft: Raft, fresh: readonly NewEntry[]): boolean {
  const next = raft.log.lastIndex + 1;
  const entries = fresh.map(({ type, data, kind, prefix, proposal }, i): Entry => ({
    term: raft.term,
    index: next + i,
    type,
    data,
    kind,
    prefix,
    proposal,
  }));
  const bytes = payloadsSize(entries);
  // The first proposal is accepted whatever its size, and so are entries without payload: the core's own.
  if (raft.uncommittedBytes > 0 && bytes > 0 && raft.uncommittedBytes + bytes > raft.config.maxUncommittedEntriesSize) {
    raft.logger.warning(
      `${hex(raft.id)} appending new entries to log would exceed uncommitted entry size limit; dropping proposal`,
    );
    return false;
  }
  raft.uncommittedBytes += bytes;
  // The leader acknowledges the entries to itself once they are durable.
  raft.send({ type: 'MsgAppResp', to: raft.id, index: raft.log.append(entries) });
  return true;
}

function checkQuorum(raft: Raft): void {
  if (!raft.tracker.quorumActive()) {
    raft.logger.warning(`${hex(raft.id)} stepped down to follower since quorum is not active`);
    raft.becomeFollower(raft.term, noNode);
  }
  raft.tracker.visit((id, progress) => {
    if (id !== raft.id) progress.recentActive = false;
  });
}

/**
 * Handles a rejected append, whose previous entry the follower lacks: moves back to where the logs may match (Raft
 * §5.3).
 */
function handleRejection(raft: Raft, received: Message, progress: Progress): void {
  const { from, index, rejectHint, logTerm } = received;
  raft.logger.debug(
    `${hex(raft.id)} received MsgAppResp(rejected, hint: (index ${rejectHint}, term ${logTerm})) from ${hex(from)} for index ${index}`,
  );
  const probe = logTerm > 0 ? raft.log.findConflictByTerm(rejectHint, logTerm).index : rejectHint;
  if (!progress.maybeDecreaseTo(index, probe)) return;
  raft.logger.debug(`${hex(raft.id)} decreased progress of ${hex(from)} to [${describeProgress(progress)}]`);
  if (progress.state === 'replicate') progress.becomeProbe();
  sendAppend(raft, from, 'even-if-empty');
}

function handleAcceptance(raft: Raft, received: Message, progress: Progress): void {
  const { from, index } = received;
  // A repeated acknowledgement still ends a probe; while a snapshot is in flight, it is ignored.
  const answersProbe = progress.match === index && progress.state === 'probe';
  if (!progress.maybeUpdate(index) && !answersProbe) return;
  resumeReplication(raft, from, index, progress);

  const isPeer = from !== raft.id;
  if (maybeCommit(raft)) {
    releaseEarlyReads(raft);
    broadcastAppend(raft);
  } else if (isPeer && progress.canBumpCommit(raft.log.committed)) {
    sendAppend(raft, from, 'even-if-empty');
  }
  if (isPeer) {
    // The acknowledgement may have freed the window for several messages.
    while (sendAppend(raft, from, 'with-entries'));
  }
  if (from === raft.leadTransferee && progress.match === raft.log.lastIndex) {
    raft.logger.info(`${hex(raft.id)} sent MsgTimeoutNow to ${hex(from)} after received MsgAppResp`);
    raft.send({ type: 'MsgTimeoutNow', to: from });
  }
}

function resumeReplication(raft: Raft, from: number, index: number, progress: Progress): void {
  switch (progress.state) {
    case 'probe':
      progress.becomeReplicate();
      break;
    case 'snapshot':
      // The follower has caught up, by whatever snapshot, to where the log can serve it.
      if (progress.match + 1 < raft.log.firstIndex) break;
      raft.logger.debug(
        `${hex(raft.id)} recovered from needing snapshot, resumed sending replication messages to ${hex(from)} [${describeProgress(progress)}]`,
      );
      progress.becomeProbe();
      progress.becomeReplicate();
      break;
    case 'replicate':
      progress.inflights.freeUpTo(index);
      break;
  }
}

function handleHeartbeatResponse(raft: Raft, received: Message, progress: Progress): void {
  progress.recentActive = true;
  progress.appendsPaused = false;
  // The follower is reachable: resend what may be lost, and end a probe that nothing else would end.
  if (progress.match < raft.log.lastIndex || progress.state === 'probe') {
    sendAppend(raft, received.from, 'even-if-empty');
  }
  confirmReadBy(raft, received);
}

function handleSnapshotStatus(raft: Raft, received: Message, progress: Progress): void {
  if (progress.state !== 'snapshot') return;
  // After a failed snapshot, probing must not start after it.
  if (received.reject) progress.pendingSnapshot = 0;
  progress.becomeProbe();
  raft.logger.debug(
    `${hex(raft.id)} snapshot ${received.reject ? 'failed' : 'succeeded'}, resumed sending replication messages to ` +
      `${hex(received.from)} [${describeProgress(progress)}]`,
  );
  // After success, wait for the follower's response; after failure, for a heartbeat response.
  progress.appendsPaused = true;
}

/** Transfers leadership to a voter as soon as it has the whole log (thesis §3.10). */
function transferTo(raft: Raft, transferee: number, progress: Progress): void {
  const { logger, term } = raft;
  const own = hex(raft.id);
  const to = hex(transferee);
  if (progress.isLearner) {
    logger.debug(`${own} is learner. Ignored transferring leadership`);
    return;
  }
  if (raft.leadTransferee !== noNode) {
    if (raft.leadTransferee === transferee) {
      logger.info(
        `${own} [term ${term}] transfer leadership to ${to} is in progress, ignores request to same node ${to}`,
      );
      return;
    }
    const previous = raft.leadTransferee;
    raft.leadTransferee = noNode;
    logger.info(`${own} [term ${term}] abort previous transferring leadership to ${hex(previous)}`);
  }
  if (transferee === raft.id) {
    logger.debug(`${own} is already leader. Ignored transferring leadership to self`);
    return;
  }
  logger.info(`${own} [term ${term}] starts to transfer leadership to ${to}`);
  // The transfer must complete within an election timeout from now.
  raft.timers.electionElapsed = 0;
  raft.leadTransferee = transferee;
  if (progress.match === raft.log.lastIndex) {
    raft.send({ type: 'MsgTimeoutNow', to: transferee });
    logger.info(`${own} sends MsgTimeoutNow to ${to} immediately as ${to} already has up-to-date log`);
  } else {
    sendAppend(raft, transferee, 'even-if-empty');
  }
}

function progressOf(raft: Raft, id: number): Progress | undefined {
  return raft.tracker.progress.get(id);
}
