import { describeClusterId } from '../configuration/member-names.js';
import { UnavailableError } from '../errors.js';
import { askToJoin, type JoinedAsMember, type JoiningOptions, JoinRefusedError } from './join-cluster.js';
import { pause } from '../waiting/pause.js';
import { answeringMs, type JoinAnswer } from '../ports/join-transport.js';
import { runningElsewhere, type Unready } from '../ports/readiness.js';
import { unlessAborted } from '../waiting/unless-aborted.js';

/** A member that finds no leader within this time starts anyway: the other members may be waiting for it. */
const answerMs = 1_000;
/** A leader that another node names may have to commit a change before it answers. */
const leaderAnswerMs = 10_000;
/** How often a node asks again while another process is the member … */
const askEveryMs = 250;
/** … and how often it logs that. */
const logEveryMs = 60_000;
/**
 * The node starts when no answer has named another process for this long, or as soon as a process that was silent then
 * counts as ended: a cluster without a leader may need its vote.
 */
const heldMs = 10_000;

/** The result of asking every address once; `held`: another process answers as this member. */
export type Round =
  | JoinedAsMember
  | { readonly kind: 'held'; readonly aliveAt: string; readonly reason: string; readonly silentMs: number }
  | { readonly kind: 'unanswered'; readonly reason: string };

/**
 * Asks each address once whether this node may act as its member again, and waits only briefly if no leader is known.
 * Keeps asking while a process answers as the member at another address. Rejects with `JoinRefusedError` or with the
 * signal's reason.
 *
 * @param formerAddr the member's last known address; a process that answers there as the member needs no leader to say
 * so
 */
export async function askForSeat(
  options: JoiningOptions & { readonly report?: (readiness: Unready) => void },
  formerAddr: string | undefined,
): Promise<Round> {
  const { clock, logger, signal } = options;
  const addresses = (): readonly string[] => {
    const others = options.addresses();
    const isElsewhere = formerAddr !== undefined && formerAddr !== options.joiner.rpcAddr;
    return isElsewhere && !others.includes(formerAddr) ? [...others, formerAddr] : others;
  };
  const throttle = { loggedAt: -Infinity };
  let heldUntil = -Infinity;
  for (;;) {
    const round = await askOnce({ ...options, addresses });
    if (round.kind === 'held') {
      const now = clock.now();
      options.report?.(runningElsewhere(round.aliveAt));
      heldUntil = now + (round.silentMs > 0 ? Math.max(0, answeringMs - round.silentMs) : heldMs);
      if (now - throttle.loggedAt >= logEveryMs) {
        throttle.loggedAt = now;
        logger.warn(
          'member_running_elsewhere',
          { aliveAt: round.aliveAt, reason: round.reason },
          'another process runs as this member; waiting for it to end',
        );
      }
    } else if (round.kind === 'member' || clock.now() >= heldUntil) {
      if (round.kind === 'unanswered')
        logger.debug('no_leader_answered', { reason: round.reason }, 'no leader has answered yet');
      return round;
    }
    await pause(clock, askEveryMs, signal);
  }
}

async function askOnce(options: JoiningOptions): Promise<Round> {
  const { clock, joiner, signal } = options;
  const ending = new AbortController();
  const endIn = (ms: number) => clock.after(ms, () => ending.abort(new UnavailableError(`no answer within ${ms} ms`)));
  let cancel = endIn(answerMs);
  let leaderIsNamed = false;
  let held: Round | undefined;
  const noteAnswer = (answer: JoinAnswer): void => {
    if (answer.kind === 'refused' && isSameCluster(answer.clusterId, joiner.clusterId))
      ending.abort(new JoinRefusedError(answer));
    if (answer.kind !== 'retry') return;
    if (answer.aliveAt !== undefined) {
      held = { kind: 'held', aliveAt: answer.aliveAt, reason: answer.reason, silentMs: answer.silentMs ?? 0 };
      ending.abort(new UnavailableError(answer.reason));
    } else if (answer.leaderAddr !== undefined && !leaderIsNamed) {
      leaderIsNamed = true;
      cancel();
      cancel = endIn(leaderAnswerMs);
    }
  };
  const transport: JoiningOptions['transport'] = {
    ask: async (...request) => {
      const answer = await options.transport.ask(...request);
      noteAnswer(answer);
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
  return one !== undefined && other !== undefined && describeClusterId(one) === describeClusterId(other);
}
