import type { HardStateFile } from '../domain/log/hard-state.js';
import { invariant } from '../domain/log/invariant.js';
import type { Log } from '../domain/log/log.js';
import { type EpochMs, type Offset, toIndex, toOffset, toTerm } from '../domain/log/offsets.js';
import { type Place, placeAfter } from '../domain/log/place.js';
import { type RecordBatch, type Seal, sealBatch } from '../domain/log/record-batch.js';
import { decodeConfChange } from '../domain/raft/conf-change.js';
import type { Entry } from '../domain/raft/entry.js';
import type { Message } from '../domain/raft/message.js';
import type { Ready } from '../domain/raft/ready.js';
import type { Snapshot } from '../domain/raft/snapshot.js';
import type { AppendThread } from './append-thread.js';
import { batchContentOf, batchOf } from './batch-entry.js';
import type { ConfigurationFile } from './configuration-file.js';
import { decodeChangeContext, parseTransfer } from './configuration-json.js';
import type { LogTail } from './log-tail.js';
import type { PendingChanges } from './pending-changes.js';
import type { Clock } from './ports/clock.js';
import type { Proposals } from './proposals.js';

export interface EntryStoreOptions {
  readonly tail: LogTail;
  readonly thread: AppendThread;
  readonly proposals: Proposals;
  readonly changes: PendingChanges;
  readonly log: Pick<Log, 'lastIndex' | 'endOffset' | 'lastTerm'>;
  readonly hardState: Pick<HardStateFile, 'current'>;
  readonly configuration: ConfigurationFile;
  readonly seal: Seal;
  readonly clock: Clock;
  /** The log has begun anew at this place, durably. */
  readonly onReset: (place: Place) => void;
  readonly respond: (response: Message) => void;
}

/** Gives the entries that the core hands out their place in the log, and has them stored. */
export class EntryStore {
  /** Behind the last entry that the core has given out. */
  #end: Place;
  #lastVote: { readonly term: number; readonly vote: number };

  constructor(private readonly options: EntryStoreOptions) {
    const { log, hardState } = options;
    this.#end = { index: toIndex(log.lastIndex + 1), offset: log.endOffset, term: log.lastTerm };
    this.#lastVote = hardState.current;
  }

  /** The index of the last entry that has its place. */
  get lastIndex(): number {
    return this.#end.index - 1;
  }

  /** The offset behind it. */
  get endOffset(): Offset {
    return this.#end.offset;
  }

  /** Before anything is sent or stored: what the core took as a leader is sealed; entries of other leaders are already. */
  place({ snapshot, entries }: Pick<Ready, 'snapshot' | 'entries'>): void {
    if (snapshot !== undefined) this.#end = placeOf(snapshot);
    if (entries.length === 0) return;
    const now = this.options.clock.now();
    for (const entry of entries) {
      entry.batch ??= this.#seal(entry, now);
      this.#end = placeAfter(entry.batch);
    }
  }

  /** Takes a MsgStorageAppend. */
  store({ entries, term, vote, snapshot, responses }: Message): void {
    const { thread, tail, respond, onReset } = this.options;
    const votes = term !== 0 && (term !== this.#lastVote.term || vote !== this.#lastVote.vote);
    if (votes) this.#lastVote = { term, vote };
    const reset = snapshot && {
      place: placeOf(snapshot),
      prepare: () => this.#adoptConfiguration(snapshot),
    };
    thread.enqueue({
      batches: entries.map(batchOf),
      ...(votes && { vote: { term, vote } }),
      ...(reset && { reset }),
      done: () => {
        if (reset !== undefined) {
          const { index, term: before } = reset.place;
          tail.reset({ index: index - 1, term: before });
          onReset(reset.place);
        }
        tail.append(entries);
        responses.forEach(respond);
      },
    });
  }

  #seal(entry: Entry, appendTimeMs: EpochMs): RecordBatch {
    const { proposals, changes, seal } = this.options;
    invariant(entry.index === this.#end.index, () => `entry ${entry.index} comes where ${this.#end.index} is next`);
    const records = entry.type === 'normal' && entry.data.length > 0 ? proposals.recordsOf(entry) : undefined;
    const { kind, payload } = batchContentOf(entry);
    const batch = sealBatch(
      {
        kind,
        payload,
        index: toIndex(entry.index),
        term: toTerm(entry.term),
        baseOffset: this.#end.offset,
        recordCount: records?.count ?? 0,
        appendTimeMs,
      },
      seal,
    );
    if (records !== undefined) proposals.place(batch);
    else if (entry.type !== 'normal')
      changes.place(decodeChangeContext(decodeConfChange(entry.type, entry.data)).nonce);
    return batch;
  }

  async #adoptConfiguration({ data, metadata: { index } }: Snapshot): Promise<void> {
    await this.options.configuration.add(parseTransfer(data).configuration, index + 1);
  }
}

/** Where the log begins behind a snapshot. */
function placeOf({ data, metadata }: Snapshot): Place {
  return {
    offset: toOffset(parseTransfer(data).offset),
    index: toIndex(metadata.index + 1),
    term: toTerm(metadata.term),
  };
}
