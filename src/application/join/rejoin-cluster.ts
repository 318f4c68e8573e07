import type { HardStateFile } from '../../domain/log/hard-state-file.js';
import { toTerm } from '../../domain/log/offsets.js';
import { committedEntriesOf } from './committed-entries.js';
import { hasForgotten, type OwnState } from './amnesia.js';
import { askForSeat, type Round } from './ask-for-seat.js';
import { type Member, removalOf, type StoredConfiguration } from '../configuration/configuration.js';
import type { ConfigurationFile } from '../configuration/configuration-file.js';
import { joinCluster, type Joined, type JoiningOptions } from './join-cluster.js';
import { pause } from '../waiting/pause.js';
import type { LeaderView } from '../ports/join-transport.js';
import type { Unready } from '../ports/readiness.js';

const amnesiac: Unready = {
  state: 'amnesiac',
  problem:
    'this node lost entries that it had acknowledged: it waits, with the log that it has, until a leader admits it ' +
    'under a new Raft id; start the other members',
};

/** The pause between answers that leave an amnesiac node its old id. */
const askAgainMs = 1_000;

export interface RejoiningOptions extends JoiningOptions {
  readonly configuration: ConfigurationFile;
  readonly stored: StoredConfiguration;
  /** Whether the cluster has said that it removed this node: it asks until it is admitted again. */
  readonly wasRemoved?: boolean;
  readonly log: OwnState['log'];
  readonly hardState: Pick<HardStateFile, 'current' | 'save'>;
  /** Called with the reason while the node waits. */
  readonly report: (readiness: Unready) => void;
}

/**
 * Makes a former member a member again before it runs Raft: tells the cluster its address; if the node was removed in
 * the meantime, because it left or was silent for too long, the cluster admits it under a new Raft id. The node keeps
 * its log, term and vote: a new id has promised nothing, and whatever in its log differs from the leader's is replaced
 * as on any follower (Raft §5.3). A node that lacks entries that it acknowledged to the leader is also admitted under a
 * new id. A node that knows that it was removed or is amnesiac keeps asking, as does one whose name differs from the
 * member's. While another process answers as the member at another address, the node waits: its data directory may be a
 * copy. Resolves with the members that the leader names; undefined: none has answered. Rejects as `joinCluster`.
 */
export async function rejoinCluster(options: RejoiningOptions): Promise<readonly Member[] | undefined> {
  const { configuration, stored, logger } = options;
  const committed = await committedEntriesOf(options.log, options.hardState.current.commit);
  const joiner = { ...options.joiner, committed };
  let joined = await askAsMember({ ...options, joiner });
  for (;;) {
    if (joined.kind !== 'member') return undefined;
    const { stored: told, view } = joined;
    if (view === undefined || told.id < stored.id || !(await hasForgotten(options, told.id, view))) break;
    logger.error(
      'acknowledged_entries_lost',
      { memberId: told.id, acknowledgedIndex: view.acknowledged.index, lastIndex: options.log.lastIndex },
      'this node lost entries that it had acknowledged; rejoining under a new Raft id',
    );
    // First of all: even if this process crashes, the node must not act under the old id again.
    await configuration.write({ ...stored, id: told.id, amnesiac: true });
    joined = await joinUnderNewId(options, told.id);
  }
  await adoptTerm(options.hardState, joined.view);
  const { id, contacts } = joined.stored;
  // Ids are assigned in ascending order: a lower id comes from a leader that has not applied all of its log.
  if (id > stored.id) {
    const { amnesiac: _, ...rest } = stored;
    await configuration.write({ ...rest, id, contacts });
    logger.info(
      'cluster_rejoined',
      { previousId: stored.id, memberId: id },
      'rejoined the cluster under a new Raft id',
    );
  }
  return contacts;
}

/** Asks in the way that matches what this node knows about itself. */
function askAsMember(options: RejoiningOptions): Promise<Round | Joined> {
  const { configuration, stored, joiner, logger, report } = options;
  if (stored.amnesiac) return joinUnderNewId(options, stored.id);
  const wasRemoved = options.wasRemoved ?? removalOf(configuration.current, stored.id) !== undefined;
  let readiness: Unready = {
    state: 'rejoining',
    problem: 'this node was removed from the cluster: it joins again once a leader admits it; start the other members',
  };
  if (wasRemoved)
    logger.info(
      'rejoin_requested',
      { memberId: stored.id, reason: 'removed' },
      'this node was removed from the cluster; asking to join again',
    );
  const known = configuration.current.members.findLast(({ uuid }) => uuid === joiner.uuid);
  const isRenamed = known !== undefined && known.name !== joiner.name;
  if (isRenamed) {
    readiness = {
      state: 'misnamed',
      problem:
        `the data directory is that of the member ${known.name}: start this node with --node-name ${known.name}, or ` +
        'remove that member',
    };
    logger.warn(
      'data_directory_of_other_member',
      { member: known.name, node: joiner.name },
      'the data directory belongs to a member with another name; waiting until that member is removed',
    );
  }
  return wasRemoved || isRenamed
    ? joinCluster({ ...options, onWait: () => report(readiness) })
    : askForSeat(options, known?.rpcAddr);
}

/** Asks until a leader assigns an id other than the one under which this node lost entries. */
async function joinUnderNewId(options: RejoiningOptions, forgotAs: number): Promise<Joined> {
  const { joiner, clock, logger, signal, report } = options;
  logger.info(
    'rejoin_requested',
    { memberId: forgotAs, reason: 'acknowledged entries lost' },
    'this node lost entries that it had acknowledged; asking for a new Raft id',
  );
  for (;;) {
    const onWait = (): void => report(amnesiac);
    const joined = await joinCluster({ ...options, joiner: { ...joiner, forgotAs }, onWait });
    if (joined.kind === 'member' && joined.stored.id > forgotAs) return joined;
    await pause(clock, askAgainMs, signal);
  }
}

/**
 * Rules out a vote in a term that already has a leader: this node may have forgotten its vote for another candidate.
 */
async function adoptTerm(hardState: RejoiningOptions['hardState'], view: LeaderView | undefined): Promise<void> {
  const { term, vote, commit } = hardState.current;
  if (view === undefined || view.term < term || (view.term === term && vote !== 0)) return;
  await hardState.save({ term: toTerm(view.term), vote: view.leaderId, commit });
}
