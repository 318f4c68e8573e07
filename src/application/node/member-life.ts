import { JoinRefusedError } from '../join/join-cluster.js';
import { leaveCluster } from '../join/leave-cluster.js';
import type { Cluster } from '../ports/cluster.js';
import type { Consensus } from '../ports/consensus.js';
import type { Removal } from '../configuration/configuration.js';
import { DamagedNode, isDamaged } from '../repair/damaged-node.js';
import type { LogRepair } from '../repair/log-repair.js';
import { rejoinAfterRemoval } from './enter-cluster.js';
import { answerAsMember, openDiskReserve } from './node-context.js';
import type { MemberDependencies } from './node-dependencies.js';
import { RemovedNode } from './removed-node.js';
import { type MemberContext, openGates, runRaft, type RunningRaft } from './run-raft.js';
import type { ClusterWork } from './started-node.js';

/** What a member does in its cluster. */
export interface MemberWork extends ClusterWork {
  /** Undefined while the log is damaged, and while the node is not a member. */
  readonly raft: RunningRaft | undefined;
  /** The progress of the log's repair; undefined while there is none. */
  readonly repair: string | undefined;
}

/**
 * What a member does from its start to its stop. It runs Raft, except while its log is damaged: then it serves what it
 * can until the log is repaired from its peers; and after it was removed from the cluster: then it refuses all calls.
 * Removed as dead, it joins again at once; otherwise it stays out until it is restarted.
 */
export class MemberLife implements MemberWork {
  #raft: RunningRaft | undefined;
  /** Stands in for Raft. */
  #standIn: DamagedNode | RemovedNode | undefined;
  #repair: LogRepair | undefined;
  #changing: Promise<void> = Promise.resolve();
  readonly #stopping = new AbortController();

  private constructor(
    private readonly deps: MemberDependencies,
    private member: MemberContext,
  ) {}

  /** Resolves when the node serves. */
  static async start(
    deps: MemberDependencies,
    member: MemberContext,
    repair: LogRepair | undefined,
  ): Promise<MemberLife> {
    const life = new MemberLife(deps, member);
    if (repair === undefined && !isDamaged(member.log)) await life.#run();
    else life.#serveDamaged(repair);
    return life;
  }

  get consensus(): Consensus {
    return this.#raft?.node ?? this.#standInOrThrow();
  }

  get raft(): RunningRaft | undefined {
    return this.#raft;
  }

  get repair(): string | undefined {
    return this.#raft === undefined ? this.#repair?.progress : undefined;
  }

  async leave(): Promise<void> {
    const { clock, logger } = this.deps;
    const { name } = this.member.self;
    const cluster: Cluster | undefined = this.#raft?.cluster ?? this.#standIn;
    if (cluster === undefined || cluster instanceof RemovedNode) return;
    try {
      await leaveCluster({ cluster, name, clock });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      logger.warn('leave_failed', { reason }, 'could not leave the cluster; this node stays a member');
    }
  }

  async settle(): Promise<void> {
    this.#stopping.abort();
    await this.#changing;
  }

  async stop(): Promise<void> {
    if (this.#raft === undefined) this.member.diskReserve.close();
    else await this.#raft.stop();
  }

  async #run(): Promise<void> {
    const raft = await runRaft(this.deps, this.member);
    this.#raft = raft;
    this.#standIn = undefined;
    void raft.removed.then((removal) => {
      if (removal !== undefined && !this.#stopping.signal.aborted) this.#change(() => this.#stayOut(raft, removal));
    });
  }

  /** Serves the readable part of a damaged log, and runs Raft once the log is repaired. */
  #serveDamaged(repair: LogRepair | undefined): void {
    const { deps, member } = this;
    const { log, id, self } = member;
    const configuration = member.configuration.current;
    const clusterId = deps.directory.logId;
    const damaged = new DamagedNode({ log, configuration, id, self, clusterId, ...(repair && { repair }) });
    this.#standIn = damaged;
    this.#repair = repair;
    openGates(deps, member, damaged, damaged);
    if (repair === undefined) return;
    this.#change(async () => {
      await repair.run(this.#stopping.signal);
      await this.#run();
      await damaged.close();
    });
  }

  /** Ends Raft, and joins again if the node was removed as dead. */
  async #stayOut(raft: RunningRaft, removal: Removal): Promise<void> {
    const { deps, member } = this;
    const { gates, directory, logger, onServing } = deps;
    const { id, log, hardState, self } = member;
    const clusterId = directory.logId;
    const configuration = member.configuration.current;
    const { highWatermark } = raft.node;
    const removed = new RemovedNode({ log, hardState, configuration, self, clusterId, highWatermark, removal });
    logger.error('removed_from_cluster', { memberId: id, removal }, 'the cluster removed this node; it serves no more');
    onServing?.(false);
    gates.commitLog.close(removed.problem);
    gates.cluster.open(removed);
    answerAsMember(deps.peerService, clusterId);
    this.#standIn = removed;
    this.#raft = undefined;
    await raft.stop();
    await raft.node.close();
    if (removal !== 'as dead') return;
    try {
      const signal = AbortSignal.any([deps.signal, this.#stopping.signal]);
      const newId = await rejoinAfterRemoval(deps, member, signal);
      const diskReserve = await openDiskReserve(deps);
      this.member = { ...member, id: newId, diskReserve, isKnown: true };
    } catch (error) {
      if (!(error instanceof JoinRefusedError)) throw error;
      logger.error('membership_refused', { memberId: id, reason: error.message }, 'the cluster refuses this node');
      return;
    }
    await this.#run();
    onServing?.(true);
  }

  /** Makes one change at a time; a failure that is not the stop of this node is fatal. */
  #change(change: () => Promise<void>): void {
    this.#changing = this.#changing.then(change).catch((error: unknown) => {
      const isStopping = this.#stopping.signal.aborted || this.deps.signal.aborted;
      if (!isStopping) this.deps.onFatal(error);
    });
  }

  #standInOrThrow(): Consensus {
    if (this.#standIn === undefined) throw new TypeError('a member runs Raft or has a stand-in');
    return this.#standIn;
  }
}
