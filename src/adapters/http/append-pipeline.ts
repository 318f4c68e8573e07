import type { CallMemory } from '../../application/access/call-memory.js';
import type { AppendPlan } from '../wire/append-plan.js';
import { shuttingDown } from '../wire/error-answers.js';
import { appendBytesInFlightMax, appendsInFlightMax } from '../wire/limits.js';

/** What a request appends, and the bytes in which it was counted. */
export interface PlannedRequest {
  readonly plan: AppendPlan;
  readonly requestBytes: number;
}

interface InFlight<Answer> {
  readonly bytes: number;
  readonly answer: Promise<Answer>;
}

/**
 * One stream of appends, pipelined: requests are appended as they come, answers are yielded in the order of the
 * requests. The first append that fails ends the stream with its error, after the answers to the earlier ones; later
 * requests are not begun, those begun are of unknown outcome. With too much in flight it stops reading.
 *
 * When `closing` aborts no further request is begun; what is in flight is answered, then the stream ends with
 * `UnavailableError`, so that no append is reported as failed that was made. When `signal` aborts (the client left, or
 * its deadline passed) it ends with the signal's reason. `memory` is told of each answer.
 */
export async function* pipelineAppends<Request, Answer>(
  requests: AsyncIterable<Request>,
  plan: (request: Request) => PlannedRequest,
  append: (plan: AppendPlan) => Promise<Answer>,
  signal: AbortSignal,
  closing: AbortSignal,
  memory: CallMemory | undefined,
): AsyncGenerator<Answer, void, void> {
  const queue: InFlight<Answer>[] = [];
  let bytesInFlight = 0;
  let reading = true;
  let failure: { readonly error: unknown } | undefined;
  let wakeWriter = (): void => undefined;
  let wakeReader = (): void => undefined;

  const stop = (): void => {
    reading = false;
    wakeReader();
    wakeWriter();
  };

  const begin = (request: Request): void => {
    const planned = plan(request);
    const bytes = planned.plan.records.payload.length;
    const answer = append(planned.plan);
    answer.then(() => memory?.answer(planned.requestBytes), stop);
    bytesInFlight += bytes;
    queue.push({ bytes, answer });
    wakeWriter();
  };

  const readRequests = async (): Promise<void> => {
    try {
      for await (const request of requests) {
        while (reading && (queue.length >= appendsInFlightMax || bytesInFlight >= appendBytesInFlightMax))
          await new Promise<void>((resolve) => (wakeReader = resolve));
        if (!reading) break;
        begin(request);
      }
    } catch (error) {
      failure ??= { error };
    }
    stop();
  };

  const giveUp = (): void => {
    failure ??= { error: signal.reason };
    stop();
  };

  closing.addEventListener('abort', stop);
  signal.addEventListener('abort', giveUp);
  if (closing.aborted) stop();
  if (signal.aborted) giveUp();
  try {
    void readRequests();
    for (;;) {
      const head = queue[0];
      if (head !== undefined) {
        yield await head.answer;
        queue.shift();
        bytesInFlight -= head.bytes;
        wakeReader();
      } else if (!reading) {
        break;
      } else {
        await new Promise<void>((resolve) => (wakeWriter = resolve));
      }
    }
    if (failure !== undefined) throw failure.error;
    if (closing.aborted) throw shuttingDown();
  } finally {
    closing.removeEventListener('abort', stop);
    signal.removeEventListener('abort', giveUp);
    stop();
  }
}
