import { clusterIdInWords } from './cluster-view.js';
import type { KeptConfiguration } from './configuration.js';
import type { ConfigurationFile } from './configuration-file.js';
import { UnavailableError } from './errors.js';
import {
  askToJoin,
  joinCluster,
  type Joined,
  type JoinedAsMember,
  type JoiningOptions,
  JoinRefusedError,
} from './joining.js';
import { pause } from './pause.js';
import type { JoinAnswer, JoinTransport } from './ports/join-transport.js';
import { unlessAborted } from './unless-aborted.js';

/** A member that hears of no leader in this time goes on: it may be the others that wait for it. */
const answerMs = 1_000;
/** A leader that is named may have to commit a change before it answers. */
const leaderAnswerMs = 10_000;
/** A node that was told that another process is the member asks again this often … */
const askEveryMs = 250;
/** … and says so this often. */
const sayEveryMs = 60_000;
/** It goes on when it has not been told so for this long: a cluster without a leader may be waiting for its vote. */
const heldMs = 10_000;

export interface RejoiningOptions extends JoiningOptions {
  readonly configuration: ConfigurationFile;
  readonly kept: KeptConfiguration;
}

/** What asking every address once came to; `held`: a process answers as the member that this node is. */
type Round =
  | JoinedAsMember
  | { readonly kind: 'held'; readonly aliveAt: string; readonly reason: string }
  | { readonly kind: 'unanswered'; readonly reason: string };

/**
 * Makes a node that was a member one again, before it takes part: the cluster is told its address, and where the node
 * was removed meanwhile, because it left or was silent for too long, it is admitted under a new Raft id. It keeps its
 * log, term and vote: an id that is new has promised nothing, and what that log has after the point where it meets the
 * leader's is replaced as any follower's is (Raft §5.3). One that knows that it was removed asks for ever, as does one
 * that goes by another name than the member. While a process answers as the member at another address, the node waits:
 * its data directory may be a copy. Resolves with whether a leader has answered. Rejects as `joinCluster`.
 */
export async function rejoinCluster(options: RejoiningOptions): Promise<boolean> {
  const { configuration, kept, joiner, logger } = options;
  const wasRemoved = isTakenOut(configuration, kept.id);
  if (wasRemoved) logger.info({ id: kept.id }, 'this node was taken out of the cluster, and asks to be let in again');
  const known = configuration.current.members.find(({ uuid }) => uuid === joiner.uuid);
  const isRenamed = known !== undefined && known.name !== joiner.name;
  if (isRenamed)
    logger.warn(
      { member: known.name, name: joiner.name },
      'this data directory is that of a member of another name: the node starts when the leader says that it was removed',
    );
  if (wasRemoved || isRenamed) return take(options, await joinCluster(options));
  return take(options, await askUntilFree(options, known?.rpcAddr));
}

async function take({ configuration, kept, logger }: RejoiningOptions, joined: Round | Joined): Promise<boolean> {
  if (joined.kind !== 'member') return false;
  const { id, contacts } = joined.kept;
  // Ids are given out in order: one that is lower is of a leader that has not applied what it has.
  if (id > kept.id) {
    await configuration.write({ ...kept, id, contacts });
    logger.info({ was: kept.id, id }, 'joined the cluster again');
  }
  return true;
}

/** @param formerAddr where the member was last; a process that answers there as the member needs no leader to say so */
async function askUntilFree(options: RejoiningOptions, formerAddr: string | undefined): Promise<Round> {
  const { clock, logger, signal } = options;
  const addresses = (): readonly string[] => {
    const others = options.addresses();
    const isElsewhere = formerAddr !== undefined && formerAddr !== options.joiner.rpcAddr;
    return isElsewhere && !others.includes(formerAddr) ? [...others, formerAddr] : others;
  };
  let [heldAt, saidAt] = [-Infinity, -Infinity];
  for (;;) {
    const round = await askOnce({ ...options, addresses });
    if (round.kind === 'held') {
      heldAt = clock.now();
      if (heldAt - saidAt >= sayEveryMs) {
        saidAt = heldAt;
        logger.warn(
          { aliveAt: round.aliveAt, reason: round.reason },
          'another process is this member: waiting for it to end',
        );
      }
    } else if (round.kind === 'member' || clock.now() - heldAt >= heldMs) {
      if (round.kind === 'unanswered') logger.debug({ reason: round.reason }, 'no leader has answered yet');
      return round;
    }
    await pause(clock, askEveryMs, signal);
  }
}

async function askOnce(options: RejoiningOptions): Promise<Round> {
  const { clock, joiner, signal } = options;
  const ending = new AbortController();
  const endIn = (ms: number) => clock.after(ms, () => ending.abort(new UnavailableError(`no answer within ${ms} ms`)));
  let cancel = endIn(answerMs);
  let leaderIsNamed = false;
  let held: Round | undefined;
  const heed = (answer: JoinAnswer): void => {
    if (answer.kind === 'refused' && isSameCluster(answer.clusterId, joiner.clusterId))
      ending.abort(new JoinRefusedError(`the cluster refuses this node: ${answer.reason}`));
    if (answer.kind !== 'retry') return;
    if (answer.aliveAt !== undefined) {
      held = { kind: 'held', aliveAt: answer.aliveAt, reason: answer.reason };
      ending.abort(new UnavailableError(answer.reason));
    } else if (answer.leaderAddr !== undefined && !leaderIsNamed) {
      leaderIsNamed = true;
      cancel();
      cancel = endIn(leaderAnswerMs);
    }
  };
  const transport: JoinTransport = {
    ask: async (...request) => {
      const answer = await options.transport.ask(...request);
      heed(answer);
      return answer;
    },
  };
  const inTime = AbortSignal.any([signal, ending.signal]);
  try {
    return await unlessAborted(inTime, askToJoin({ ...options, transport, signal: inTime }));
  } catch (error) {
    signal.throwIfAborted();
    if (held !== undefined) return held;
    if (!(error instanceof UnavailableError)) throw error;
    return { kind: 'unanswered', reason: error.message };
  } finally {
    cancel();
  }
}

function isSameCluster(one: Uint8Array | undefined, other: Uint8Array | undefined): boolean {
  return one !== undefined && other !== undefined && clusterIdInWords(one) === clusterIdInWords(other);
}

function isTakenOut({ current }: ConfigurationFile, id: number): boolean {
  return id <= current.lastId && current.members.every((member) => member.id !== id);
}
