import { syncAll } from '../../domain/log/durable-file.js';
import { compareEntryIds, type EntryId } from '../../domain/raft/entry-id.js';
import { toTerm } from '../../domain/log/offsets.js';
import { isOnlyVoter } from '../configuration/configuration.js';
import type { Unready } from '../ports/readiness.js';
import { IncarnationFile } from '../vouching/incarnation-file.js';
import { PeerNotes } from '../vouching/peer-notes.js';
import { watchFurthest } from '../vouching/furthest-peer.js';
import { type Proof, proveIdentity } from '../vouching/prove-identity.js';
import { LogThrottle } from '../waiting/log-throttle.js';
import { Voucher } from '../vouching/voucher.js';
import { reenterCluster } from './enter-cluster.js';
import type { NodeContext, NodeStorage } from './node-context.js';
import type { MemberDependencies } from './node-dependencies.js';

/** What a member knows about its own starts and about its peers. */
export interface MemberIdentity {
  readonly incarnation: IncarnationFile;
  readonly notes: PeerNotes;
}

/** A member that may run Raft. */
export interface ProvedMember {
  /** Whether the cluster knows this node's name and address. */
  readonly isKnown: boolean;
  /**
   * Set after a doubt about the disk: until the log of this node reaches this entry, it elects nobody whose log does not,
   * and not itself. It may have helped to commit up to there.
   */
  readonly voteFloor?: EntryId;
}

/**
 * Raises the incarnation of the data directory, before anything is said in its name, and reads the notes. Makes a copied
 * directory durable.
 */
export async function openIdentity(
  { directory, crc32c, random, logger }: MemberDependencies,
  { configuration }: NodeContext,
): Promise<MemberIdentity> {
  // The releases of level 0 count no starts: after an upgrade there is nothing to miss.
  const hadOne = (configuration.current.settings.featureLevel ?? 0) > 0;
  const incarnation = await IncarnationFile.open(directory.raft, crc32c, random, hadOne);
  const { doubt } = incarnation;
  if (doubt !== undefined) {
    logger.warn('data_directory_changed', { reason: doubt }, 'the data directory may be a copy; asking the peers');
    // What this node finds here counts as durable from now on.
    await syncAll(directory.raft);
    await syncAll(directory.log);
  }
  const notes = await PeerNotes.open(directory.raft, crc32c);
  if (notes.isDamaged)
    logger.warn('peer_notes_lost', {}, 'the notes about the peers are damaged; this node starts them over');
  return { incarnation, notes };
}

/** Lets this node vouch for others. */
export function openVoucher(
  { directory, peerService }: MemberDependencies,
  { self, configuration, hardState, discovery }: NodeContext,
  { log }: NodeStorage,
  { notes }: MemberIdentity,
): Voucher {
  const onCaller = (uuid: string, rpcAddr: string): void => discovery.heard(uuid, rpcAddr);
  const voucher = new Voucher({ clusterId: directory.logId, self, configuration, hardState, log, notes, onCaller });
  peerService.setVouchHandler(voucher);
  return voucher;
}

/**
 * Makes a former member a member again: it reports its address, and its peers vouch for it. A node that comes back with
 * less than it had shown is amnesiac: it is admitted again under a new Raft id. Waits without a time limit, and calls
 * `report` with the reason meanwhile.
 */
export async function proveMember(
  deps: MemberDependencies,
  member: ProvingMember,
  report: (readiness: Unready) => void,
  wait = { sinceMs: deps.clock.now(), throttle: new LogThrottle(deps.clock) },
): Promise<ProvedMember> {
  const { configuration, hardState, log, incarnation } = member;
  const { logger } = deps;
  const id = configuration.stored?.id ?? 0;
  const named = configuration.stored?.amnesiac
    ? await reenterAmnesiac(deps, member, 'this node lost entries that it had acknowledged', report)
    : await reenterCluster(deps, member, member, report);
  const isKnown = named !== undefined;
  // Under a new id it has promised nothing.
  if (configuration.stored?.id !== id) {
    if (hardState.loss !== undefined) await hardState.acceptLoss();
    return { isKnown };
  }
  const proof = await proveIdentity({
    ...asking(deps, member),
    named,
    incarnation,
    log,
    doubt: incarnation.doubt ?? (hardState.loss === undefined ? undefined : 'hard state lost'),
    logger,
    wait,
    report,
  });
  if (proof.kind === 'unheard') return proveMember(deps, member, report, wait);
  if (proof.kind === 'vouched') {
    await boundVote(member, id, { ...proof, isKnown });
    logger.info('vouched', { seenTerm: proof.seenTerm }, 'the peers vouch for this node');
    const isBehind = compareEntryIds({ term: log.lastTerm, index: log.lastIndex }, proof.furthest) < 0;
    if (incarnation.doubt === undefined || !isBehind) await incarnation.settle();
    return { isKnown, ...(incarnation.doubt !== undefined && { voteFloor: proof.furthest }) };
  }
  const { note, reason } = proof;
  logger.error(
    'acknowledged_entries_lost',
    { memberId: id, incarnation: incarnation.current, note, lastIndex: log.lastIndex, reason },
    'this node came back with less than it had; rejoining under a new Raft id',
  );
  await incarnation.raiseAbove(note.incarnation);
  await configuration.noteAmnesia();
  const lost = `this node came back with less than its peers have seen from it: ${reason}`;
  const namedAgain = await reenterAmnesiac(deps, member, lost, report);
  await incarnation.settle();
  // The node has a new Raft id, which has not voted yet.
  if (hardState.loss !== undefined) await hardState.acceptLoss();
  return { isKnown: namedAgain !== undefined };
}

type ProvingMember = NodeContext & NodeStorage & MemberIdentity & { readonly voucher: Voucher };

/** What the questions to the peers need. */
function asking({ joinTransport, directory, clock, signal }: MemberDependencies, member: ProvingMember) {
  const { configuration, self, discovery, voucher } = member;
  const { generation } = configuration;
  return {
    request: {
      clusterId: directory.logId,
      id: configuration.stored?.id ?? 0,
      generation,
      configurationIndex: configuration.current.index,
      ...self,
    },
    transport: joinTransport,
    callers: () => voucher.callers,
    ...{ configuration, discovery, clock, signal },
  };
}

/**
 * Has the cluster admit the node under a new Raft id. While the node waits, its problem names the peer whose log is
 * furthest ahead: the one to recover from if no majority is left.
 */
async function reenterAmnesiac(
  deps: MemberDependencies,
  member: ProvingMember,
  lost: string,
  report: (readiness: Unready) => void,
): ReturnType<typeof reenterCluster> {
  const ended = new AbortController();
  const signal = AbortSignal.any([deps.signal, ended.signal]);
  const waits = `${lost}. It waits until a leader admits it under a new Raft id: start the other members`;
  let [problem, isWaiting] = [waits, false];
  const watching = watchFurthest({ ...asking(deps, member), signal }, ({ uuid, id, last }) => {
    const name = member.configuration.current.members.find((each) => each.uuid === uuid)?.name ?? `member ${id}`;
    const furthest = `${name} has the log up to entry ${last.index} of term ${last.term}`;
    problem = `${waits}. If no majority is left, ${furthest}; see golog recover`;
    if (isWaiting) report({ state: 'amnesiac', problem });
  });
  const onWait = (): void => {
    isWaiting = true;
    report({ state: 'amnesiac', problem });
  };
  const entering = reenterCluster(deps, member, member, onWait).finally(() => ended.abort());
  const [named] = await Promise.all([entering, watching]);
  return named;
}

/**
 * Rules out a second vote: the hard state may be an older copy. Every candidate that won by a vote of this node had the
 * votes of a majority, one of which has answered, with its term. One that has not answered may still win by the vote of
 * this node for the next term, unless there is a leader.
 */
async function boundVote(
  { configuration, hardState, log }: NodeContext & NodeStorage,
  id: number,
  { isKnown, seenTerm, answeredTerm, heardAll }: Proof & { kind: 'vouched' } & Pick<ProvedMember, 'isKnown'>,
): Promise<void> {
  const { term, vote, commit } = hardState.current;
  const isLost = hardState.loss !== undefined;
  const isAlone = isOnlyVoter(configuration.current, id);
  const bound = Math.max(seenTerm, isKnown || heardAll ? answeredTerm : answeredTerm + 1, isLost ? log.lastTerm : 0);
  // The only voter has committed what it stores.
  const committed = isLost && isAlone && log.quarantined.length === 0 ? log.lastIndex : commit;
  if (bound > term || (bound === term && vote === 0 && bound > 0))
    await hardState.save({ term: toTerm(bound), vote: id, commit: committed }, configuration.current.index);
  if (isLost) await hardState.acceptLoss();
}
