import type { ServerWritableStream } from '@grpc/grpc-js';
import type { CallMemory } from '../../application/access/call-memory.js';
import type { CommitLog, ReadResult } from '../../application/ports/commit-log.js';
import type { ReadPlan } from '../wire/read-plan.js';
import type { FailCall } from './call-errors.js';
import { callSignal } from './call-signal.js';
import { StreamWriter } from './stream-writer.js';

/**
 * Serves one follow: reads on only when the reader has taken what it got, and at the log's end waits for the watermark.
 * Ends only by an error, by the caller, by the deadline, or with the server. Messages are made one by one, as they are
 * taken.
 */
export async function serveFollow(
  call: ServerWritableStream<Buffer, Buffer>,
  commitLog: CommitLog,
  plan: (request: Buffer) => ReadPlan,
  messagesOf: (result: ReadResult) => Iterable<Buffer>,
  fail: FailCall,
  memory: CallMemory | undefined,
): Promise<void> {
  const signal = callSignal(call);
  const writer = new StreamWriter(call);
  try {
    const { from, options } = plan(call.request);
    writer.open();
    for await (const result of commitLog.follow(from, { ...options, signal, memory })) {
      for (const message of messagesOf(result)) {
        const space = writer.send(message);
        if (space === undefined) continue;
        await space;
        if (signal.aborted) return;
      }
    }
  } catch (error) {
    // An aborted call has its status already.
    if (!signal.aborted) call.emit('error', fail(error));
  }
}
