import { entryOfBatch } from '../../src/application/raft/batch-entry.js';
import { parseBatch, storedBytes, type RecordBatch, type BatchChecksum } from '../../src/domain/log/record-batch.js';
import type { Message } from '../../src/domain/raft/message.js';
import { InvariantError } from './world.js';

/** Returns the message as the receiver gets it: it shares nothing with the sent one. */
export function copyMessage(sent: Message, checksum: BatchChecksum): Message {
  return {
    ...sent,
    entries: sent.entries.map((entry) => {
      // A read carries its context in this field.
      if (sent.type === 'MsgReadIndex' || sent.type === 'MsgReadIndexResp')
        return { ...entry, data: entry.data.slice() };
      if (entry.batch === undefined)
        throw new InvariantError('I2', `entry ${entry.index} of a ${sent.type} was sent without its batch`);
      const copy = entryOfBatch(copyBatch(entry.batch, checksum));
      if (copy.index !== entry.index || copy.term !== entry.term || copy.type !== entry.type)
        throw new InvariantError('I2', `entry ${entry.index} of term ${entry.term} was sent with another's batch`);
      return copy;
    }),
    context: sent.context?.slice(),
    snapshot: sent.snapshot && { ...sent.snapshot, data: sent.snapshot.data.slice() },
    responses: [],
  };
}

/** Copies a batch through its stored bytes, verified, into a buffer of its own. */
export function copyBatch(batch: RecordBatch, checksum: BatchChecksum): RecordBatch {
  const bytes = new Uint8Array(storedBytes(batch));
  bytes.set(batch.header);
  bytes.set(batch.payload, batch.header.length);
  const copy = parseBatch(bytes, 0, bytes.length, checksum);
  if (typeof copy === 'string') throw new InvariantError('I11', `batch ${batch.index} was sent with a ${copy}`);
  return copy;
}

/** Describes the message for the trace. */
export function describeMessage({ type, term, index, logTerm, entries, commit, reject }: Message): string {
  const last = entries.at(-1);
  const range = last === undefined ? '' : ` +${entries[0]?.index}..${last.index}`;
  return `${type} t${term} ${logTerm}/${index}${range} c${commit}${reject ? ' reject' : ''}`;
}
