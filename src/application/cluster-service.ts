import { confChangeV2, type ConfChangeSingle } from '../domain/raft/conf-change.js';
import { type Cluster, type ClusterStatus, MembershipError } from './cluster.js';
import { clusterStatusOf } from './cluster-view.js';
import { clusterIdInWords } from './member-names.js';
import type { Member } from './configuration.js';
import { encodeChangeContext, encodeTransfer } from './configuration-json.js';
import { UnavailableError } from './errors.js';
import type { Clock } from './ports/clock.js';
import type { Gossip } from './ports/gossip.js';
import type { JoinAnswer, JoinDesk, Joiner } from './ports/join-transport.js';
import type { Logger } from './ports/logger.js';
import type { PeerTransport } from './ports/peer-transport.js';
import type { Leadership } from './leadership.js';
import { repeat } from './repeat.js';
import { unlessAborted } from './unless-aborted.js';

const promoteEveryMs = 250;
/** A member of which nothing was heard for this long may be replaced by a node of its name. */
const silentMs = 10_000;

export interface ClusterServiceOptions {
  readonly leadership: Leadership;
  readonly transport: Pick<PeerTransport, 'clusterOf'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly self: { readonly name: string };
  /** The log id: 16 bytes. */
  readonly clusterId: Uint8Array;
  readonly gossip?: Pick<Gossip, 'members'>;
}

/**
 * The administration of the cluster, at any node: what only a leader can do is passed on to it. The leader also
 * promotes learners once they have caught up, and lets in who asks to join.
 */
export class ClusterService implements Cluster, JoinDesk {
  /** Where this node does not lead its calls reject with `UnavailableError`, which names the leader. */
  readonly forwarded: Cluster = {
    status: ({ signal }) => this.status({ signal, local: true }),
    addMember: (member, signal) => this.#asLeader(() => this.addMember(member, signal)),
    promoteMember: (name, signal) => this.#asLeader(() => this.promoteMember(name, signal)),
    removeMember: (name, signal) => this.#asLeader(() => this.removeMember(name, signal)),
    transferLeadership: (name, signal) => this.#asLeader(() => this.transferLeadership(name, signal)),
  };
  readonly #stopPromoting: () => Promise<void>;
  /** The commit index of the last look: a learner that has it has caught up. */
  #commitBefore = Infinity;

  constructor(private readonly options: ClusterServiceOptions) {
    this.#stopPromoting = repeat(
      options.clock,
      promoteEveryMs,
      () => this.#promoteOne(),
      (error) => options.logger.error({ error }, 'learners are not promoted any more'),
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
    if (local || leadership.isLeader || leadership.leaderId === 0) return clusterStatusOf(this.options);
    try {
      return await this.#leader().status({ signal, local: true });
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error;
      return clusterStatusOf(this.options);
    }
  }

  async addMember(
    { name, rpcAddr }: { readonly name: string; readonly rpcAddr: string },
    signal: AbortSignal,
  ): Promise<void> {
    const { leadership } = this.options;
    if (!leadership.isLeader) return this.#leader().addMember({ name, rpcAddr }, signal);
    if (this.#find(name) !== undefined) throw new MembershipError(`${name} is a member already`);
    const id = leadership.configuration.lastId + 1;
    await unlessAborted(
      signal,
      this.#change([{ type: 'add-learner-node', nodeId: id }], [{ id, name, uuid: '', rpcAddr }]),
    );
  }

  async promoteMember(name: string, signal: AbortSignal): Promise<void> {
    const { leadership } = this.options;
    if (!leadership.isLeader) return this.#leader().promoteMember(name, signal);
    const member = this.#findOrThrow(name);
    if (!leadership.configuration.confState.learners.includes(member.id))
      throw new MembershipError(`${name} votes already`);
    if (!this.#hasCaughtUp(member.id, leadership.status.hardState.commit))
      throw new MembershipError(`${name} has not caught up: it would hold up every append`);
    await unlessAborted(signal, this.#promote(member));
  }

  async removeMember(name: string, signal: AbortSignal): Promise<void> {
    const { leadership } = this.options;
    if (!leadership.isLeader) return this.#leader().removeMember(name, signal);
    const member = this.#findOrThrow(name);
    const { voters } = leadership.configuration.confState;
    if (voters.length === 1 && voters[0] === member.id) throw new MembershipError(`${name} is the only voter`);
    if (member.id === leadership.status.id) {
      // A leader that removes itself may leave a group that cannot elect: another one does it.
      await this.transferLeadership(undefined, signal);
      return this.#leader().removeMember(name, signal);
    }
    await unlessAborted(signal, this.#change([{ type: 'remove-node', nodeId: member.id }], []));
  }

  async transferLeadership(name: string | undefined, signal: AbortSignal): Promise<string> {
    const { leadership } = this.options;
    if (!leadership.isLeader) return this.#leader().transferLeadership(name, signal);
    const { voters } = leadership.configuration.confState;
    const id = name === undefined ? leadership.transferee() : this.#findOrThrow(name).id;
    if (id === undefined && voters.length > 1) throw new UnavailableError('no other voter is heard from now');
    if (id === undefined) throw new MembershipError('there is no other voter that could lead');
    if (!voters.includes(id)) throw new MembershipError(`${name} does not vote`);
    if (id !== leadership.status.id) await unlessAborted(signal, leadership.transferTo(id));
    return this.#nameOf(id);
  }

  /** Lets a node in, as a learner; in place of a member of its name whose disk is gone, if that is silent. */
  async admit(joiner: Joiner): Promise<JoinAnswer> {
    const { leadership, logger } = this.options;
    if (!leadership.isLeader) {
      const leaderAddr = leadership.notLeading().leaderAddr;
      return { kind: 'retry', reason: 'the node asked does not lead', ...(leaderAddr !== undefined && { leaderAddr }) };
    }
    try {
      return await this.#admit(joiner);
    } catch (error) {
      if (error instanceof MembershipError) return { kind: 'refused', reason: error.message };
      if (!(error instanceof UnavailableError)) logger.warn({ error, joiner }, 'a node could not be let in');
      return { kind: 'retry', reason: error instanceof Error ? error.message : 'it failed' };
    }
  }

  close(): Promise<void> {
    return this.#stopPromoting();
  }

  async #admit({ name, uuid, rpcAddr, clusterId: kept }: Joiner): Promise<JoinAnswer> {
    const { leadership, clusterId } = this.options;
    if (kept !== undefined && clusterIdInWords(kept) !== clusterIdInWords(clusterId))
      throw new MembershipError(`${name} keeps the log of another cluster, ${clusterIdInWords(kept)}`);
    const { members, lastId } = leadership.configuration;
    const known =
      members.find((member) => member.uuid === uuid) ??
      members.find((member) => member.name === name && member.uuid === '');
    const id = known?.id ?? lastId + 1;
    if (known === undefined) {
      const namesake = this.#find(name);
      // It may have died a moment ago, and this is the one that takes its place.
      if (namesake !== undefined && this.#isHeard(namesake.id))
        throw new UnavailableError(`another node of the name ${name} is a living member of this cluster`);
      const replaces = namesake === undefined ? {} : { replaces: namesake.id };
      await this.#change([{ type: 'add-learner-node', nodeId: id }], [{ id, name, uuid, rpcAddr, ...replaces }]);
    } else if (members.some((member) => member.name === name && member.id !== id && member.id !== known.replaces)) {
      throw new MembershipError(`another member has the name ${name}`);
    } else if (known.uuid !== uuid || known.rpcAddr !== rpcAddr || known.name !== name) {
      await this.#change([{ type: 'update-node', nodeId: id }], [{ ...known, name, uuid, rpcAddr }]);
    }
    const transfer = {
      configuration: leadership.firstConfiguration,
      offset: 0,
      contacts: leadership.configuration.members,
    };
    return { kind: 'joined', clusterId, id, configuration: encodeTransfer(transfer) };
  }

  /** One at a time: a change waits for the one before. */
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
      logger.debug({ reason: error.message, member: member.name }, 'a learner is not promoted yet');
    }
  }

  #promote({ id, replaces }: Member): Promise<void> {
    const { voters, learners } = this.options.leadership.configuration.confState;
    const changes: ConfChangeSingle[] = [{ type: 'add-node', nodeId: id }];
    if (replaces !== undefined && (voters.includes(replaces) || learners.includes(replaces)))
      changes.push({ type: 'remove-node', nodeId: replaces });
    return this.#change(changes, []);
  }

  #change(changes: readonly ConfChangeSingle[], members: readonly Member[]): Promise<void> {
    return this.options.leadership.proposeChange(confChangeV2({ changes, context: encodeChangeContext({ members }) }));
  }

  #hasCaughtUp(id: number, commit: number): boolean {
    let caughtUp = false;
    this.options.leadership.visitProgress((member, { state, match, recentActive }) => {
      if (member === id) caughtUp = recentActive && state === 'replicate' && match >= commit;
    });
    return caughtUp;
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
    if (leadership.leaderId === 0) throw new UnavailableError('there is no leader now');
    return transport.clusterOf(leadership.leaderId);
  }

  #find(name: string): Member | undefined {
    return this.options.leadership.configuration.members.findLast((member) => member.name === name);
  }

  #findOrThrow(name: string): Member {
    const member = this.#find(name);
    if (member === undefined) {
      const names = this.options.leadership.configuration.members.map((each) => each.name);
      throw new MembershipError(`${name} is no member; there are ${names.join(', ')}`);
    }
    return member;
  }

  #nameOf(id: number): string {
    return this.options.leadership.configuration.members.find((member) => member.id === id)?.name ?? String(id);
  }
}
