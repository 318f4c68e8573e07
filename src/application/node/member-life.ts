import type { Log } from '../../domain/log/log.js';
import { type Offset, toIndex } from '../../domain/log/offsets.js';
import { isOnlyVoter } from '../configuration/configuration.js';
import type { SeatLoss } from '../join/ask-if-removed.js';
import { JoinRefusedError } from '../join/join-cluster.js';
import { leaveCluster } from '../join/leave-cluster.js';
import type { Cluster } from '../ports/cluster.js';
import type { Consensus } from '../ports/consensus.js';
import { DamagedNode, isDamaged } from '../repair/damaged-node.js';
import { firstDamaged, offsetOf } from '../repair/first-damage.js';
import { lacksCommitted, LogRepair } from '../repair/log-repair.js';
import type { StandInOptions } from '../repair/stand-in.js';
import { rejoinAfterRemoval } from './enter-cluster.js';
import { type ProvedMember, proveMember } from './member-identity.js';
import { answerAsMember, openDiskReserve } from './node-context.js';
import type { MemberDependencies } from './node-dependencies.js';
import { RemovedNode } from './removed-node.js';
import { entrySourceOf, type MemberContext, openGates, runRaft, type RunningRaft } from './run-raft.js';
import type { ClusterWork } from './started-node.js';
import { WaitingMember } from './waiting-member.js';

/** What a member does in its cluster. */
export interface MemberWork extends ClusterWork {
  /** Undefined while the member waits, while its log is damaged, and while the node is not a member. */
  readonly raft: RunningRaft | undefined;
  /** The progress of the log's repair; undefined while no repair is in progress. */
  readonly repair: string | undefined;
  /** Why the member waits before it runs Raft; undefined: it does not. */
  readonly waiting: string | undefined;
}

/** A member that has opened its files and has not proved yet who it is. */
export type OpenedMember = Omit<MemberContext, 'id' | keyof ProvedMember>;

/**
 * What a member does from its start to its stop. It runs Raft, with three exceptions. Until its peers have vouched for
 * it, and while its log is damaged, it serves what it can, and runs Raft after that. After it was removed from the
 * cluster it refuses all calls: removed as dead, or admitted again already, it joins again at once; otherwise it stays out
 * until it is restarted.
 */
export class MemberLife implements MemberWork {
  #raft: RunningRaft | undefined;
  /** Stands in for Raft. */
  #standIn: WaitingMember | DamagedNode | RemovedNode | undefined;
  #repair: LogRepair | undefined;
  #changing: Promise<void> = Promise.resolve();
  readonly #stopping = new AbortController();

  private constructor(
    private readonly deps: MemberDependencies,
    private member: MemberContext,
  ) {}

  /** Resolves when the node serves: a new member, or one for which its peers vouch at once, then runs Raft. */
  static async start(deps: MemberDependencies, opened: OpenedMember, isNew: boolean): Promise<MemberLife> {
    const id = opened.configuration.stored?.id ?? 0;
    const life = new MemberLife(deps, { ...opened, id, isKnown: isNew });
    if (isNew) await life.#repairAndRun();
    else await life.#prove();
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

  get waiting(): string | undefined {
    return this.#standIn instanceof WaitingMember ? this.#standIn.readiness.problem : undefined;
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

  /** Resolves when the member runs Raft, or serves while its log is repaired or while it waits for its peers. */
  async #prove(): Promise<void> {
    const { deps } = this;
    const signal = AbortSignal.any([deps.signal, this.#stopping.signal]);
    const waiting = await openWaiting(deps, this.member);
    let wait = (): void => undefined;
    const hasToWait = new Promise<undefined>((resolve) => (wait = () => resolve(undefined)));
    const proving = proveMember({ ...deps, signal }, this.member, (readiness) => {
      waiting.readiness = readiness;
      wait();
    }).catch((error: unknown) => this.#rejected(error));
    const proved = await Promise.race([proving, hasToWait]);
    deps.signal.throwIfAborted();
    if (proved !== undefined) return this.#repairAndRun(proved);
    this.#serveWith(waiting);
    openGates(deps, this.member, waiting, waiting);
    this.#change(async () => {
      const provedNow = await proving;
      signal.throwIfAborted();
      await this.#repairAndRun(provedNow);
      await waiting.close();
    });
  }

  /** Rejects with the error. A refusal by a later generation is noted first: the next start joins with an empty log. */
  async #rejected(error: unknown): Promise<never> {
    if (error instanceof JoinRefusedError && error.generation !== undefined)
      await this.member.configuration.noteSuperseded(error.generation);
    throw error;
  }

  /** Repairs the log if it is damaged, and runs Raft. */
  async #repairAndRun(proved?: ProvedMember): Promise<void> {
    const { configuration } = this.member;
    this.member = { ...this.member, ...proved, id: configuration.stored?.id ?? 0 };
    const repair = await prepareRepair(this.deps, this.member);
    this.deps.signal.throwIfAborted();
    if (repair === undefined && !isDamaged(this.member.log)) await this.#run();
    else this.#serveDamaged(repair);
  }

  async #run(): Promise<void> {
    const raft = await runRaft(this.deps, this.member);
    this.#raft = raft;
    this.#standIn = undefined;
    this.deps.onReadiness?.(() => raft.cluster.readiness);
    void raft.removed.then((removal) => {
      if (removal !== undefined && !this.#stopping.signal.aborted) this.#change(() => this.#stayOut(raft, removal));
    });
  }

  /** Serves the readable part of a damaged log, and runs Raft once the log is repaired. */
  #serveDamaged(repair: LogRepair | undefined): void {
    const { deps, member } = this;
    const damaged = new DamagedNode({ ...standingIn(deps, member), ...(repair && { repair }) });
    this.#serveWith(damaged);
    this.#repair = repair;
    openGates(deps, member, damaged, damaged);
    if (repair === undefined) return;
    this.#change(async () => {
      await repair.run(this.#stopping.signal);
      await this.#run();
      await damaged.close();
    });
  }

  /**
   * Ends Raft. Joins again if the node was removed as dead, or if the cluster has admitted it again by a request whose
   * answer was lost; otherwise it stays out: its seat may be another node's now. If it was removed on request before it
   * ran, its start is the request to join again.
   */
  async #stayOut(raft: RunningRaft, removal: SeatLoss): Promise<void> {
    const { deps, member } = this;
    const { gates, directory, logger } = deps;
    const { id } = member;
    const asksByItsStart = removal === 'on request' && !raft.wasInTouch();
    const staysOut = removal === 'unknown' || (removal === 'on request' && !asksByItsStart);
    const shown = asksByItsStart ? 'before its start' : removal;
    const removed = new RemovedNode(standingIn(deps, member), raft.node.highWatermark, shown);
    logger.error(
      'removed_from_cluster',
      { memberId: id, removal },
      'the cluster removed this node; it no longer serves',
    );
    this.#serveWith(removed);
    gates.commitLog.close(removed.readiness.problem);
    gates.cluster.open(removed);
    answerAsMember(deps.peerService, directory.logId);
    this.#raft = undefined;
    await raft.stop();
    await raft.node.close();
    if (staysOut) return;
    try {
      const signal = AbortSignal.any([deps.signal, this.#stopping.signal]);
      const newId = await rejoinAfterRemoval(deps, member, signal);
      const diskReserve = await openDiskReserve(deps);
      this.member = { ...member, id: newId, diskReserve, isKnown: true };
    } catch (error) {
      if (!(error instanceof JoinRefusedError)) throw error;
      logger.error('membership_refused', { memberId: id, reason: error.message }, 'the cluster refuses this node');
      removed.stayOut(error.message);
      this.#serveWith(removed);
      gates.commitLog.close(removed.readiness.problem);
      return;
    }
    await this.#run();
  }

  #serveWith(standIn: WaitingMember | DamagedNode | RemovedNode): void {
    this.#standIn = standIn;
    this.deps.onReadiness?.(() => standIn.readiness);
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

function prepareRepair(deps: MemberDependencies, member: MemberContext): Promise<LogRepair | undefined> {
  const { clock, logger } = deps;
  const { log, hardState, configuration, id, diskReserve } = member;
  const source = entrySourceOf(deps, member);
  return LogRepair.prepare({ log, hardState, configuration, id, source, diskReserve, clock, logger });
}

/** What a stand-in for Raft answers about the node. */
function standingIn({ directory }: MemberDependencies, member: OpenedMember): StandInOptions & { readonly log: Log } {
  const { self, configuration, hardState, log } = member;
  return { self, configuration, hardState, log, clusterId: directory.logId };
}

async function openWaiting(deps: MemberDependencies, member: OpenedMember): Promise<WaitingMember> {
  const { configuration, hardState, log } = member;
  const { damagedFrom, repairing } = configuration.stored ?? {};
  const damage = await firstDamaged(log, repairing?.cutFrom ?? damagedFrom);
  const isCopy =
    lacksCommitted({ log, hardState }) && !isOnlyVoter(configuration.current, configuration.stored?.id ?? 0);
  const readableEnd = isCopy
    ? log.startOffset
    : (damage?.readableEnd ?? (await committedEnd(log, hardState.current.commit)));
  return new WaitingMember(standingIn(deps, member), readableEnd);
}

/** Returns one past the last record that is known to be committed. */
async function committedEnd(log: OpenedMember['log'], commit: number): Promise<Offset> {
  const next = toIndex(Math.max(log.startIndex, Math.min(commit, log.lastIndex) + 1));
  return (await offsetOf(log, next)) ?? log.startOffset;
}
