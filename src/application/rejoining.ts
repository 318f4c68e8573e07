import type { KeptConfiguration } from './configuration.js';
import type { ConfigurationFile } from './configuration-file.js';
import { UnavailableError } from './errors.js';
import { askToJoin, joinCluster, type JoiningOptions } from './joining.js';
import type { JoinTransport } from './ports/join-transport.js';
import { unlessAborted } from './unless-aborted.js';

/** A member that hears of no leader in this time goes on: it may be the others that wait for it. */
const answerMs = 1_000;
/** A leader that is named may have to commit a change before it answers. */
const leaderAnswerMs = 10_000;

export interface RejoiningOptions extends JoiningOptions {
  readonly configuration: ConfigurationFile;
  readonly kept: KeptConfiguration;
}

/**
 * Has a node that was a member before be one again, before it takes part: the cluster is told its name and address, and
 * where it was taken out meanwhile, because it left or was silent for too long, it is let in under a new Raft id. It
 * keeps its log, term and vote: an id that is new has promised nothing, and what that log has beyond the point where it
 * meets the leader's is replaced as any follower's is (Raft §5.3). One that knows that it was taken out asks for ever.
 * Resolves with whether a leader has answered. Rejects as `joinCluster`.
 */
export async function rejoinCluster(options: RejoiningOptions): Promise<boolean> {
  const { configuration, kept, clock, logger, signal } = options;
  const wasTakenOut = isTakenOut(configuration, kept.id);
  if (wasTakenOut) logger.info({ id: kept.id }, 'this node was taken out of the cluster, and asks to be let in again');
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
    const joined = wasTakenOut
      ? await joinCluster(options)
      : await unlessAborted(inTime, askToJoin({ ...options, transport, signal: inTime }));
    if (joined.kind !== 'member') return false;
    const { id, contacts } = joined.kept;
    // Ids are given out in order: one that is lower is of a leader that has not applied what it has.
    if (id > kept.id) {
      await configuration.write({ ...kept, id, contacts });
      logger.info({ was: kept.id, id }, 'joined the cluster again');
    }
    return true;
  } catch (error) {
    signal.throwIfAborted();
    if (wasTakenOut || !(error instanceof UnavailableError)) throw error;
    logger.debug({ reason: error.message }, 'no leader has answered yet');
    return false;
  } finally {
    cancel();
  }
}

function isTakenOut({ current }: ConfigurationFile, id: number): boolean {
  return id <= current.lastId && current.members.every((member) => member.id !== id);
}
