import { describeClusterId, parseClusterId } from '../configuration/member-names.js';
import { featureLevelKnown } from '../configuration/cluster-settings.js';
import {
  firstConfiguration,
  type Member,
  removalOf,
  type StoredConfiguration,
} from '../configuration/configuration.js';
import { type Joined, joinCluster, type JoiningOptions, JoinRefusedError } from '../join/join-cluster.js';
import type { NodeAnswer } from '../join/asked-nodes.js';
import { type Beginning, beginningOf } from '../join/beginning.js';
import { askIfRemoved, type SeatLoss } from '../join/ask-if-removed.js';
import type { Joiner, LeaderView } from '../ports/join-transport.js';
import type { Unready } from '../ports/readiness.js';
import { Backoff } from '../waiting/backoff.js';
import { pause } from '../waiting/pause.js';
import { rejoinCluster } from '../join/rejoin-cluster.js';
import { answerAsMember, assertNeverInCluster, type NodeContext, type NodeStorage } from './node-context.js';
import type { MemberDependencies } from './node-dependencies.js';

/** How often a member checks whether the configuration has its current address. */
const lookMs = 1_000;
/** The longest pause between questions whether this member was removed. */
const longestLookMs = 5_000;

/** A member that runs Raft. */
export interface AnnouncedMember {
  /** Its Raft id. */
  readonly id: number;
  /** Whether the cluster knows its name and address. */
  readonly isKnown: boolean;
  /** Whether it leads or has heard from a leader lately. */
  readonly isInTouch: () => boolean;
}

/**
 * Puts a new node into a cluster: joins an existing one, or bootstraps one. Waits for other nodes as long as it needs
 * them. Resolves with false if it was admitted under an id that votes or has acknowledged something: its disk kept its UUID
 * and lost what it promised under that id.
 */
export async function enterCluster(deps: MemberDependencies, context: NodeContext): Promise<boolean> {
  const { configuration, discovery } = context;
  await assertNeverInCluster(deps, context);
  const joined = await joinOrBegin(deps, context);
  const hasPromised = joined.kind === 'member' && mayHavePromised(joined.view);
  if (joined.kind === 'member') {
    await deps.directory.adoptLogId(joined.clusterId);
    answerAsMember(deps.peerService, joined.clusterId);
    await configuration.write({ ...joined.stored, ...(hasPromised && { amnesiac: true }) });
    deps.logger.info('cluster_joined', { memberId: joined.stored.id }, 'joined the cluster');
  } else {
    answerAsMember(deps.peerService, deps.directory.logId);
    await configuration.write({ id: 1, contacts: [], history: [firstConfiguration({ id: 1, ...context.self })] });
    deps.logger.info('cluster_bootstrapped', {}, 'bootstrapped a cluster of one node');
  }
  discovery.enter(describeClusterId(deps.directory.logId));
  return !hasPromised;
}

function mayHavePromised(view: LeaderView | undefined): boolean {
  return view !== undefined && (view.votes || view.acknowledged.index > 0);
}

/**
 * Makes a former member a member again, in the cluster that its data directory names: see `rejoinCluster`. Resolves
 * with its members, if the cluster now knows this node's name and address.
 */
export async function reenterCluster(
  deps: MemberDependencies,
  context: NodeContext,
  { log }: NodeStorage,
  report: (readiness: Unready) => void,
): Promise<readonly Member[] | undefined> {
  const { configuration, hardState, discovery } = context;
  const { stored } = configuration;
  const hasOthers = otherMemberAddrs(context).length > 0;
  if (stored === undefined || (!hasOthers && discovery.nodes().length === 0 && !stored.amnesiac)) return undefined;
  return rejoinCluster({
    report,
    ...rejoining(deps, context, deps.signal),
    stored,
    configuration,
    log,
    hardState,
  });
}

/**
 * Joins the cluster again, with its log, in a node that runs and was removed. Resolves with its new Raft id. Rejects as
 * `joinCluster`.
 */
export async function rejoinAfterRemoval(
  deps: MemberDependencies,
  context: NodeContext & NodeStorage,
  signal: AbortSignal,
): Promise<number> {
  const { configuration, hardState, log } = context;
  const report = (): void => undefined;
  const { stored = { id: 0, contacts: [], history: [] } } = configuration;
  await rejoinCluster({
    ...rejoining(deps, context, signal),
    stored,
    wasRemoved: true,
    configuration,
    log,
    hardState,
    report,
  });
  return configuration.stored?.id ?? 0;
}

/**
 * Has the cluster admit this node as a new member with an empty log, since its own is of an earlier generation than
 * this. Changes nothing here. Waits for a leader of that generation, or a later one, as long as it needs one.
 */
export async function joinAgain(
  deps: MemberDependencies,
  context: NodeContext,
  generation: number,
): Promise<StoredConfiguration> {
  const { joiner, ...options } = rejoining(deps, context, deps.signal);
  for (let latest = generation; ;) {
    waitIn(deps, superseded(latest));
    try {
      const joined = await joinCluster({ ...options, joiner: { ...joiner, generation: latest } });
      if (joined.kind === 'member') return joined.stored;
    } catch (error) {
      const isLater = error instanceof JoinRefusedError && (error.generation ?? 0) > latest;
      if (!isLater) throw error;
      latest = error.generation ?? latest;
    }
  }
}

function superseded(generation: number): Unready {
  return {
    state: 'superseded',
    problem:
      `the cluster was recovered without this node (generation ${generation}): it joins again, with an empty log, once ` +
      `a leader of the recovered cluster admits it; its old log then moves to logs/before-generation-${generation}`,
  };
}

/**
 * Reports the name and address of this node to the cluster as soon as there is a leader, and again whenever the
 * configuration has others: a report of an earlier run of this node may be committed later. With `isKnown` it does so
 * only then. While no leader is in touch with this node, asks the other members whether it was removed: nobody sends
 * anything to a removed member. Resolves with the reason if it was, and with undefined when the signal aborts.
 */
export async function keepAnnounced(
  deps: MemberDependencies,
  { isKnown, id, isInTouch, ...context }: NodeContext & AnnouncedMember,
  stopped: AbortSignal,
): Promise<SeatLoss | undefined> {
  const { clock } = deps;
  const { self, configuration } = context;
  const isElsewhere = (): boolean => {
    const known = configuration.current.members.find((member) => member.id === id);
    return known !== undefined && (known.rpcAddr !== self.rpcAddr || known.name !== self.name);
  };
  const { joiner, ...asking } = rejoining(deps, context, stopped);
  const joining = { ...asking, joiner: { ...joiner, runsAs: id } };
  const backoff = new Backoff(lookMs, longestLookMs);
  let mayAskAt = clock.now() + 2 * lookMs;
  const report = addressReport(deps, context, joining);
  let mustReport = !isKnown && otherMemberAddrs(context).length > 0;
  try {
    for (; ; await pause(clock, lookMs, stopped)) {
      const removal = removalOf(configuration.current, id);
      if (removal !== undefined) return removal;
      if (isInTouch()) backoff.reset();
      else if (clock.now() >= mayAskAt) {
        const answer = await askIfRemoved(joining, () => otherMemberAddrs(context));
        if (answer !== undefined) return answer;
        mayAskAt = clock.now() + backoff.next();
      }
      if (!mustReport && !isElsewhere()) continue;
      mustReport = false;
      const answer = await report(id);
      if (answer !== undefined) return answer;
    }
  } catch (error) {
    if (stopped.aborted) return undefined;
    throw error;
  }
}

/**
 * Returns a function that reports the address of this node to the cluster, until the cluster has refused it once. It
 * resolves with the reason if the cluster has removed the node.
 */
function addressReport(
  { logger }: MemberDependencies,
  { self, configuration }: NodeContext,
  joining: JoiningOptions,
): (id: number) => Promise<SeatLoss | undefined> {
  let reported: Member | undefined;
  let isRefused = false;
  return async (id) => {
    if (isRefused) return undefined;
    const before = configuration.current.members.find((member) => member.id === id);
    try {
      const joined = await joinCluster(joining);
      if (joined.kind === 'member' && joined.stored.id > id) return 'readmitted';
    } catch (error) {
      joining.signal.throwIfAborted();
      if (error instanceof JoinRefusedError && error.removal !== undefined) return error.removal;
      isRefused = true;
      if (error instanceof JoinRefusedError)
        logger.error(
          'membership_refused',
          { memberId: id, reason: error.message },
          'the cluster refuses this node as the member that it runs as',
        );
      else
        logger.error(
          'address_update_failed',
          { error },
          'could not report the new address of this node to the cluster',
        );
      return undefined;
    }
    const isElsewhere = before !== undefined && (before.rpcAddr !== self.rpcAddr || before.name !== self.name);
    if (isElsewhere && before !== reported)
      logger.info(
        'address_updated',
        { previousRpcAddr: before.rpcAddr, rpcAddr: self.rpcAddr },
        'the cluster recorded the new address of this node',
      );
    reported = before;
    return undefined;
  };
}

/** Refuses calls, and is not ready, with the reason why this node waits before it starts. */
function waitIn({ gates, onReadiness }: MemberDependencies, readiness: Unready): void {
  onReadiness?.(() => readiness);
  for (const gate of [gates.commitLog, gates.cluster]) gate.close(readiness.problem);
}

/** Returns the options with which a former member announces itself and its address to its cluster. */
function rejoining(deps: MemberDependencies, context: NodeContext, signal: AbortSignal): JoiningOptions {
  const { joinTransport: transport, directory, clock, logger } = deps;
  const { self, discovery } = context;
  const addresses = (): string[] => [
    self.rpcAddr,
    ...new Set([...otherMemberAddrs(context), ...discovery.nodes().map(({ rpcAddr }) => rpcAddr)]),
  ];
  const clusterId = directory.logId;
  const { generation } = context.configuration;
  const joiner: Joiner = { ...self, bootstrapExpect: 0, clusterId, generation, featureLevel: featureLevelKnown };
  return { transport, addresses, joiner, clock, logger, signal };
}

/** Returns HOST:PORT of the gRPC of the other members that this node's disk names. */
function otherMemberAddrs({ configuration: { stored, current }, self }: NodeContext): string[] {
  const known = [...(stored?.contacts ?? []), ...current.members];
  return known.filter(({ uuid }) => uuid !== self.uuid).map(({ rpcAddr }) => rpcAddr);
}

/** Joins a cluster, or decides to begin one: at once if nothing leads to other nodes, otherwise see `beginningOf`. */
async function joinOrBegin(deps: MemberDependencies, { self, discovery }: NodeContext): Promise<Joined> {
  const { joinTransport: transport, peerService, settings, clock, logger, signal } = deps;
  const { bootstrap, bootstrapExpect, startJoinAddrs } = settings;
  if (startJoinAddrs.length === 0 && bootstrapExpect <= 1) return { kind: 'bootstrap' };
  const expect = bootstrap ? 1 : bootstrapExpect;
  const joiner: Joiner = { ...self, bootstrapExpect: expect, featureLevel: featureLevelKnown };
  let isIgnored = !bootstrap;
  const beginning = (answers: readonly NodeAnswer[]): Beginning => {
    const decision = beginningOf(joiner, discovery.sighting, answers);
    if (decision.kind === 'joins' && !isIgnored) {
      isIgnored = true;
      // A node that began the cluster and then lost its disk must not begin a second one.
      logger.warn('bootstrap_ignored', {}, 'a cluster exists already; ignoring --bootstrap and joining it');
    }
    return decision;
  };
  // Waiting nodes must be able to find each other, and to hear of a cluster from each other.
  peerService.setJoinHandler({
    admit: async () => {
      const [found] = discovery.sighting.clusterIds;
      if (found === undefined) return { kind: 'waiting', joiner };
      return { kind: 'retry', reason: 'this node waits to join a cluster', clusterId: parseClusterId(found) };
    },
  });
  const onWait = (reason: string): void => {
    waitIn(deps, { state: 'joining', problem: `this node is starting and waits ${reason}` });
  };
  const addresses = (): string[] => discovery.nodes().map(({ rpcAddr }) => rpcAddr);
  return joinCluster({ transport, addresses, joiner, clock, logger, signal, beginning, onWait });
}
