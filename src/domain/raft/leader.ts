import { asV2, decodeConfChange, describeConfChange, encodeConfChange } from './conf-change.js';
import type { Entry } from './entry.js';
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

type NewEntry = Pick<Entry, 'type' | 'data' | 'proposal'>;

const emptyEntry: NewEntry = { type: 'normal', data: new Uint8Array(0) };

/** A candidate has won: it leads, and appends an entry of its term, so that it can commit (Raft §5.4.2, §8). */
export function takeLead(raft: Raft): void {
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

/** The rules of a leader (Raft §5.3). */
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
      if (received.reject) takeRejection(raft, received, progress);
      else takeAcceptance(raft, received, progress);
      break;
    case 'MsgHeartbeatResp':
      takeHeartbeatResponse(raft, received, progress);
      break;
    case 'MsgSnapStatus':
      takeSnapshotStatus(raft, received, progress);
      break;
    case 'MsgUnreachable':
      // What was sent ahead is probably lost.
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

/** Ends a joint configuration that is to be left by itself (thesis §4.3); tried anew whenever entries are applied. */
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
  // Removed from the configuration while leading.
  if (!raft.knows(raft.id)) throw new ProposalDroppedError();
  if (raft.leadTransferee !== noNode) {
    raft.logger.debug(
      `${hex(raft.id)} [term ${raft.term}] transfer leadership to ${hex(raft.leadTransferee)} is in progress; dropping proposal`,
    );
    throw new ProposalDroppedError();
  }
  const first = raft.log.lastIndex + 1;
  const checked = entries.map((entry, place) => checkProposal(raft, entry, first + place));
  if (!append(raft, checked)) throw new ProposalDroppedError();
  broadcastAppend(raft);
}

/** A configuration change that cannot be applied now gives way to an empty entry (thesis §4.1, §4.3). */
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

/** Appends to the leader's own log. False: that would be more uncommitted entries than are allowed. */
function append(raft: Raft, fresh: readonly NewEntry[]): boolean {
  const next = raft.log.lastIndex + 1;
  const entries = fresh.map(({ type, data, proposal }, i): Entry => ({
    term: raft.term,
    index: next + i,
    type,
    data,
    proposal,
  }));
  const bytes = payloadsSize(entries);
  // A first proposal of any size passes, and so does what has no payload: the core's own entries.
  if (raft.uncommittedBytes > 0 && bytes > 0 && raft.uncommittedBytes + bytes > raft.config.maxUncommittedEntriesSize) {
    raft.logger.warning(
      `${hex(raft.id)} appending new entries to log would exceed uncommitted entry size limit; dropping proposal`,
    );
    return false;
  }
  raft.uncommittedBytes += bytes;
  // The leader counts itself once the entries are durable, by an answer to itself.
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

/** The follower's log does not match before the entries sent: go back to where it might (Raft §5.3). */
function takeRejection(raft: Raft, received: Message, progress: Progress): void {
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

function takeAcceptance(raft: Raft, received: Message, progress: Progress): void {
  const { from, index } = received;
  // An answer without news still ends a probe; with a snapshot under way it says nothing.
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
    // The answer may have made room for several messages.
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
      // By whatever snapshot, it has come so far that the log can serve it.
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

function takeHeartbeatResponse(raft: Raft, received: Message, progress: Progress): void {
  progress.recentActive = true;
  progress.appendsPaused = false;
  // The answer says that the follower is there: try again what may be lost. Also end a probe that nothing else would.
  if (progress.match < raft.log.lastIndex || progress.state === 'probe') {
    sendAppend(raft, received.from, 'even-if-empty');
  }
  confirmReadBy(raft, received);
}

function takeSnapshotStatus(raft: Raft, received: Message, progress: Progress): void {
  if (progress.state !== 'snapshot') return;
  // A snapshot that failed must not be probed behind.
  if (received.reject) progress.pendingSnapshot = 0;
  progress.becomeProbe();
  raft.logger.debug(
    `${hex(raft.id)} snapshot ${received.reject ? 'failed' : 'succeeded'}, resumed sending replication messages to ` +
      `${hex(received.from)} [${describeProgress(progress)}]`,
  );
  // Sent: wait for the follower's answer. Failed: for a heartbeat's.
  progress.appendsPaused = true;
}

/** Hands over to a voter as soon as it has the whole log (thesis §3.10). */
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
  // It has an election timeout from here on.
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
