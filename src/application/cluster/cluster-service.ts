import { confChangeV2, type ConfChangeSingle } from '../../domain/raft/conf-change.js';
import { type Cluster, type ClusterStatus, MembershipError, type ScrubStatus } from '../ports/cluster.js';
import { clusterStatusOf, readinessOf } from './cluster-status.js';
import { describeClusterId } from '../configuration/member-names.js';
import { type ChangeContext, type Member, removalOf } from '../configuration/configuration.js';
import type { ClusterSettings, SettingsChange } from '../configuration/cluster-settings.js';
import { encodeChangeContext, encodeTransfer } from '../configuration/configuration-json.js';
import { UnavailableError } from '../errors.js';
import type { Clock } from '../ports/clock.js';
import type { Gossip } from '../ports/gossip.js';
import { describeHistories } from '../raft/two-histories.js';
import { JoinAudit } from './join-audit.js';
import {
  answeringMs,
  type JoinAnswer,
  type JoinHandler,
  type Joiner,
  type JoinOrigin,
} from '../ports/join-transport.js';
import type { Logger } from '../ports/logger.js';
import type { PeerTransport } from '../ports/peer-transport.js';
import type { Readiness } from '../ports/readiness.js';
import type { Leadership } from '../raft/leadership.js';
import { repeat } from '../waiting/repeat.js';
import { assertSettingsEnabled, changeSettings, maybeRaiseFeatureLevel } from './settings-changes.js';
import { generationObjection, objectionTo, type SeatState } from './seat-claim.js';
import { unlessAborted } from '../waiting/unless-aborted.js';

const promoteEveryMs = 250;
/** The most members that a cluster may have, by name: each costs the leader messages and every change of them space. */
const membersMax = 64;
/** A member that has been silent for this long may be replaced by a node of the same name. */
const silentMs = 10_000;

export interface ClusterServiceOptions {
  readonly leadership: Leadership;
  readonly transport: Pick<PeerTransport, 'clusterOf' | 'unansweredMs' | 'featureLevelOf'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly self: Pick<Member, 'name' | 'uuid' | 'rpcAddr'>;
  /** The log id: 16 bytes. */
  readonly clusterId: Uint8Array;
  readonly gossip?: Pick<Gossip, 'members'>;
  /** Returns what this node knows about damage to its log. */
  readonly scrub?: () => ScrubStatus;
}

/**
 * Administers the cluster at any node: a node that does not lead forwards what only a leader can do. The leader also
 * promotes learners once they have caught up, raises the feature level, and admits nodes that ask to join.
 */
export class ClusterService implements Cluster, JoinHandler {
  /** On a node that does not lead, its calls reject with `UnavailableError`, which names the leader. */
  readonly forwarded: Cluster = {
    status: ({ signal }) => this.status({ signal, local: true }),
    addMember: (member, signal) => this.#asLeader(() => this.addMember(member, signal)),
    promoteMember: (name, signal) => this.#asLeader(() => this.promoteMember(name, signal)),
    removeMember: (name, signal) => this.#asLeader(() => this.removeMember(name, signal)),
    transferLeadership: (name, signal) => this.#asLeader(() => this.transferLeadership(name, signal)),
    changeSettings: (change, signal) => this.#asLeader(() => this.changeSettings(change, signal)),
  };
  /** About a node with another history that asked to join, for an operator. */
  #otherHistory: { readonly name: string; readonly problem: string } | undefined;
  readonly #stopPromoting: () => Promise<void>;
  readonly #joins: JoinAudit;
  /** The commit index at the previous check: a learner that has it has caught up. */
  #commitBefore = Infinity;

  constructor(private readonly options: ClusterServiceOptions) {
    this.#joins = new JoinAudit(options.clock, options.logger);
    this.#stopPromoting = repeat(
      options.clock,
      promoteEveryMs,
      async () => {
        await this.#promoteOne();
        await maybeRaiseFeatureLevel(options);
      },
      (error) => options.logger.error('learner_promotion_stopped', { error }, 'stopped promoting learners'),
    );
  }

  async status({
    signal,
    local = false,
  }: {
    readonly signal: AbortSignal;
    readonly local?: boolean;
  }): Promise<ClusterStatus> {
    const { leadership } = this.options;
    if (local || leadership.isLeader || leadership.leaderId === 0) return this.#view();
    try {
      return await this.#leader().status({ signal, local: true });
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error;
      return this.#view();
    }
  }

  /** Whether this node is ready; asks nobody. */
  get readiness(): Readiness {
    return readinessOf(this.options);
  }

  async addMember(
    { name, rpcAddr }: { readonly name: string; readonly rpcAddr: string },
    signal: AbortSignal,
  ): Promise<void> {
    const { leadership } = this.options;
    if (!leadership.isLeader) return this.#leader().addMember({ name, rpcAddr }, signal);
    if (this.#find(name) !== undefined) throw new MembershipError(`${name} is already a member of the cluster`);
    this.#assertRoomFor(name);
    const id = leadership.configuration.lastId + 1;
    await unlessAborted(
      signal,
      this.#change([{ type: 'add-learner-node', nodeId: id }], { members: [{ id, name, uuid: '', rpcAddr }] }),
    );
  }

  async promoteMember(name: string, signal: AbortSignal): Promise<void> {
    const { leadership } = this.options;
    if (!leadership.isLeader) return this.#leader().promoteMember(name, signal);
    const member = this.#findOrThrow(name);
    if (!leadership.configuration.confState.learners.includes(member.id))
      throw new MembershipError(`${name} is already a voter`);
    if (!this.#hasCaughtUp(member.id, leadership.status.hardState.commit))
      throw new MembershipError(
        `${name} has not caught up yet: as a voter it would delay every append; retry when its lag is small`,
      );
    await unlessAborted(signal, this.#promote(member));
  }

  /** @param removal why; only the leader can remove a member as dead */
  async removeMember(
    name: string,
    signal: AbortSignal,
    removal: 'on request' | 'as dead' = 'on request',
  ): Promise<void> {
    const { leadership, logger } = this.options;
    if (!leadership.isLeader && removal === 'as dead') throw leadership.notLeading();
    if (!leadership.isLeader) return this.#leader().removeMember(name, signal);
    const member = this.#findOrThrow(name);
    const { voters } = leadership.configuration.confState;
    if (voters.length === 1 && voters[0] === member.id)
      throw new MembershipError(`${name} is the only voter and cannot be removed: add another member first`);
    if (member.id === leadership.status.id) {
      // A leader that removes itself may leave a group that cannot elect, so another leader removes it.
      await this.transferLeadership(undefined, signal);
      return this.#leader().removeMember(name, signal);
    }
    const { id, uuid } = member;
    const removed = [{ id, uuid, removal }];
    await unlessAborted(signal, this.#change([{ type: 'remove-node', nodeId: id }], { members: [], removed }));
    logger.info(
      'member_removed',
      { audit: 'removal', member: name, memberId: id, uuid, removal },
      'removed a member from the cluster',
    );
  }

  async transferLeadership(name: string | undefined, signal: AbortSignal): Promise<string> {
    const { leadership } = this.options;
    if (!leadership.isLeader) return this.#leader().transferLeadership(name, signal);
    const { voters } = leadership.configuration.confState;
    const id = name === undefined ? leadership.transferee() : this.#findOrThrow(name).id;
    if (id === undefined && voters.length > 1) throw new UnavailableError('no other voter is reachable');
    if (id === undefined) throw new MembershipError('there is no other voter to transfer leadership to');
    if (!voters.includes(id)) throw new MembershipError(`${name} is not a voter, so it cannot lead`);
    if (id !== leadership.status.id) await unlessAborted(signal, leadership.transferTo(id));
    return this.#nameOf(id);
  }

  async changeSettings(change: SettingsChange, signal: AbortSignal): Promise<ClusterSettings> {
    const { leadership } = this.options;
    assertSettingsEnabled(leadership.configuration.settings);
    if (!leadership.isLeader) return this.#leader().changeSettings(change, signal);
    return unlessAborted(signal, changeSettings(leadership, change));
  }

  /**
   * Admits a node: as a learner if it is new (in place of a member of the same name that has a different disk, if that
   * member is silent), or as the member whose UUID it has (see `objectionTo`). Audits every decision.
   */
  async admit(joiner: Joiner, origin?: JoinOrigin): Promise<JoinAnswer> {
    const { leadership, self, clusterId } = this.options;
    const { configuration } = leadership;
    // This process is alive as that member, whether it leads or not.
    const isTwin = joiner.uuid === self.uuid && joiner.rpcAddr !== self.rpcAddr;
    const objection = isTwin
      ? objectionTo(joiner, self, { clusterId, silentMs: 0, isAlone: false })
      : (generationObjection(joiner, { clusterId, generation: configuration.settings.generation ?? 0 }) ??
        this.#removalOf(joiner));
    if (objection === undefined && !leadership.isLeader) {
      const leaderAddr = leadership.notLeading().leaderAddr;
      const reason = leaderAddr === undefined ? 'the cluster has no leader now' : 'this node is not the leader';
      return { kind: 'retry', reason, clusterId, ...(leaderAddr !== undefined && { leaderAddr }) };
    }
    const answer = objection ?? (await this.#answer(joiner));
    // A running member that was removed only asks why.
    if (answer.kind === 'refused' && answer.removal !== undefined) return answer;
    this.#joins.record(joiner, origin, answer, answer.kind === 'joined' && leadership.configuration !== configuration);
    return answer;
  }

  /** Any member knows which ids were removed: its configuration is committed, and ids are never used again. */
  #removalOf({ runsAs, uuid, rpcAddr, clusterId: stored }: Joiner): JoinAnswer | undefined {
    const { leadership, clusterId } = this.options;
    if (runsAs === undefined || stored === undefined) return undefined;
    if (describeClusterId(stored) !== describeClusterId(clusterId)) return undefined;
    const removal = removalOf(leadership.configuration, runsAs);
    if (removal === undefined || (removal === 'unknown' && this.#isReadmitted(uuid, runsAs, rpcAddr))) return undefined;
    return { kind: 'refused', reason: `member ${runsAs} was removed from the cluster`, clusterId, removal };
  }

  /** Whether the cluster has admitted a member again, where it is: it may not have heard the answer. */
  #isReadmitted(uuid: string, runsAs: number, rpcAddr: string): boolean {
    const { members } = this.options.leadership.configuration;
    return members.some((member) => member.uuid === uuid && member.id > runsAs && member.rpcAddr === rpcAddr);
  }

  distrust(reason: string): JoinAnswer {
    const { leadership, clusterId } = this.options;
    return { kind: 'refused', reason, ...(leadership.isLeader && { clusterId }) };
  }

  async #answer(joiner: Joiner): Promise<JoinAnswer> {
    const { clusterId } = this.options;
    try {
      return await this.#admit(joiner);
    } catch (error) {
      if (error instanceof MembershipError) return { kind: 'refused', reason: error.message, clusterId };
      if (!(error instanceof UnavailableError))
        this.options.logger.warn('join_failed', { error, joiner }, 'could not admit a node');
      return { kind: 'retry', reason: error instanceof Error ? error.message : 'internal error', clusterId };
    }
  }

  close(): Promise<void> {
    return this.#stopPromoting();
  }

  async #admit(joiner: Joiner): Promise<JoinAnswer> {
    const { name, uuid, rpcAddr, clusterId: stored, forgotAs } = joiner;
    const { leadership, clusterId } = this.options;
    if (stored !== undefined && describeClusterId(stored) !== describeClusterId(clusterId)) {
      // Its own cluster may still be there, so this is not the final answer to it.
      const reason = `${name} has the log of another cluster, ${describeClusterId(stored)}: start it with an empty data directory to join this one`;
      return { kind: 'refused', reason };
    }
    for (const { index, term } of joiner.committed ?? []) {
      const otherTerm = await leadership.acknowledgements.otherTermOf({ index, term });
      if (otherTerm === undefined) continue;
      const problem =
        `${name} has another history: entry ${index} is committed in term ${term} there, in term ${otherTerm} here; ` +
        'it was refused';
      this.#otherHistory = { name, problem };
      return { kind: 'refused', reason: describeHistories(index, term, otherTerm), clusterId };
    }
    const { members, lastId, settings } = leadership.configuration;
    const { featureLevel: offered = 0 } = joiner;
    if (offered < (settings.featureLevel ?? 0))
      throw new MembershipError(
        `the cluster is at feature level ${settings.featureLevel}, and ${name} offers level ${offered}: ` +
          `start ${name} with the release that the other members run`,
      );
    // The newest: a member that was admitted again keeps its previous id until the new one is promoted.
    const owner = members.findLast((member) => member.uuid === uuid);
    const objection = owner && objectionTo(joiner, owner, this.#seatOf(owner, joiner));
    if (objection !== undefined) return objection;
    const { runsAs } = joiner;
    const isMember = members.some((member) => member.id === runsAs && member.uuid === uuid);
    if (runsAs !== undefined && !isMember && !this.#isReadmitted(uuid, runsAs, rpcAddr))
      throw new MembershipError(
        `member ${runsAs} was removed from the cluster: restart the node to have it join again`,
      );
    const neighbor = members.find((member) => member.rpcAddr === rpcAddr && member.uuid !== uuid);
    if (neighbor !== undefined && this.#silentMs(neighbor, (at) => at === rpcAddr) < answeringMs)
      throw new UnavailableError(`${rpcAddr} is the address of the member ${neighbor.name}, which is alive there`);
    const known = owner ?? members.find((member) => member.name === name && member.uuid === '');
    let id = known?.id ?? lastId + 1;
    if (known === undefined) {
      const namesake = this.#find(name);
      // The member may have died a moment ago, and this node may be its replacement.
      if (namesake !== undefined && this.#isHeard(namesake.id))
        throw new UnavailableError(
          `another node named ${name} is an active member of this cluster, at ${namesake.rpcAddr}: ` +
            'unless this node is to replace it, start this node with another --node-name',
        );
      this.#assertRoomFor(name);
      const changes: ConfChangeSingle[] = [{ type: 'add-learner-node', nodeId: id }];
      // A learner has no vote to keep, so the new node has its seat at once; a voter keeps it until then.
      const isLearner = leadership.configuration.confState.learners.some((learner) => learner === namesake?.id);
      if (isLearner && namesake) changes.push({ type: 'remove-node', nodeId: namesake.id });
      const replaces = isLearner ? namesake?.replaces : namesake?.id;
      const member = { id, name, uuid, rpcAddr, ...(replaces !== undefined && { replaces }) };
      await this.#change(changes, { members: [member] });
    } else if (members.some((member) => member.name === name && member.id !== id && member.id !== known.replaces)) {
      throw new MembershipError(`another member is already named ${name}`);
    } else if (known.uuid !== uuid || known.rpcAddr !== rpcAddr || known.name !== name) {
      await this.#change([{ type: 'update-node', nodeId: id }], { members: [{ ...known, name, uuid, rpcAddr }] });
    }
    if (known !== undefined && known.id === forgotAs) id = await this.#admitAgain({ ...known, name, rpcAddr });
    const transfer = {
      configuration: leadership.firstConfiguration,
      offset: 0,
      contacts: leadership.configuration.members,
      generation: leadership.configuration.settings.generation ?? 0,
    };
    if (this.#otherHistory?.name === name) this.#otherHistory = undefined;
    const view = await leadership.acknowledgements.viewOf(id);
    return { kind: 'joined', clusterId, id, configuration: encodeTransfer(transfer), ...(view && { view }) };
  }

  /**
   * Gives a member that has lost acknowledged entries a new Raft id, under which it has promised nothing. The new id
   * starts as a learner and replaces the old one once it has caught up. Until then the old id neither votes nor
   * acknowledges, but still counts toward the size of a majority.
   */
  async #admitAgain(known: Member): Promise<number> {
    const { leadership, logger } = this.options;
    if (known.id === leadership.status.id)
      throw new MembershipError(`${known.name} is this node, which leads and has lost no entries`);
    leadership.acknowledgements.forget(known.id);
    const { confState, lastId } = leadership.configuration;
    const id = lastId + 1;
    const changes: ConfChangeSingle[] = [{ type: 'add-learner-node', nodeId: id }];
    // A member that does not vote keeps no old id.
    const isVoter = confState.voters.includes(known.id);
    if (!isVoter) changes.push({ type: 'remove-node', nodeId: known.id });
    await this.#change(changes, { members: [isVoter ? { ...known, id, replaces: known.id } : { ...known, id }] });
    logger.warn(
      'amnesiac_member_readmitted',
      { member: known.name, previousId: known.id, memberId: id },
      'readmitted a member that lost acknowledged entries',
    );
    return id;
  }

  /** Promotes one learner per call: a change waits for the previous one. */
  async #promoteOne(): Promise<void> {
    const { leadership, logger } = this.options;
    if (!leadership.isLeader) return;
    const commitBefore = this.#commitBefore;
    this.#commitBefore = leadership.status.hardState.commit;
    const { members, confState } = leadership.configuration;
    const member = members.find(
      ({ id, uuid }) => uuid !== '' && confState.learners.includes(id) && this.#hasCaughtUp(id, commitBefore),
    );
    if (member === undefined) return;
    try {
      await this.#promote(member);
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error;
      logger.debug(
        'learner_promotion_failed',
        { reason: error.message, member: member.name },
        'could not promote a learner; will retry',
      );
    }
  }

  async #promote({ id, name, uuid, replaces }: Member): Promise<void> {
    const { leadership, logger } = this.options;
    const { voters, learners } = leadership.configuration.confState;
    const changes: ConfChangeSingle[] = [{ type: 'add-node', nodeId: id }];
    if (replaces !== undefined && (voters.includes(replaces) || learners.includes(replaces)))
      changes.push({ type: 'remove-node', nodeId: replaces });
    await this.#change(changes, { members: [] });
    logger.info('member_promoted', { audit: 'join', member: name, memberId: id, uuid }, 'made a learner a voter');
  }

  #change(changes: readonly ConfChangeSingle[], context: ChangeContext): Promise<void> {
    return this.options.leadership.proposeChange(confChangeV2({ changes, context: encodeChangeContext(context) }));
  }

  #assertRoomFor(name: string): void {
    const names = new Set(this.options.leadership.configuration.members.map((member) => member.name));
    if (names.has(name) || names.size < membersMax) return;
    throw new MembershipError(
      `the cluster has ${names.size} members, the most that it may have: remove one (golog member remove NAME) or start ${name} with --replica`,
    );
  }

  #view(): ClusterStatus {
    const { transport } = this.options;
    return clusterStatusOf({
      ...this.options,
      featureLevelOf: (id) => transport.featureLevelOf(id),
      otherHistory: this.#otherHistory?.problem,
    });
  }

  #hasCaughtUp(id: number, commit: number): boolean {
    let caughtUp = false;
    this.options.leadership.visitProgress((member, { state, match, recentActive }) => {
      if (member === id) caughtUp = recentActive && state === 'replicate' && match >= commit;
    });
    return caughtUp;
  }

  #seatOf(member: Member, { name, rpcAddr }: Joiner): SeatState {
    const { leadership, self, clusterId } = this.options;
    const isSelf = member.id === leadership.status.id && rpcAddr === self.rpcAddr;
    const isAlone = isSelf && name === self.name && leadership.configuration.members.length === 1;
    return { clusterId, silentMs: this.#silentMs(member, (at) => at !== rpcAddr), isAlone };
  }

  /** Returns for how many milliseconds no process has answered as the member at an address that `at` accepts. */
  #silentMs({ id }: Member, at: (rpcAddr: string) => boolean): number {
    const { leadership, transport, self } = this.options;
    if (id === leadership.status.id) return at(self.rpcAddr) ? 0 : Infinity;
    return transport.unansweredMs(id, at);
  }

  #isHeard(id: number): boolean {
    return id === this.options.leadership.status.id || (this.options.leadership.heardMsAgo(id) ?? Infinity) < silentMs;
  }

  async #asLeader<Value>(change: () => Promise<Value>): Promise<Value> {
    if (!this.options.leadership.isLeader) throw this.options.leadership.notLeading();
    return change();
  }

  #leader(): Cluster {
    const { leadership, transport } = this.options;
    if (leadership.leaderId === 0) throw new UnavailableError('the cluster has no leader');
    return transport.clusterOf(leadership.leaderId);
  }

  #find(name: string): Member | undefined {
    return this.options.leadership.configuration.members.findLast((member) => member.name === name);
  }

  #findOrThrow(name: string): Member {
    const member = this.#find(name);
    if (member === undefined) {
      const names = this.options.leadership.configuration.members.map((each) => each.name);
      throw new MembershipError(`${name} is not a member of the cluster; its members are ${names.join(', ')}`);
    }
    return member;
  }

  #nameOf(id: number): string {
    return this.options.leadership.configuration.members.find((member) => member.id === id)?.name ?? String(id);
  }
}
