import { IndexOutOfRangeError } from '../../domain/log/errors.js';
import type { Log } from '../../domain/log/log.js';
import { toIndex } from '../../domain/log/offsets.js';
import type { RecordBatch } from '../../domain/log/record-batch.js';
import { message } from '../../domain/raft/message.js';
import { UnavailableError } from '../errors.js';
import type { EntryHandler, LogEnd } from '../ports/entry-source.js';
import type { RaftNode } from '../raft/raft-node.js';

const chunkBytes = 1 << 20;

export interface CommittedEntriesOptions {
  readonly node: Pick<RaftNode, 'leadership' | 'receive'>;
  readonly log: Pick<Log, 'startIndex' | 'lastIndex' | 'readEntries'>;
}

/** Serves a member's log to a member that repairs its own: committed and applied entries only. */
export class CommittedEntries implements EntryHandler {
  constructor(private readonly options: CommittedEntriesOptions) {}

  logEnd(from: number, term: number): LogEnd {
    const { node, log } = this.options;
    const { id, hardState, applied } = node.leadership.status;
    // As any response of a later term does (Raft §5.1): a leader with an earlier term than the caller's steps down;
    // otherwise the caller would never find a leader.
    if (term > hardState.term) node.receive(message({ type: 'MsgAppResp', from, to: id, term }));
    return {
      term: node.leadership.status.hardState.term,
      leads: node.leadership.isLeader && node.leadership.status.softState.raftState === 'StateLeader',
      startIndex: log.startIndex,
      commitIndex: Math.min(applied, log.lastIndex),
      lastIndex: node.leadership.lastIndex,
    };
  }

  async *read(from: number, until: number): AsyncGenerator<readonly RecordBatch[], void, void> {
    const { node, log } = this.options;
    const { applied } = node.leadership.status;
    if (from < log.startIndex) throw new IndexOutOfRangeError(toIndex(from), log.startIndex, log.lastIndex);
    if (until > applied + 1) throw new UnavailableError(`entry ${until - 1} is not committed here yet`);
    for (let next = from; next < until;) {
      const batches = await log.readEntries(toIndex(next), { until: toIndex(until), bytesMax: chunkBytes });
      next += batches.length;
      yield batches;
    }
  }
}
