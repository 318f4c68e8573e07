import { type Index, type Offset, toIndex } from '../../domain/log/offsets.js';
import { leaveCluster } from '../join/leave-cluster.js';
import type { Cluster } from '../ports/cluster.js';
import type { EntrySource } from '../ports/entry-source.js';
import { DamagedNode, isDamaged } from '../repair/damaged-node.js';
import { firstDamaged, offsetOf } from '../repair/first-damage.js';
import { LogRepair } from '../repair/log-repair.js';
import { enterCluster } from './enter-cluster.js';
import { closingOnFailure } from './in-order.js';
import { openIdentity, openVoucher, type ProvedMember, proveMember } from './member-identity.js';
import { type NodeContext, type NodeStorage, openContext, openStorage } from './node-context.js';
import type { MemberDependencies } from './node-dependencies.js';
import { type MemberContext, openGates, runRaft, type RunningRaft } from './run-raft.js';
import { type ClusterWork, StartedNode } from './started-node.js';
import { WaitingMember } from './waiting-member.js';

/** What a member does in its cluster. */
export interface MemberWork extends ClusterWork {
  /** Undefined while the member waits, or its log is damaged. */
  readonly raft: RunningRaft | undefined;
  /** The progress of the log's repair; undefined while there is none. */
  readonly repair: string | undefined;
  /** Why the member does not take part yet; undefined: it does, or repairs its log. */
  readonly waiting: string | undefined;
}

/**
 * Starts a member of the cluster that its data directory names, or joins or bootstraps one. A member serves what it can
 * while its peers have not vouched for it, and while its log is repaired from them, and runs Raft after that. Resolves
 * when it serves; a new node waits for its cluster without a time limit. If it rejects, what it opened is closed.
 */
export function startMember(deps: MemberDependencies): Promise<StartedNode<MemberWork>> {
  return closingOnFailure(async (opened) => {
    const context = await openContext(deps, 'node', opened);
    const identity = await openIdentity(deps, context);
    const isNew = context.configuration.stored === undefined && (await enterCluster(deps, context));
    deps.signal.throwIfAborted();
    const storage = await openStorage(deps, context);
    const voucher = openVoucher(deps, context, storage, identity);

    const takePart = (proved: ProvedMember): Promise<MemberWork> => {
      const id = context.configuration.stored?.id ?? 0;
      return startWork(deps, { ...context, ...storage, ...identity, ...proved, voucher, id });
    };
    if (isNew) return new StartedNode(context, storage, await takePart({ isKnown: true }));
    const waiting = await waitingMember(deps, context, storage);
    const ending = new AbortController();
    const signal = AbortSignal.any([deps.signal, ending.signal]);
    const { promise: hasToWait, resolve: wait } = withResolvers();
    const proved = proveMember({ ...deps, signal }, context, storage, { ...identity, voucher }, (problem) => {
      waiting.problem = problem;
      wait();
    });
    const member = await Promise.race([proved, hasToWait]);
    deps.signal.throwIfAborted();
    if (member !== undefined) return new StartedNode(context, storage, await takePart(member));
    const taking = proved.then((provedNow) => {
      signal.throwIfAborted();
      return takePart(provedNow);
    });
    return new StartedNode(
      context,
      storage,
      waitingWork(deps, { ...context, ...storage }, { waiting, taking, ending }),
    );
  });
}

function withResolvers(): { promise: Promise<undefined>; resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<undefined>((settle) => (resolve = () => settle(undefined)));
  return { promise, resolve };
}

async function waitingMember(
  { directory }: MemberDependencies,
  { self, configuration, hardState }: NodeContext,
  { log }: NodeStorage,
): Promise<WaitingMember> {
  const { damagedFrom, repairing } = configuration.stored ?? {};
  const damage = await firstDamaged(log, repairing?.cutFrom ?? damagedFrom);
  const readableEnd = damage?.readableEnd ?? (await committedEnd(log, hardState.current.commit));
  return new WaitingMember({ log, hardState, configuration, self, clusterId: directory.logId, readableEnd });
}

/** Returns one past the last record that is known to be committed. */
async function committedEnd(log: NodeStorage['log'], commit: Index): Promise<Offset> {
  const next = toIndex(Math.max(log.startIndex, Math.min(commit, log.lastIndex) + 1));
  return (await offsetOf(log, next)) ?? log.startOffset;
}

/** Serves what is known to be committed, and takes part once the node has proved who it is. */
function waitingWork(
  deps: MemberDependencies,
  member: NodeContext & NodeStorage,
  {
    waiting,
    taking,
    ending,
  }: { readonly waiting: WaitingMember; readonly taking: Promise<MemberWork>; readonly ending: AbortController },
): MemberWork {
  openGates(deps, member, waiting, waiting);
  let work: MemberWork | undefined;
  const taken = taking.then(
    async (begun) => {
      work = begun;
      await waiting.close();
    },
    (error: unknown) => {
      if (!ending.signal.aborted && !deps.signal.aborted) deps.onFatal(error);
    },
  );
  return {
    get consensus() {
      return work?.consensus ?? waiting;
    },
    get raft() {
      return work?.raft;
    },
    get repair() {
      return work?.repair;
    },
    get waiting() {
      return work === undefined ? waiting.problem : work.waiting;
    },
    leave: async () => work?.leave(),
    settle: async () => {
      ending.abort();
      await taken;
      await work?.settle();
    },
    stop: async () => (work === undefined ? member.diskReserve.close() : work.stop()),
  };
}

/** Repairs the log if it is damaged, and runs Raft. */
async function startWork(deps: MemberDependencies, member: MemberContext): Promise<MemberWork> {
  const repair = await prepareRepair(deps, member);
  deps.signal.throwIfAborted();
  const isWhole = repair === undefined && !isDamaged(member.log);
  return isWhole ? raftWork(deps, member, await runRaft(deps, member)) : damagedWork(deps, member, repair);
}
function prepareRepair(deps: MemberDependencies, member: MemberContext): Promise<LogRepair | undefined> {
  const { directory, crc32c, clock, logger } = deps;
  const { log, hardState, configuration, id, diskReserve, discovery } = member;
  const found = deps.entrySource(id, { crc32c, logId: directory.logId });
  const source: EntrySource = {
    logEnd: (peer, ...rest) => found.logEnd(discovery.locate(peer), ...rest),
    read: (peer, ...rest) => found.read(discovery.locate(peer), ...rest),
  };
  return LogRepair.prepare({ log, hardState, configuration, id, source, diskReserve, clock, logger });
}

function raftWork(deps: MemberDependencies, { self }: MemberContext, raft: RunningRaft): MemberWork {
  return {
    consensus: raft.node,
    raft,
    repair: undefined,
    waiting: undefined,
    leave: () => leave(deps, raft.cluster, self.name),
    settle: () => Promise.resolve(),
    stop: () => raft.stop(),
  };
}

/** Serves the readable part of a damaged log, and runs Raft once the log is repaired. */
function damagedWork(deps: MemberDependencies, member: MemberContext, repair: LogRepair | undefined): MemberWork {
  const { log, id, self, diskReserve } = member;
  const configuration = member.configuration.current;
  const clusterId = deps.directory.logId;
  const damaged = new DamagedNode({ log, configuration, id, self, clusterId, ...(repair && { repair }) });
  openGates(deps, member, damaged, damaged);

  let raft: RunningRaft | undefined;
  const stopping = new AbortController();
  const repairAndRunRaft = async (): Promise<void> => {
    if (repair === undefined) return;
    await repair.run(stopping.signal);
    raft = await runRaft(deps, member);
    await damaged.close();
  };
  const repaired = repairAndRunRaft().catch((error: unknown) => {
    if (!stopping.signal.aborted) deps.onFatal(error);
  });
  return {
    get consensus() {
      return raft?.node ?? damaged;
    },
    get raft() {
      return raft;
    },
    get repair() {
      return raft === undefined ? repair?.progress : undefined;
    },
    waiting: undefined,
    leave: () => leave(deps, raft?.cluster ?? damaged, self.name),
    settle: () => {
      stopping.abort();
      return repaired;
    },
    stop: async () => (raft === undefined ? diskReserve.close() : raft.stop()),
  };
}

async function leave({ clock, logger }: MemberDependencies, cluster: Cluster, name: string): Promise<void> {
  try {
    await leaveCluster({ cluster, name, clock });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    logger.warn('leave_failed', { reason }, 'could not leave the cluster; this node stays a member');
  }
}
