import type { HardStateFile } from '../../domain/log/hard-state-file.js';
import type { Log } from '../../domain/log/log.js';
import { type Index, toIndex, toTerm } from '../../domain/log/offsets.js';
import type { LogBoundary } from '../../domain/log/log-boundary.js';
import { type RecordBatch, storedBytes } from '../../domain/log/record-batch.js';

/** Bytes written under one sync; whatever exceeds it waits for the next sync. */
const groupBytesMax = 8 * 1024 * 1024;

/** Data to make durable, and a callback for when it is. */
export interface AppendWork {
  /** Consecutive batches; they replace the log from the first one's index on (Raft §5.3). */
  readonly batches: readonly RecordBatch[];
  /** The log starts again at this boundary, before the batches; `prepare` is made durable before that. */
  readonly reset?: { readonly boundary: LogBoundary; readonly prepare: () => Promise<void> };
  readonly vote?: { readonly term: number; readonly vote: number };
  /** Called when all of this work, and of the works before it, is durable; in order. Must not throw. */
  readonly done: () => void;
}

/** The node whose log and hard state an append thread writes. */
export interface AppendThreadOwner {
  /** A group is durable, and the callbacks of its works have run. */
  groupDone(): void;
  /** A write or a sync failed, and nothing is written from now on. Called once. */
  fail(error: unknown): void;
}

/** Is told when the append thread begins to write, and when that has ended. */
export interface WriteWatch {
  begins(): void;
  ends(): void;
}

/**
 * The only writer of a node's log and hard state. Group commit: while one group is written and synced, the next one
 * gathers, so that the disk always has one sync in flight and each work waits for at most two. After a failure it does
 * nothing and reports nothing as done: the process must end (docs/guarantees.md, durability rule 4).
 */
export class AppendThread {
  #queue: AppendWork[] = [];
  #pendingBytes = 0;
  #commit: { readonly index: Index; readonly configuration: number } | undefined;
  #tail: Promise<void> = Promise.resolve();
  #scheduled = false;
  #failed = false;

  constructor(
    private readonly log: Pick<Log, 'append' | 'sync' | 'truncateSuffix' | 'reset' | 'lastIndex'>,
    private readonly hardState: Pick<HardStateFile, 'current' | 'configuration' | 'save'>,
    private readonly owner: AppendThreadOwner,
    private readonly watch: WriteWatch,
  ) {}

  /** Bytes of the batches that are not durable yet. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  enqueue(work: AppendWork): void {
    this.#queue.push(work);
    this.#pendingBytes += bytesOf(work);
    this.#schedule();
  }

  /**
   * Records that everything up to `index` is committed, durable here, and applied, and that the newest configuration up
   * to there is that of entry `configuration`. It is written with the next group, so that recovery can tell a torn tail
   * from lost data, and a start knows where to continue and whether its configuration is an older one.
   */
  noteCommit(index: Index, configuration: number): void {
    this.#commit = { index, configuration };
    this.#schedule();
  }

  /** Runs `task` when nothing is being written, and holds back writes until it ends: for retention. */
  exclusively<T>(task: () => Promise<T>): Promise<T> {
    const run = this.#tail.then(() => {
      this.watch.begins();
      return task().finally(() => this.watch.ends());
    });
    this.#tail = run.then(
      () => undefined,
      () => undefined,
    );
    return run;
  }

  /** Resolves when no work waits. */
  async idle(): Promise<void> {
    do await this.exclusively(() => Promise.resolve());
    while (this.#scheduled && !this.#failed);
  }

  #schedule(): void {
    if (this.#scheduled || this.#failed) return;
    this.#scheduled = true;
    void this.exclusively(() => this.#writeGroup());
  }

  /** Writes one group, so that an exclusive task waits for one sync and not for the queue to empty. */
  async #writeGroup(): Promise<void> {
    const group = this.#takeGroup();
    try {
      // The vote before the entries: no entry may be of a term that the hard state has not reached.
      await this.#saveHardState(group);
      await this.#writeLog(group);
    } catch (error) {
      this.#failed = true;
      this.owner.fail(error);
      return;
    }
    for (const work of group) {
      this.#pendingBytes -= bytesOf(work);
      work.done();
    }
    this.#scheduled = false;
    this.owner.groupDone();
    if (this.#queue.length > 0 || this.#commit !== undefined) this.#schedule();
  }

  async #saveHardState(group: readonly AppendWork[]): Promise<void> {
    const { current, configuration } = this.hardState;
    const { term, vote, commit } = current;
    const latest = group.findLast((work) => work.vote !== undefined)?.vote ?? { term, vote };
    const noted = this.#commit ?? { index: commit, configuration };
    this.#commit = undefined;
    const isKnown = noted.index <= commit && noted.configuration <= configuration;
    if (latest.term === term && latest.vote === vote && isKnown) return;
    const next = { ...latest, term: toTerm(latest.term), commit: toIndex(Math.max(noted.index, commit)) };
    await this.hardState.save(next, noted.configuration);
  }

  async #writeLog(group: readonly AppendWork[]): Promise<void> {
    let run: RecordBatch[] = [];
    let lastIndex: number = this.log.lastIndex;
    const flush = async (): Promise<void> => {
      if (run.length > 0) await this.log.append(run);
      run = [];
    };
    for (const { reset, batches } of group) {
      if (reset !== undefined) {
        await flush();
        await reset.prepare();
        await this.log.reset(reset.boundary);
        ({ lastIndex } = this.log);
      }
      if (batches.length === 0) continue;
      const first = batches[0].index;
      if (first <= lastIndex) {
        await flush();
        await this.log.truncateSuffix(first);
      }
      for (const batch of batches) run.push(batch);
      lastIndex = batches[batches.length - 1].index;
    }
    await flush();
    await this.log.sync();
  }

  #takeGroup(): AppendWork[] {
    let bytes = 0;
    let count = 0;
    for (const work of this.#queue) {
      bytes += bytesOf(work);
      if (count > 0 && bytes > groupBytesMax) break;
      count += 1;
    }
    return this.#queue.splice(0, count);
  }
}

function bytesOf({ batches }: AppendWork): number {
  let bytes = 0;
  for (const batch of batches) bytes += storedBytes(batch);
  return bytes;
}
