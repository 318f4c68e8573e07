import { describeClusterId } from '../configuration/member-names.js';
import { firstConfiguration, type Member } from '../configuration/configuration.js';
import { CorruptConfigurationError } from '../configuration/configuration-file.js';
import { type Joined, joinCluster, type JoiningOptions, JoinRefusedError } from '../join/join-cluster.js';
import type { Joiner } from '../ports/join-transport.js';
import { pause } from '../waiting/pause.js';
import { rejoinCluster } from '../join/rejoin-cluster.js';
import type { NodeContext, NodeStorage } from './node-context.js';
import type { MemberDependencies } from './node-dependencies.js';

/** The nodes that a bootstrapping one is given have this long to say that they are in a cluster. */
const bootstrapLookMs = 2_000;
/** A member looks this often whether the configuration has it where it is. */
const lookMs = 1_000;

/**
 * Has a new node be in a cluster: the one that it joins, or one that it begins. Waits for other nodes for ever, where it
 * needs them.
 */
export async function enterCluster(deps: MemberDependencies, context: NodeContext): Promise<void> {
  const { configuration, hardState, discovery } = context;
  // It has voted, so it was in a cluster: on no account may it begin another one with that log.
  if (hardState.current.term > 0) throw new CorruptConfigurationError('is missing');
  const joined: Joined = (await beginsCluster(deps, context)) ? { kind: 'bootstrap' } : await join(deps, context);
  if (joined.kind === 'member') {
    await deps.directory.adoptLogId(joined.clusterId);
    await configuration.write(joined.stored);
    deps.logger.info({ id: joined.stored.id }, 'joined the cluster');
  } else {
    await configuration.write({ id: 1, contacts: [], history: [firstConfiguration({ id: 1, ...context.self })] });
    deps.logger.info({}, 'began a cluster of one');
  }
  discovery.enter(describeClusterId(deps.directory.logId));
}

/**
 * Has a node that was a member before be one again, in the cluster that its data directory names: see `rejoinCluster`.
 * Resolves with whether the cluster knows this node by its name and address now.
 */
export async function reenterCluster(
  deps: MemberDependencies,
  context: NodeContext,
  { log }: NodeStorage,
): Promise<boolean> {
  const { configuration, hardState } = context;
  const { stored } = configuration;
  if (stored === undefined || otherMemberAddrs(context).length === 0) return false;
  return rejoinCluster({ ...rejoining(deps, context, deps.signal), stored, configuration, log, hardState });
}

/**
 * Tells the cluster the name and address of this node, as soon as there is a leader, wherever the configuration comes to
 * have others: what an earlier run of this node said may be committed after it. A member that the cluster knows already
 * says so only then. Resolves when the signal aborts, or when this node turns out to be no member any more.
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
  let noted: Member | undefined;
  let isToSay = !isKnown && otherMemberAddrs(context).length > 0;
  try {
    for (; ; await pause(clock, lookMs, stopped)) {
      if (!isToSay && !isElsewhere()) continue;
      const before = known();
      const { joiner, ...joining } = rejoining(deps, context, stopped);
      const joined = await joinCluster({ ...joining, joiner: { ...joiner, runsAs: id } });
      if (joined.kind === 'member' && joined.stored.id > id)
        throw new JoinRefusedError('it has another Raft id by now: start it again to have it join');
      isToSay = false;
      if (isElsewhere(before) && before !== noted)
        logger.info({ was: before?.rpcAddr, rpcAddr: self.rpcAddr }, 'the cluster knows where this node is now');
      noted = before;
    }
  } catch (error) {
    if (stopped.aborted) return;
    if (error instanceof JoinRefusedError)
      logger.error({ id, reason: error.message }, 'this node is no member as it is');
    else logger.error({ error }, 'the cluster does not learn where this node is now');
  }
}

/** How a node that was a member tells its cluster that it is there, and where. */
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

/** HOST:PORT of the gRPC of the other members, as far as this node's own disk says. */
function otherMemberAddrs({ configuration: { stored, current }, self }: NodeContext): string[] {
  const known = [...(stored?.contacts ?? []), ...current.members];
  return known.filter(({ uuid }) => uuid !== self.uuid).map(({ rpcAddr }) => rpcAddr);
}

/** Whether the node begins a cluster without asking for one: `--bootstrap`, or nothing that leads to other nodes. */
async function beginsCluster(deps: MemberDependencies, { discovery }: NodeContext): Promise<boolean> {
  const { bootstrap, bootstrapExpect, startJoinAddrs } = deps.settings;
  const hasAddrs = startJoinAddrs.length > 0;
  if (!bootstrap) return !hasAddrs && bootstrapExpect <= 1;
  if (!hasAddrs || !(await discovery.findsCluster(bootstrapLookMs, deps.signal))) return true;
  // A node that was to begin the cluster and lost its disk since must not begin another one beside it.
  deps.logger.warn({}, '--bootstrap: there is a cluster already, and this node joins it');
  return false;
}

function join(deps: MemberDependencies, { self, discovery }: NodeContext): Promise<Joined> {
  const { joinTransport: transport, peerService, settings, clock, logger, signal } = deps;
  const joiner: Joiner = { ...self, bootstrapExpect: settings.bootstrapExpect };
  // Nodes that wait for each other have to know of it.
  peerService.setJoinHandler({ admit: () => Promise.resolve({ kind: 'waiting', joiner }) });
  const addresses = (): string[] => discovery.nodes().map(({ rpcAddr }) => rpcAddr);
  return joinCluster({ transport, addresses, joiner, clock, logger, signal });
}
