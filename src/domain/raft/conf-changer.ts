import type { ConfChangeSingle } from './conf-change.js';
import type { ConfState } from './conf-state.js';
import type { Inflights } from './inflights.js';
import { Progress } from './progress.js';
import type { Membership } from './progress-tracker.js';

/** The change is not valid for the current configuration, which stays unchanged. */
export class InvalidConfChangeError extends Error {
  override readonly name = 'InvalidConfChangeError';
}

/** The state that a change starts from. */
export interface ConfChangerOptions {
  readonly membership: Membership;
  /** A new member is first probed at this index: the last of the leader's log. */
  readonly lastIndex: number;
  readonly newInflights: () => Inflights;
}

/**
 * Computes configurations from membership changes (Raft §6, thesis §4.1 and §4.3) without side effects: each method
 * returns a new configuration with its progress, for `ProgressTracker.configure`, or throws `InvalidConfChangeError`.
 */
export class ConfChanger {
  constructor(private readonly from: ConfChangerOptions) {}

  /** Applies changes directly: they may add or remove at most one voter, so that old and new majorities overlap. */
  simple(changes: readonly ConfChangeSingle[]): Membership {
    const draft = this.draft();
    if (draft.isJoint) throw new InvalidConfChangeError("can't apply simple config change in joint config");
    draft.apply(changes);
    if (draft.incomingChanges(this.from.membership.config.voters) > 1) {
      throw new InvalidConfChangeError('more than one voter changed without entering joint config');
    }
    return draft.finish();
  }

  /**
   * Enters a joint configuration: the current voters become the outgoing ones, and the changes apply to the incoming
   * ones.
   */
  enterJoint(autoLeave: boolean, changes: readonly ConfChangeSingle[]): Membership {
    const draft = this.draft();
    if (draft.isJoint) throw new InvalidConfChangeError('config is already joint');
    if (this.from.membership.config.voters.length === 0) {
      throw new InvalidConfChangeError("can't make a zero-voter config joint");
    }
    draft.splitVoters();
    draft.apply(changes);
    draft.autoLeave = autoLeave;
    return draft.finish();
  }

  /** Leaves a joint configuration: outgoing voters are removed, or become learners as planned in `learnersNext`. */
  leaveJoint(): Membership {
    const draft = this.draft();
    if (!draft.isJoint) throw new InvalidConfChangeError("can't leave a non-joint config");
    draft.joinVoters();
    return draft.finish();
  }

  private draft(): Draft {
    checkMembership(this.from.membership);
    return new Draft(this.from);
  }
}

/**
 * Restores the configuration that `state` describes, with new progress for all its members, when a node starts or
 * installs a snapshot. Throws `InvalidConfChangeError` when no changes lead to such a state.
 */
export function restoreMembership(state: ConfState, options: Omit<ConfChangerOptions, 'membership'>): Membership {
  let membership: Membership = {
    config: { voters: [], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false },
    progress: new Map(),
  };
  const outgoing = singles('add-node', state.votersOutgoing);
  const incoming = [
    ...singles('remove-node', state.votersOutgoing),
    ...singles('add-node', state.voters),
    ...singles('add-learner-node', state.learners),
    ...singles('add-learner-node', state.learnersNext),
  ];
  // Adds the outgoing voters first, one by one; then one joint change leads to the incoming configuration.
  for (const change of outgoing.length === 0 ? incoming : outgoing) {
    membership = new ConfChanger({ ...options, membership }).simple([change]);
  }
  if (outgoing.length === 0) return membership;
  return new ConfChanger({ ...options, membership }).enterJoint(state.autoLeave, incoming);
}

/** A configuration under construction: sets instead of lists, and mutable progress. */
class Draft {
  autoLeave: boolean;
  private readonly incoming: Set<number>;
  private outgoing: Set<number>;
  private readonly learners: Set<number>;
  private readonly learnersNext: Set<number>;
  private readonly progress = new Map<number, Progress>();

  constructor(private readonly options: ConfChangerOptions) {
    const { config, progress } = options.membership;
    this.autoLeave = config.autoLeave;
    this.incoming = new Set(config.voters);
    this.outgoing = new Set(config.votersOutgoing);
    this.learners = new Set(config.learners);
    this.learnersNext = new Set(config.learnersNext);
    for (const [id, each] of progress) this.progress.set(id, each.clone());
  }

  get isJoint(): boolean {
    return this.outgoing.size > 0;
  }

  /** Returns the number of voters that are in only one of `voters` and the incoming half. */
  incomingChanges(voters: readonly number[]): number {
    const unchanged = voters.filter((id) => this.incoming.has(id)).length;
    return voters.length - unchanged + (this.incoming.size - unchanged);
  }

  splitVoters(): void {
    this.outgoing = new Set(this.incoming);
  }

  joinVoters(): void {
    for (const id of this.learnersNext) {
      this.learners.add(id);
      this.progressOf(id).isLearner = true;
    }
    this.learnersNext.clear();
    for (const id of this.outgoing) {
      if (!this.incoming.has(id) && !this.learners.has(id)) this.progress.delete(id);
    }
    this.outgoing.clear();
    this.autoLeave = false;
  }

  /** Applies changes in order. Changes without effect, and changes of node 0, are ignored. */
  apply(changes: readonly ConfChangeSingle[]): void {
    for (const { type, nodeId } of changes) {
      if (nodeId === 0) continue;
      switch (type) {
        case 'add-node':
          this.makeVoter(nodeId);
          break;
        case 'add-learner-node':
          this.makeLearner(nodeId);
          break;
        case 'remove-node':
          this.remove(nodeId);
          break;
        case 'update-node':
          break;
      }
    }
    if (this.incoming.size === 0) throw new InvalidConfChangeError('removed all voters');
  }

  finish(): Membership {
    const membership: Membership = {
      config: {
        voters: ascending(this.incoming),
        votersOutgoing: ascending(this.outgoing),
        learners: ascending(this.learners),
        learnersNext: ascending(this.learnersNext),
        autoLeave: this.autoLeave,
      },
      progress: this.progress,
    };
    checkMembership(membership);
    return membership;
  }

  private makeVoter(id: number): void {
    this.learners.delete(id);
    this.learnersNext.delete(id);
    this.incoming.add(id);
    const progress = this.progress.get(id);
    if (progress === undefined) this.addProgress(id, false);
    else progress.isLearner = false;
  }

  /**
   * Makes a member a learner. An outgoing voter becomes one only when the joint configuration is left; until then it
   * votes.
   */
  private makeLearner(id: number): void {
    const progress = this.progress.get(id);
    if (progress === undefined) {
      this.learners.add(id);
      this.addProgress(id, true);
      return;
    }
    if (progress.isLearner) return;
    this.incoming.delete(id);
    if (this.outgoing.has(id)) {
      this.learnersNext.add(id);
    } else {
      this.learners.add(id);
      progress.isLearner = true;
    }
  }

  private remove(id: number): void {
    this.incoming.delete(id);
    this.learners.delete(id);
    this.learnersNext.delete(id);
    // An outgoing voter still votes, so its progress still counts.
    if (!this.outgoing.has(id)) this.progress.delete(id);
  }

  private addProgress(id: number, isLearner: boolean): void {
    const { lastIndex, newInflights } = this.options;
    this.progress.set(
      id,
      new Progress({
        next: Math.max(lastIndex, 1),
        inflights: newInflights(),
        isLearner,
        // A new member counts as active, so that check-quorum does not depose the leader before the member can answer.
        recentActive: true,
      }),
    );
  }

  private progressOf(id: number): Progress {
    const progress = this.progress.get(id);
    if (progress === undefined) throw new InvalidConfChangeError(`no progress for ${id}`);
    return progress;
  }
}

/**
 * Checks the invariants of a configuration: each member has progress; learners are not voters; every member of
 * `learnersNext` is an outgoing voter and not yet a learner; and only a joint configuration has `learnersNext` or
 * `autoLeave`.
 */
function checkMembership({ config, progress }: Membership): void {
  const { voters, votersOutgoing, learners, learnersNext } = config;
  for (const id of [...voters, ...votersOutgoing, ...learners, ...learnersNext]) {
    check(progress.has(id), `no progress for ${id}`);
  }
  for (const id of learnersNext) {
    check(votersOutgoing.includes(id), `${id} is in LearnersNext, but not Voters[1]`);
    check(progress.get(id)?.isLearner === false, `${id} is in LearnersNext, but is already marked as learner`);
  }
  for (const id of learners) {
    check(!votersOutgoing.includes(id), `${id} is in Learners and Voters[1]`);
    check(!voters.includes(id), `${id} is in Learners and Voters[0]`);
    check(progress.get(id)?.isLearner === true, `${id} is in Learners, but is not marked as learner`);
  }
  if (votersOutgoing.length === 0) {
    check(learnersNext.length === 0, 'cfg.LearnersNext must be nil when not joint');
    check(!config.autoLeave, 'AutoLeave must be false when not joint');
  }
}

function check(holds: boolean, otherwise: string): void {
  if (!holds) throw new InvalidConfChangeError(otherwise);
}

function singles(type: ConfChangeSingle['type'], ids: readonly number[]): ConfChangeSingle[] {
  return ids.map((nodeId) => ({ type, nodeId }));
}

function ascending(ids: Iterable<number>): number[] {
  return Array.from(ids).sort((a, b) => a - b);
}
