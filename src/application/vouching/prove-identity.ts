import type { Log } from '../../domain/log/log.js';
import { compareEntryIds, type EntryId } from '../../domain/raft/entry-id.js';
import type { Configuration, Member } from '../configuration/configuration.js';
import type { ConfigurationFile } from '../configuration/configuration-file.js';
import { UnavailableError } from '../errors.js';
import type { Peer } from '../ports/peer-transport.js';
import type { Clock } from '../ports/clock.js';
import type { Logger } from '../ports/logger.js';
import type { JoinTransport } from '../ports/join-transport.js';
import { runningElsewhere, type Unready } from '../ports/readiness.js';
import type { MemberNote, Vouch, VouchAnswer, VouchRequest } from '../ports/vouching.js';
import { Backoff } from '../waiting/backoff.js';
import type { LogThrottle } from '../waiting/log-throttle.js';
import { pause } from '../waiting/pause.js';
import { unlessAborted } from '../waiting/unless-aborted.js';
import { withDeadline } from '../waiting/with-deadline.js';
import { electorateOf, hadOthers } from './electorate.js';
import type { IncarnationFile } from './incarnation-file.js';

/**
 * How long a node without a doubt about its disk waits for more than a bare majority: without this, a cluster of three
 * could not lose one member and restart another one.
 */
const patienceMs = 10_000;
/** A node that has heard too few for this long asks the cluster for a leader again: its own voters may be replaced. */
const askAgainMs = 15_000;
/** A process of a copy has its answer at hand; an address that nobody has any more may not even refuse. */
const namesakeMs = 1_000;
/** How long the only voter of a cluster listens for others: the interval at which Serf tries to reconnect. */
export const listenMs = 30_000;
/** At most this many of the addresses that peers name are asked. */
const toldMax = 64;
const pauseMsMin = 100;
const pauseMsMax = 1_000;

export interface ProofOptions {
  readonly request: VouchRequest;
  readonly configuration: Pick<ConfigurationFile, 'current' | 'stored'>;
  /** The members that the leader names now; undefined: no leader has answered. */
  readonly named: readonly Member[] | undefined;
  readonly incarnation: Pick<IncarnationFile, 'current' | 'doubt' | 'mayHaveBeen'>;
  readonly log: Pick<Log, 'lastTerm' | 'lastIndex' | 'quarantined'>;
  /** Why this node knows that its disk is not as it left it; undefined: it does not. */
  readonly doubt: string | undefined;
  readonly discovery: {
    locate(member: Member): Pick<Peer, 'rpcAddr' | 'seenAt'>;
    heard(uuid: string, rpcAddr: string): void;
    nodes(): readonly { readonly uuid: string; readonly rpcAddr: string; readonly clusterId?: string }[];
    readonly silent: readonly string[];
  };
  readonly transport: Pick<JoinTransport, 'vouch'>;
  /** HOST:PORTs of nodes of this cluster that have called since the start. */
  readonly callers: () => readonly string[];
  readonly clock: Clock;
  readonly logger: Logger;
  /** When this node began to wait, and its log line about that. */
  readonly wait: { readonly sinceMs: number; readonly throttle: LogThrottle };
  readonly signal: AbortSignal;
  /** Called with the reason while the proof is not complete. */
  readonly report: (readiness: Unready) => void;
}

/** What the peers know about this node. */
export type Proof =
  /**
   * It may run Raft, and vote in terms after `seenTerm`; `answeredTerm` is the highest term, and `furthest` the last
   * entry of the log that is furthest ahead, of those that answered: every other voter, if `heardAll`.
   */
  | {
      readonly kind: 'vouched';
      readonly seenTerm: number;
      readonly answeredTerm: number;
      readonly heardAll: boolean;
      readonly furthest: EntryId;
    }
  /** Too few have answered so far. */
  | { readonly kind: 'unheard' }
  /** It came back with less than it had shown. */
  | { readonly kind: 'contradicted'; readonly by: Vouch; readonly note: MemberNote; readonly reason: string };

/**
 * Asks the peers of a member that starts what they know about it, until a majority of the other voters has been heard or
 * one of them contradicts it. Only then may it run Raft: its disk may be an older copy. A member without a doubt about
 * its disk is content with a bare majority, itself included, after a while. The only voter of a cluster has nobody to
 * ask; if something speaks for others, it listens for them first: a doubt about its disk, its log, gossip, or the
 * addresses that it was given. If an answer has a later configuration than its disk, that one tells who the voters are:
 * those of the earlier one may be gone for good. Gives up after a while with too few answers. Rejects with the signal's reason.
 */
export async function proveIdentity(options: ProofOptions): Promise<Proof> {
  const { configuration, request, clock, logger, signal } = options;
  const { doubt, incarnation, discovery } = options;
  const { current, stored } = configuration;
  let latest = current;
  let electorate = electorateOf(configuration, request, options.named);
  // A lost vote matters only to others.
  const hasToListen = incarnation.doubt !== undefined || hadOthers(current, request.id);
  const startedMs = clock.now();
  const hasWaited = (ms: number): boolean => clock.now() - startedMs >= ms;
  const heard = new Map<string, VouchAnswer>();
  /** HOST:PORTs of the members that other members have heard from. */
  const told = new Set<string>();
  const asking = { ...options, callers: () => [...options.callers(), ...told] };
  const isComplete = (): boolean => {
    if (electorate.peers.length === 0) return !hasToListen && (current.lastId > 1 || hasHeardAll(discovery, heard));
    const answered = new Set(electorate.peers.filter(({ uuid }) => heard.has(uuid)).map(({ id }) => id));
    if (electorate.isSure(answered)) return true;
    return doubt === undefined && hasWaited(patienceMs) && electorate.isMajority(answered);
  };
  if (isComplete()) return vouchedBy([], true);
  const backoff = new Backoff(pauseMsMin, pauseMsMax);
  for (;;) {
    const seatAddr = seatElsewhere(latest, request);
    const namesake = findNamesake(options, seatAddr);
    const found = await askAll(asking, electorate.peers, heard, isComplete);
    if (found !== undefined) return found;
    for (const rpcAddr of callersIn(heard.values())) if (told.size < toldMax) told.add(rpcAddr);
    for (const each of configurationsIn(heard.values(), request)) if (each.index > latest.index) latest = each;
    electorate = electorateOf({ current: latest, stored }, request, options.named);
    const isAlone = electorate.peers.length === 0;
    const latestAddr = seatElsewhere(latest, request);
    const aliveAt =
      [...heard.values()].map((vouch) => (vouch === 'unsupported' ? undefined : vouch.aliveAt)).find(Boolean) ??
      (await (latestAddr === seatAddr ? namesake : findNamesake(options, latestAddr)));
    signal.throwIfAborted();
    if ((isComplete() || (isAlone && hasWaited(listenMs))) && aliveAt === undefined)
      return vouchedBy(
        [...heard.values()],
        electorate.peers.every(({ uuid }) => heard.has(uuid)),
      );
    const unheard = electorate.peers.filter(({ uuid }) => !heard.has(uuid)).map(({ name }) => name);
    const missing = isAlone ? discovery.silent : unheard.sort();
    const waitedMs = clock.now() - options.wait.sinceMs;
    options.report(readinessOf({ isAlone, doubt, missing, aliveAt, waitedMs }));
    if (options.wait.throttle.isDue())
      logger.warn(
        'vouching_incomplete',
        { missing, doubt },
        'this node waits for its peers to vouch for it before it starts Raft',
      );
    if (!isAlone && hasWaited(askAgainMs)) return { kind: 'unheard' };
    heard.clear();
    await pause(clock, backoff.next(), signal);
  }
}

/** Returns the committed configurations in the answers, as far as the member that asks is in them. */
function configurationsIn(answers: Iterable<VouchAnswer>, { id, uuid }: VouchRequest): Configuration[] {
  return [...answers].flatMap((answer) =>
    answer !== 'unsupported' && answer.configuration?.members.some((each) => each.id === id && each.uuid === uuid)
      ? [answer.configuration]
      : [],
  );
}

/** Whether the node that answers may be the one whose UUID it gives: a member's certificate has its name. */
function isProved({ uuid, certifiedAs }: Vouch, request: VouchRequest, { members }: Configuration): boolean {
  const name = uuid === request.uuid ? request.name : members.findLast((member) => member.uuid === uuid)?.name;
  return certifiedAs === undefined || name === undefined || certifiedAs.includes(name);
}

function callersIn(answers: Iterable<VouchAnswer>): string[] {
  return [...answers].flatMap((answer) => (answer === 'unsupported' ? [] : (answer.callers ?? [])));
}

/** Returns HOST:PORT where the configuration has the member that asks, if that is another address than its own. */
function seatElsewhere({ members }: Configuration, { id, uuid, rpcAddr }: VouchRequest): string | undefined {
  return members.find((each) => each.id === id && each.uuid === uuid && each.rpcAddr !== rpcAddr)?.rpcAddr;
}

/**
 * Returns HOST:PORT of another process of the member's data directory, if one answers at the address. Peers that have
 * started just now have not heard it yet. Never rejects for a failed call.
 */
async function findNamesake(
  { transport, request, clock, signal }: ProofOptions,
  rpcAddr: string | undefined,
): Promise<string | undefined> {
  if (rpcAddr === undefined) return undefined;
  try {
    const vouch = await withDeadline(clock, namesakeMs, signal, (inTime) => transport.vouch(rpcAddr, request, inTime));
    return vouch !== 'unsupported' && vouch.uuid === request.uuid ? vouch.aliveAt : undefined;
  } catch (error) {
    if (error instanceof UnavailableError || signal.aborted) return undefined;
    throw error;
  }
}

/**
 * Whether every node has been heard that the only member knows from elsewhere than its log. Where the log had other
 * members, they may be lost for good.
 */
function hasHeardAll(discovery: ProofOptions['discovery'], heard: ReadonlyMap<string, VouchAnswer>): boolean {
  const members = discovery.nodes().filter(({ clusterId }) => clusterId !== undefined);
  return discovery.silent.length === 0 && members.every(({ uuid }) => heard.has(uuid));
}

/**
 * Asks every peer once, at all its addresses. Resolves with a contradiction as soon as one is heard; otherwise with
 * undefined, once enough have answered or all have failed.
 */
async function askAll(
  options: ProofOptions,
  peers: readonly Member[],
  heard: Map<string, VouchAnswer>,
  isComplete: () => boolean,
): Promise<Proof | undefined> {
  const { transport, request, discovery, signal } = options;
  const { settings } = options.configuration.current;
  const ended = new AbortController();
  const inTime = AbortSignal.any([signal, ended.signal]);
  let contradiction: Proof | undefined;
  const ask = async (rpcAddr: string): Promise<void> => {
    const vouch = await transport.vouch(rpcAddr, request, inTime);
    if (vouch === 'unsupported') {
      // Only its address is known. From level 1 on, every member of the cluster takes notes.
      const peer = peers.find((each) => each.rpcAddr === rpcAddr);
      if (peer !== undefined && (settings.featureLevel ?? 0) < 1) heard.set(peer.uuid, vouch);
    } else if (!isProved(vouch, request, options.configuration.current)) {
      return;
    } else if (vouch.uuid === request.uuid) {
      if (vouch.aliveAt !== undefined) heard.set(vouch.uuid, vouch);
    } else {
      discovery.heard(vouch.uuid, rpcAddr);
      const isOtherSeat = peers.some(({ uuid, id }) => uuid === vouch.uuid && id !== vouch.id);
      contradiction ??= contradictionIn(options, vouch);
      if (!isOtherSeat) heard.set(vouch.uuid, vouch);
    }
    if (contradiction !== undefined || isComplete()) ended.abort(new UnavailableError('enough peers have answered'));
  };
  const asked = addressesAsked(options, peers).map((rpcAddr) =>
    ask(rpcAddr).catch((error: unknown) => {
      if (!(error instanceof UnavailableError)) throw error;
    }),
  );
  try {
    await unlessAborted(inTime, Promise.all(asked));
  } catch (error) {
    signal.throwIfAborted();
    if (!ended.signal.aborted) throw error;
  }
  return contradiction;
}

/** Returns the HOST:PORTs of the peers, and of all other nodes that gossip sees or that have called. */
export function addressesAsked(
  { discovery, callers, request }: Pick<ProofOptions, 'discovery' | 'callers' | 'request'>,
  peers: readonly Member[],
): string[] {
  const located = peers.map((peer) => discovery.locate(peer));
  const addresses = new Set([
    ...located.flatMap(({ rpcAddr, seenAt = [] }) => [rpcAddr, ...seenAt]),
    ...discovery.nodes().map(({ rpcAddr }) => rpcAddr),
    ...callers(),
  ]);
  addresses.delete(request.rpcAddr);
  return [...addresses];
}

const nothingSeen: MemberNote = { incarnation: 0, term: 0, durable: { term: 0, index: 0 } };

/** A torn end of the log, and entries that a repair will fetch, count as present. */
function contradictionIn(options: ProofOptions, by: Vouch): Proof | undefined {
  const { note = nothingSeen, laterId } = by;
  const { incarnation, log, configuration } = options;
  const { damagedFrom, repairing } = configuration.stored ?? {};
  const isDamaged = log.quarantined.length > 0 || damagedFrom !== undefined || repairing !== undefined;
  const last = { term: log.lastTerm, index: log.lastIndex };
  const reason =
    laterId !== undefined
      ? `it was admitted again as member ${laterId}, of which its disk knows nothing`
      : !incarnation.mayHaveBeen(note.incarnation)
        ? `its start ${note.incarnation} was seen before, of which its disk knows nothing`
        : !isDamaged && compareEntryIds(last, note.durable) < 0
          ? `it had entry ${note.durable.index} of term ${note.durable.term}, and its log now ends at ${last.index} of term ${last.term}`
          : undefined;
  return reason === undefined ? undefined : { kind: 'contradicted', by, note, reason };
}

function vouchedBy(answers: readonly VouchAnswer[], heardAll: boolean): Proof {
  const vouches = answers.filter((answer) => answer !== 'unsupported');
  const seenTerm = Math.max(0, ...vouches.map(({ note }) => note?.term ?? 0));
  const answeredTerm = Math.max(0, ...vouches.map(({ term }) => term));
  const furthest = vouches
    .map(({ last }) => last)
    .sort(compareEntryIds)
    .at(-1) ?? { term: 0, index: 0 };
  return { kind: 'vouched', seenTerm, answeredTerm, heardAll, furthest };
}

function readinessOf(state: {
  readonly isAlone: boolean;
  readonly doubt: string | undefined;
  readonly missing: readonly string[];
  readonly aliveAt: string | undefined;
  readonly waitedMs: number;
}): Unready {
  const { isAlone, doubt, missing, aliveAt, waitedMs } = state;
  if (aliveAt !== undefined) return runningElsewhere(aliveAt);
  const why = doubt === undefined ? '' : `; its data directory may be a copy (${doubt})`;
  if (isAlone)
    return {
      state: 'unvouched',
      problem:
        `this node is the only voter it knows; it listens for other members for ${seconds(listenMs)} before it leads` +
        (missing.length === 0 ? why : `; no answer from ${missing.join(', ')}${why}`),
    };
  const silent =
    missing.length === 0
      ? 'the answers are not enough yet'
      : `no answer from ${missing.join(', ')} for ${seconds(waitedMs)}; start them, or see golog recover if they are lost for good`;
  return {
    state: 'unvouched',
    problem: `this node waits for its peers to vouch for it before it starts Raft; ${silent}${why}`,
  };
}

const seconds = (ms: number): string => `${Math.round(ms / 1_000)} s`;
