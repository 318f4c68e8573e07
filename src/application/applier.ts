import type { Log } from '../domain/log/log.js';
import { toOffset } from '../domain/log/offsets.js';
import type { Place } from '../domain/log/place.js';
import type { RecordBatch } from '../domain/log/record-batch.js';
import { decodeConfChange } from '../domain/raft/conf-change.js';
import type { Entry } from '../domain/raft/entry.js';
import type { Message } from '../domain/raft/message.js';
import type { RawNode } from '../domain/raft/raw-node.js';
import { batchOf } from './batch-entry.js';
import { configurationAfter, isOnlyVoter } from './configuration.js';
import type { ConfigurationFile } from './configuration-file.js';
import { decodeChangeContext } from './configuration-json.js';
import type { LogTail } from './log-tail.js';
import type { PendingChanges } from './pending-changes.js';
import type { Logger } from './ports/logger.js';
import type { Proposals } from './proposals.js';
import type { Watermark } from './watermark.js';

/** Of applied entries kept in memory for followers that lag a little. */
const tailBytesMax = 16 * 1024 * 1024;

export interface ApplierOptions {
  readonly core: RawNode;
  readonly tail: LogTail;
  readonly watermark: Watermark;
  readonly proposals: Proposals;
  readonly changes: PendingChanges;
  readonly log: Pick<Log, 'startIndex'>;
  readonly configuration: ConfigurationFile;
  readonly id: number;
  readonly selfName: string;
  readonly logger: Logger;
  /** The members are others than before. */
  readonly onMembership: () => void;
  /** Steps the core: work of the apply thread is done. */
  readonly respond: (response: Message) => void;
  /** Work that had to wait for the disk has gone on. */
  readonly onResumed: () => void;
  readonly onFailure: (error: unknown) => void;
}

/**
 * The apply thread: what is committed, and durable here, moves the high watermark and answers those who wait for it.
 * All of it happens at once, but for a change of the membership, which is on disk before the next entry is applied.
 */
export class Applier {
  #queue: Message[] = [];
  /** In the first work of the queue. */
  #next = 0;
  #waiting = false;
  #applied: number;
  #bytes = 0;

  constructor(private readonly options: ApplierOptions) {
    this.#applied = options.tail.firstIndex() - 1;
  }

  /** The index of the last entry applied. */
  get applied(): number {
    return this.#applied;
  }

  /** Payload bytes applied so far. */
  get appliedBytes(): number {
    return this.#bytes;
  }

  /** Takes a MsgStorageApply. */
  take(work: Message): void {
    this.#queue.push(work);
    this.#run();
  }

  /** A snapshot has replaced all before this place. */
  beginAnew({ index, offset }: Place): void {
    this.#applied = index - 1;
    this.options.watermark.advance(offset);
  }

  #run(): void {
    while (this.#queue.length > 0 && !this.#waiting) {
      const [work] = this.#queue;
      const syncedOn = this.#syncedOn();
      while (this.#next < work.entries.length) {
        const entry = work.entries[this.#next++];
        // A snapshot may have come before it.
        if (entry.index <= this.#applied) continue;
        if (entry.type !== 'normal') {
          void this.#applyChange(entry);
          return;
        }
        this.#apply(batchOf(entry), syncedOn);
      }
      this.#queue.shift();
      this.#next = 0;
      work.responses.forEach(this.options.respond);
      this.options.tail.release(this.#applied, this.#isAlone ? 0 : tailBytesMax);
    }
  }

  #apply(batch: RecordBatch, syncedOn: (index: number) => readonly string[]): void {
    this.#applied = batch.index;
    this.#bytes += batch.payload.length;
    this.options.watermark.advance(toOffset(batch.baseOffset + batch.recordCount));
    this.options.proposals.settle(batch, syncedOn);
  }

  async #applyChange(entry: Entry): Promise<void> {
    const { core, configuration, log, logger, changes, onMembership, onFailure, onResumed } = this.options;
    this.#waiting = true;
    try {
      const change = decodeConfChange(entry.type, entry.data);
      const confState = core.applyConfChange(change);
      const context = decodeChangeContext(change);
      // A later one may be on disk already, of a snapshot that a crash came before.
      const before = configuration.at(entry.index - 1);
      const next = configurationAfter(before, entry.index, change, context, confState);
      await configuration.add(next, log.startIndex);
      this.#applied = entry.index;
      logger.info({ index: entry.index, members: next.members.map(({ name }) => name) }, 'the membership has changed');
      onMembership();
      changes.settle(context.nonce);
    } catch (error) {
      onFailure(error);
      return;
    }
    this.#waiting = false;
    this.#run();
    onResumed();
  }

  get #isAlone(): boolean {
    return isOnlyVoter(this.options.configuration.current, this.options.id);
  }

  /** The names of the members that are known to hold an entry on disk, this node first: as of now. */
  #syncedOn(): (index: number) => readonly string[] {
    let others: readonly { name: string; match: number }[] | undefined;
    return (index) => {
      // Only a leader has anybody who waits to know.
      others ??= this.#others();
      return [this.options.selfName, ...others.filter(({ match }) => match >= index).map(({ name }) => name)];
    };
  }

  #others(): readonly { name: string; match: number }[] {
    const { core, configuration, id: ownId } = this.options;
    const names = new Map(configuration.current.members.map(({ id, name }) => [id, name]));
    const others: { name: string; match: number }[] = [];
    core.visitProgress((id, { match }) => {
      if (id !== ownId) others.push({ name: names.get(id) ?? String(id), match });
    });
    return others;
  }
}
