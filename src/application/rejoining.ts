import type { HardStateFile } from '../domain/log/hard-state.js';
import { toTerm } from '../domain/log/offsets.js';
import { hasForgotten, type OwnState } from './amnesia.js';
import type { KeptConfiguration } from './configuration.js';
import type { ConfigurationFile } from './configuration-file.js';
import { UnavailableError } from './errors.js';
import { askToJoin, joinCluster, type Joined, type JoiningOptions } from './joining.js';
import { pause } from './pause.js';
import type { JoinTransport, LeaderView } from './ports/join-transport.js';
import { unlessAborted } from './unless-aborted.js';

/** A member that hears of no leader in this time goes on: it may be the others that wait for it. */
const answerMs = 1_000;
/** A leader that is named may have to commit a change before it answers. */
const leaderAnswerMs = 10_000;
/** Between answers that leave an amnesiac its id. */
const askAgainMs = 1_000;

export interface RejoiningOptions extends JoiningOptions {
  readonly configuration: ConfigurationFile;
  readonly kept: KeptConfiguration;
  readonly log: OwnState['log'];
  readonly hardState: Pick<HardStateFile, 'current' | 'save'>;
}

/**
 * Has a node that was a member before be one again, before it takes part: the cluster is told its name and address, and
 * where it was taken out meanwhile, because it left or was silent for too long, it is let in under a new Raft id. It
 * keeps its log, term and vote: an id that is new has promised nothing, and what that log has beyond the point where it
 * meets the leader's is replaced as any follower's is (Raft §5.3). So is one that lacks what it acknowledged to the
 * leader. One that knows that it was taken out, or is amnesiac, asks for ever. Resolves with whether a leader has
 * answered. Rejects as `joinCluster`.
 */
export async function rejoinCluster(options: RejoiningOptions): Promise<boolean> {
  const { configuration, kept, logger, signal } = options;
  const wasTakenOut = isTakenOut(configuration, kept.id);
  if (wasTakenOut) logger.info({ id: kept.id }, 'this node was taken out of the cluster, and asks to be let in again');
  try {
    const first = kept.amnesiac
      ? joinUnderNewId(options, kept.id)
      : wasTakenOut
        ? joinCluster(options)
        : askOnce(options);
    let joined = await first;
    for (;;) {
      if (joined.kind !== 'member') return false;
      const { kept: told, view } = joined;
      if (view === undefined || told.id < kept.id || !(await hasForgotten(options, told.id, view))) break;
      logger.error(
        { id: told.id, acknowledged: view.acknowledged.index, lastIndex: options.log.lastIndex },
        'this node has lost entries that it acknowledged: it joins again under a new Raft id',
      );
      // First of all: whatever becomes of this process, it says nothing more under that id.
      await configuration.write({ ...kept, id: told.id, amnesiac: true });
      joined = await joinUnderNewId(options, told.id);
    }
    await adoptTerm(options.hardState, joined.view);
    const { id, contacts } = joined.kept;
    // Ids are given out in order: one that is lower is of a leader that has not applied what it has.
    if (id > kept.id) {
      const { amnesiac: _, ...rest } = kept;
      await configuration.write({ ...rest, id, contacts });
      logger.info({ was: kept.id, id }, 'joined the cluster again');
    }
    return true;
  } catch (error) {
    signal.throwIfAborted();
    if (wasTakenOut || configuration.kept?.amnesiac || !(error instanceof UnavailableError)) throw error;
    logger.debug({ reason: error.message }, 'no leader has answered yet');
    return false;
  }
}

/** Asks each address once, and waits for no more than a moment where no leader is known. */
async function askOnce(options: RejoiningOptions): Promise<Joined> {
  const { clock, signal } = options;
  const deadline = new AbortController();
  const endIn = (ms: number) =>
    clock.after(ms, () => deadline.abort(new UnavailableError(`no answer within ${ms} ms`)));
  let cancel = endIn(answerMs);
  let leaderIsNamed = false;
  const transport: JoinTransport = {
    ask: async (...request) => {
      const answer = await options.transport.ask(...request);
      if (answer.kind === 'retry' && answer.leaderAddr !== undefined && !leaderIsNamed) {
        leaderIsNamed = true;
        cancel();
        cancel = endIn(leaderAnswerMs);
      }
      return answer;
    },
  };
  const inTime = AbortSignal.any([signal, deadline.signal]);
  try {
    return await unlessAborted(inTime, askToJoin({ ...options, transport, signal: inTime }));
  } finally {
    cancel();
  }
}

/** Asks until some leader gives this node another id than the one that it forgot under. */
async function joinUnderNewId(options: RejoiningOptions, forgotAs: number): Promise<Joined> {
  const { joiner, clock, logger, signal } = options;
  logger.info({ id: forgotAs }, 'this node lost what it acknowledged under its Raft id, and asks for another one');
  for (;;) {
    const joined = await joinCluster({ ...options, joiner: { ...joiner, forgotAs } });
    if (joined.kind === 'member' && joined.kept.id > forgotAs) return joined;
    await pause(clock, askAgainMs, signal);
  }
}

/** No vote in a term that has its leader: what this node has forgotten may have been another one. */
async function adoptTerm(hardState: RejoiningOptions['hardState'], view: LeaderView | undefined): Promise<void> {
  const { term, vote, commit } = hardState.current;
  if (view === undefined || view.term < term || (view.term === term && vote !== 0)) return;
  await hardState.save({ term: toTerm(view.term), vote: view.leaderId, commit });
}

function isTakenOut({ current }: ConfigurationFile, id: number): boolean {
  return id <= current.lastId && current.members.every((member) => member.id !== id);
}
