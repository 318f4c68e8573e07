import { describeClusterId } from '../configuration/member-names.js';
import { UnavailableError } from '../errors.js';
import { askToJoin, type JoinedAsMember, type JoiningOptions, JoinRefusedError } from './join-cluster.js';
import { pause } from '../waiting/pause.js';
import { answeringMs, type JoinAnswer, type JoinTransport } from '../ports/join-transport.js';
import { unlessAborted } from '../waiting/unless-aborted.js';

/** A member that hears of no leader in this time goes on: it may be the others that wait for it. */
const answerMs = 1_000;
/** A leader that is named may have to commit a change before it answers. */
const leaderAnswerMs = 10_000;
/** A node that was told that another process is the member asks again this often … */
const askEveryMs = 250;
/** … and says so this often. */
const sayEveryMs = 60_000;
/**
 * It goes on when it has not been told so for this long, or once the process that was silent then counts as ended: a
 * cluster without a leader may be waiting for its vote.
 */
const heldMs = 10_000;

/** What asking every address once came to; `held`: a process answers as the member that this node is. */
export type Round =
  | JoinedAsMember
  | { readonly kind: 'held'; readonly aliveAt: string; readonly reason: string; readonly silentMs: number }
  | { readonly kind: 'unanswered'; readonly reason: string };

/**
 * Asks each address once whether this node may take its seat again, and waits for no more than a moment where no leader is
 * known. While a process answers as the member at another address, it asks on. Rejects with `JoinRefusedError` or with the
 * signal's reason.
 *
 * @param formerAddr where the member was last; a process that answers there as the member needs no leader to say so
 */
export async function askForSeat(options: JoiningOptions, formerAddr: string | undefined): Promise<Round> {
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
      heldUntil = now + (round.silentMs > 0 ? Math.max(0, answeringMs - round.silentMs) : heldMs);
      if (now - throttle.loggedAt >= sayEveryMs) {
        throttle.loggedAt = now;
        logger.warn(
          { aliveAt: round.aliveAt, reason: round.reason },
          'another process is this member: waiting for it to end',
        );
      }
    } else if (round.kind === 'member' || clock.now() >= heldUntil) {
      if (round.kind === 'unanswered') logger.debug({ reason: round.reason }, 'no leader has answered yet');
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
  const heed = (answer: JoinAnswer): void => {
    if (answer.kind === 'refused' && isSameCluster(answer.clusterId, joiner.clusterId))
      ending.abort(new JoinRefusedError(`the cluster refuses this node: ${answer.reason}`));
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
  return one !== undefined && other !== undefined && describeClusterId(one) === describeClusterId(other);
}
