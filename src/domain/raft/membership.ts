import type { ConfChange, ConfChangeV2 } from './conf-change.js';
import { asV2, enterJoint, leaveJoint } from './conf-change.js';
import { ConfChanger, restoreMembership } from './conf-changer.js';
import type { ConfState } from './conf-state.js';
import { confStatesEqual } from './conf-state.js';
import { Inflights } from './inflights.js';
import { noNode } from './message.js';
import type { Membership } from './progress-tracker.js';
import { describeConfig } from './progress-tracker.js';
import type { Raft } from './raft.js';
import { hex, panic } from './raft-logger.js';
import { broadcastAppend, maybeCommit, sendAppend } from './replication.js';
import type { Snapshot } from './snapshot.js';

/** Applies a committed change (Raft §6). Throws if it is not valid, which the leader checked before proposing it. */
export function applyConfChange(raft: Raft, change: ConfChangeV2): ConfState {
  const changer = new ConfChanger({
    membership: raft.tracker,
    lastIndex: raft.log.lastIndex,
    newInflights: () => raft.tracker.newInflights(),
  });
  return switchTo(raft, changedMembership(changer, change));
}

/**
 * Returns the configuration that a committed change leads to, for a node that does not run. Throws
 * `InvalidConfChangeError` if the change is not valid there.
 */
export function confStateAfter(state: ConfState, change: ConfChange | ConfChangeV2): ConfState {
  // Progress does not matter here.
  const options = { lastIndex: 0, newInflights: () => new Inflights(1, 0) };
  const changer = new ConfChanger({ ...options, membership: restoreMembership(state, options) });
  return changedMembership(changer, asV2(change)).config;
}

/** Installs the configuration of a storage or a snapshot. */
export function restoreConfiguration(raft: Raft, state: ConfState): void {
  const membership = restoreMembership(state, {
    lastIndex: raft.log.lastIndex,
    newInflights: () => raft.tracker.newInflights(),
  });
  const restored = switchTo(raft, membership);
  if (!confStatesEqual(state, restored)) {
    panic(`ConfStates not equivalent after restoring: ${describeConfState(state)} / ${describeConfState(restored)}`);
  }
}

/**
 * Replaces log and configuration by the snapshot (Raft §7); returns false if the snapshot is not needed or not usable.
 */
export function restoreSnapshot(raft: Raft, snapshot: Snapshot): boolean {
  const { log, logger } = raft;
  const { index, term, confState } = snapshot.metadata;
  if (index <= log.committed) return false;
  if (raft.state !== 'StateFollower') {
    logger.warning(`${hex(raft.id)} attempted to restore snapshot as leader; should never happen`);
    raft.becomeFollower(raft.term + 1, noNode);
    return false;
  }
  const members = [...confState.voters, ...confState.learners, ...confState.votersOutgoing];
  if (!members.includes(raft.id)) {
    logger.warning(
      `${hex(raft.id)} attempted to restore snapshot but it is not in the ConfState ${describeConfState(confState)}; should never happen`,
    );
    return false;
  }
  if (log.matches({ term, index })) {
    logger.info(`${describeLog(raft)} fast-forwarded commit to snapshot [index: ${index}, term: ${term}]`);
    log.commitTo(index);
    return false;
  }
  log.restore(snapshot);
  restoreConfiguration(raft, confState);
  logger.info(`${describeLog(raft)} restored snapshot [index: ${index}, term: ${term}]`);
  return true;
}

function changedMembership(changer: ConfChanger, change: ConfChangeV2): Membership {
  if (leaveJoint(change)) return changer.leaveJoint();
  const { ok, autoLeave } = enterJoint(change);
  return ok ? changer.enterJoint(autoLeave, change.changes) : changer.simple(change.changes);
}

function switchTo(raft: Raft, membership: Membership): ConfState {
  const { tracker } = raft;
  tracker.configure(membership);
  raft.logger.info(`${hex(raft.id)} switched to configuration ${describeConfig(tracker.config)}`);
  if (raft.state === 'StateLeader') adjustLeadership(raft);
  return tracker.config;
}

function adjustLeadership(raft: Raft): void {
  const { tracker } = raft;
  const own = tracker.progress.get(raft.id);
  if (own === undefined || own.isLearner) {
    // A removed or demoted leader leads only until the change is committed, which is now (thesis §4.2.2).
    if (raft.config.stepDownOnRemoval) raft.becomeFollower(raft.term, noNode);
    return;
  }
  if (tracker.config.voters.length === 0) return;
  if (maybeCommit(raft)) {
    // The new quorum committed more entries.
    broadcastAppend(raft);
  } else {
    // New members need not wait for a heartbeat.
    tracker.visit((id) => {
      if (id !== raft.id) sendAppend(raft, id, 'with-entries');
    });
  }
  if (!tracker.isVoter(raft.leadTransferee)) raft.leadTransferee = noNode;
}

function describeLog(raft: Raft): string {
  const last = raft.log.lastEntryId;
  return `${hex(raft.id)} [commit: ${raft.log.committed}, lastindex: ${last.index}, lastterm: ${last.term}]`;
}

function describeConfState(state: ConfState): string {
  const words = [
    ...state.voters.map((id) => `voters:${id}`),
    ...state.learners.map((id) => `learners:${id}`),
    ...state.votersOutgoing.map((id) => `voters_outgoing:${id}`),
    ...state.learnersNext.map((id) => `learners_next:${id}`),
    `auto_leave:${state.autoLeave}`,
  ];
  return words.join(' ');
}
