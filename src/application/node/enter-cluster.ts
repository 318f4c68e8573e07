import { describeClusterId } from '../configuration/member-names.js';
import { firstConfiguration, type Member } from '../configuration/configuration.js';
import { CorruptConfigurationError } from '../configuration/configuration-file.js';
import { type Joined, joinCluster, type JoiningOptions, JoinRefusedError } from '../join/join-cluster.js';
import type { Joiner, LeaderView } from '../ports/join-transport.js';
import { pause } from '../waiting/pause.js';
import { rejoinCluster } from '../join/rejoin-cluster.js';
import type { NodeContext, NodeStorage } from './node-context.js';
import type { MemberDependencies } from './node-dependencies.js';

/** How long a bootstrapping node waits for the given nodes to say that they are in a cluster. */
const bootstrapLookMs = 2_000;
/** How often a member checks whether the configuration has its current address. */
const lookMs = 1_000;

/**
 * Puts a new node into a cluster: joins an existing one, or bootstraps one. Waits for other nodes as long as it needs
 * them. Resolves with false if it was let in under an id that has taken part: its disk lost `raft/`, and with it what it
 * promised under that id.
 */
export async function enterCluster(deps: MemberDependencies, context: NodeContext): Promise<boolean> {
  const { configuration, hardState, discovery } = context;
  // The node has voted, so it was in a cluster: it must not bootstrap another one with that log.
  if (hardState.current.term > 0) throw new CorruptConfigurationError('is missing');
  const joined: Joined = (await beginsCluster(deps, context)) ? { kind: 'bootstrap' } : await join(deps, context);
  const hasPromised = joined.kind === 'member' && hasTakenPart(joined.view);
  if (joined.kind === 'member') {
    await deps.directory.adoptLogId(joined.clusterId);
    await configuration.write({ ...joined.stored, ...(hasPromised && { amnesiac: true }) });
    deps.logger.info('cluster_joined', { memberId: joined.stored.id }, 'joined the cluster');
  } else {
    await configuration.write({ id: 1, contacts: [], history: [firstConfiguration({ id: 1, ...context.self })] });
    deps.logger.info('cluster_bootstrapped', {}, 'bootstrapped a cluster of one node');
  }
  discovery.enter(describeClusterId(deps.directory.logId));
  return !hasPromised;
}

function hasTakenPart(view: LeaderView | undefined): boolean {
  return view !== undefined && (view.votes || view.acknowledged.index > 0);
}

/**
 * Makes a former member a member again, in the cluster that its data directory names: see `rejoinCluster`. Resolves
 * with whether the cluster now knows this node's name and address.
 */
export async function reenterCluster(
  deps: MemberDependencies,
  context: NodeContext,
  { log }: NodeStorage,
  report: (problem: string) => void,
): Promise<boolean> {
  const { configuration, hardState, discovery } = context;
  const { stored } = configuration;
  const hasOthers = otherMemberAddrs(context).length > 0;
  if (stored === undefined || (!hasOthers && discovery.nodes().length === 0 && !stored.amnesiac)) return false;
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
 * Reports the name and address of this node to the cluster as soon as there is a leader, and again whenever the
 * configuration has others: a report of an earlier run of this node may be committed later. With `isKnown` it does so
 * only then. Resolves when the signal aborts, or when this node is no longer a member.
 */
export async function keepAnnounced(
  deps: MemberDependencies,
  { isKnown, id, ...context }: NodeContext & { readonly id: number; readonly isKnown: boolean },
  stopped: AbortSignal,
): Promise<void> {
  const { logger, clock } = deps;
  const { self, configuration } = context;
  const known = (): Member | undefined => configuration.current.members.find((member) => member.id === id);
  const isElsewhere = (member = known()): boolean =>
    member !== undefined && (member.rpcAddr !== self.rpcAddr || member.name !== self.name);
  let reported: Member | undefined;
  let mustReport = !isKnown && otherMemberAddrs(context).length > 0;
  try {
    for (; ; await pause(clock, lookMs, stopped)) {
      if (!mustReport && !isElsewhere()) continue;
      const before = known();
      const { joiner, ...joining } = rejoining(deps, context, stopped);
      const joined = await joinCluster({ ...joining, joiner: { ...joiner, runsAs: id } });
      if (joined.kind === 'member' && joined.stored.id > id) {
        logger.error(
          'removed_while_offline',
          { memberId: id },
          'this node was removed from the cluster while it was offline; restart it to join again',
        );
        return;
      }
      mustReport = false;
      if (isElsewhere(before) && before !== reported)
        logger.info(
          'address_updated',
          { previousRpcAddr: before?.rpcAddr, rpcAddr: self.rpcAddr },
          'the cluster recorded the new address of this node',
        );
      reported = before;
    }
  } catch (error) {
    if (stopped.aborted) return;
    if (error instanceof JoinRefusedError)
      logger.error(
        'membership_refused',
        { memberId: id, reason: error.message },
        'the cluster refuses this node as the member that it runs as',
      );
    else
      logger.error('address_update_failed', { error }, 'could not report the new address of this node to the cluster');
  }
}

/** Returns the options with which a former member announces itself and its address to its cluster. */
function rejoining(deps: MemberDependencies, context: NodeContext, signal: AbortSignal): JoiningOptions {
  const { joinTransport: transport, directory, clock, logger } = deps;
  const { self, discovery } = context;
  const addresses = (): string[] => [
    self.rpcAddr,
    ...new Set([...otherMemberAddrs(context), ...discovery.nodes().map(({ rpcAddr }) => rpcAddr)]),
  ];
  const joiner: Joiner = { ...self, bootstrapExpect: 0, clusterId: directory.logId };
  return { transport, addresses, joiner, clock, logger, signal };
}

/** Returns HOST:PORT of the gRPC of the other members that this node's disk names. */
function otherMemberAddrs({ configuration: { stored, current }, self }: NodeContext): string[] {
  const known = [...(stored?.contacts ?? []), ...current.members];
  return known.filter(({ uuid }) => uuid !== self.uuid).map(({ rpcAddr }) => rpcAddr);
}

/**
 * Whether the node bootstraps a cluster without asking for one: `--bootstrap`, or nothing that leads to other nodes.
 */
async function beginsCluster(deps: MemberDependencies, { discovery }: NodeContext): Promise<boolean> {
  const { bootstrap, bootstrapExpect, startJoinAddrs } = deps.settings;
  const hasAddrs = startJoinAddrs.length > 0;
  if (!bootstrap) return !hasAddrs && bootstrapExpect <= 1;
  if (!hasAddrs || !(await discovery.findsCluster(bootstrapLookMs, deps.signal))) return true;
  // A node that bootstrapped the cluster and then lost its disk must not bootstrap a second cluster.
  deps.logger.warn('bootstrap_ignored', {}, 'a cluster exists already; ignoring --bootstrap and joining it');
  return false;
}

function join(deps: MemberDependencies, { self, discovery }: NodeContext): Promise<Joined> {
  const { joinTransport: transport, peerService, settings, clock, logger, signal } = deps;
  const joiner: Joiner = { ...self, bootstrapExpect: settings.bootstrapExpect };
  // Waiting nodes must be able to find each other.
  peerService.setJoinHandler({ admit: () => Promise.resolve({ kind: 'waiting', joiner }) });
  const addresses = (): string[] => discovery.nodes().map(({ rpcAddr }) => rpcAddr);
  return joinCluster({ transport, addresses, joiner, clock, logger, signal });
}
