import type { Member } from '../configuration/configuration.js';
import { InvalidInputError } from '../../domain/log/errors.js';
import { UnavailableError } from '../errors.js';
import type { EntrySource, LogEnd } from '../ports/entry-source.js';

/** What a member reported about its log, or why it reported nothing. */
export interface Answer {
  readonly peer: Member;
  readonly end?: LogEnd;
  readonly reason?: string;
}

export function survey(
  source: EntrySource,
  peers: readonly Member[],
  term: number,
  signal: AbortSignal,
): Promise<Answer[]> {
  return Promise.all(
    peers.map(async (peer) => {
      try {
        return { peer, end: await source.logEnd(peer, term, signal) };
      } catch (error) {
        if (signal.aborted || error instanceof UnavailableError || error instanceof InvalidInputError)
          return { peer, reason: error instanceof Error ? error.message : 'stopped' };
        throw error;
      }
    }),
  );
}

/** Returns one past the last entry of the latest leader among the answers, of this term or a later one. */
export function leadersEnd(answers: readonly Answer[], term: number): number | undefined {
  let latest: LogEnd | undefined;
  for (const { end } of answers) if (end?.leads === true && end.term >= (latest?.term ?? term)) latest = end;
  return latest && latest.lastIndex + 1;
}

/** Returns `end` if a member has committed everything before it. */
export function committedEnd(answers: readonly Answer[], end: number | undefined): number | undefined {
  if (end === undefined) return undefined;
  return answers.some((answer) => answer.end !== undefined && answer.end.commitIndex >= end - 1) ? end : undefined;
}

export function describeSurvey(answers: readonly Answer[]): string {
  return answers
    .map(({ peer, end, reason }) =>
      end === undefined
        ? `${peer.name}: ${reason}`
        : `${peer.name} has ${end.startIndex} to ${end.lastIndex}, committed up to ${end.commitIndex}`,
    )
    .join('; ');
}
