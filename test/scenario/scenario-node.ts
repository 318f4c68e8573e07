import { asV2, decodeConfChange } from '../../src/domain/raft/conf-change.js';
import type { ConfState } from '../../src/domain/raft/conf-state.js';
import type { RaftConfig } from '../../src/domain/raft/config.js';
import type { Entry } from '../../src/domain/raft/entry.js';
import type { HardState } from '../../src/domain/raft/hard-state.js';
import { isEmptyHardState } from '../../src/domain/raft/hard-state.js';
import { MemoryStorage } from '../../src/domain/raft/memory-storage.js';
import type { Message } from '../../src/domain/raft/message.js';
import { appendThread, applyThread } from '../../src/domain/raft/message.js';
import { RawNode } from '../../src/domain/raft/raw-node.js';
import type { Ready } from '../../src/domain/raft/ready.js';
import type { Snapshot } from '../../src/domain/raft/snapshot.js';
import { emptySnapshot, isEmptySnapshot } from '../../src/domain/raft/snapshot.js';
import { CommandError } from './command-error.js';

/** The setup of the nodes of one `add-nodes`. */
export interface NodeSetup {
  readonly config: Omit<RaftConfig, 'id' | 'storage'>;
  /** The initial snapshot; undefined for an empty node without a configuration. */
  readonly snapshot: Snapshot | undefined;
}

/** Returns a snapshot as of the last applied entry, whatever was compacted. */
class HistoryStorage extends MemoryStorage {
  constructor(private readonly history: readonly Snapshot[]) {
    super();
  }

  override snapshot(): Snapshot {
    return this.history.at(-1) ?? emptySnapshot;
  }
}

/** One node with its storage, its state machine and the queued work of its two local threads. */
export class ScenarioNode {
  readonly raft: RawNode;
  readonly storage: MemoryStorage;
  readonly electionTick: number;
  readonly heartbeatTick: number;
  readonly #isAsync: boolean;
  /** The state after each applied entry. The state machine concatenates the applied data. */
  readonly #history: Snapshot[];
  readonly #appendWork: Message[] = [];
  readonly #applyWork: Message[] = [];

  constructor(
    readonly id: number,
    { config, snapshot }: NodeSetup,
  ) {
    this.#history = [snapshot ?? emptySnapshot];
    this.storage = new HistoryStorage(this.#history);
    if (snapshot !== undefined) this.storage.applySnapshot(snapshot);
    this.electionTick = config.electionTick;
    this.heartbeatTick = config.heartbeatTick;
    this.#isAsync = config.asyncStorageWrites === true;
    this.raft = new RawNode({ ...config, id, storage: this.storage });
  }

  get hasAppendWork(): boolean {
    return this.#appendWork.length > 0;
  }

  get hasApplyWork(): boolean {
    return this.#applyWork.length > 0;
  }

  /**
   * Does the work of `ready`, or queues it for the local threads if writes are asynchronous. Returns the messages to
   * nodes.
   */
  handle(ready: Ready): readonly Message[] {
    if (!this.#isAsync) {
      this.#append(ready.hardState, ready.entries, ready.snapshot);
      this.#apply(ready.committedEntries);
    }
    const outgoing: Message[] = [];
    for (const message of ready.messages) {
      if (message.to === appendThread) this.#appendWork.push(message);
      else if (message.to === applyThread) this.#applyWork.push(message);
      else outgoing.push(message);
    }
    if (!this.#isAsync) this.raft.advance();
    return outgoing;
  }

  takeAppendWork(): Message | undefined {
    return this.#appendWork.shift();
  }

  doAppendWork({ term, vote, commit, entries, snapshot }: Message): void {
    this.#append({ term, vote, commit }, entries, snapshot);
  }

  takeApplyWork(): Message | undefined {
    return this.#applyWork.shift();
  }

  doApplyWork({ entries }: Message): void {
    this.#apply(entries);
  }

  #append(hardState: HardState | undefined, entries: readonly Entry[], snapshot: Snapshot | undefined): void {
    if (hardState !== undefined && !isEmptyHardState(hardState)) this.storage.setHardState(hardState);
    if (snapshot === undefined || isEmptySnapshot(snapshot)) {
      this.storage.append(entries);
      return;
    }
    if (entries.length > 0) throw new CommandError("can't apply snapshot and entries at the same time");
    this.storage.applySnapshot(snapshot);
  }

  #apply(entries: readonly Entry[]): void {
    for (const { term, index, type, data } of entries) {
      const last = this.#history.at(-1) ?? emptySnapshot;
      let update = data;
      let confState: ConfState = last.metadata.confState;
      if (type !== 'normal') {
        const change = asV2(decodeConfChange(type, data));
        confState = this.raft.applyConfChange(change);
        update = change.context;
      }
      const state = Uint8Array.from([...last.data, ...update]);
      this.#history.push({ data: state, metadata: { confState, index, term } });
    }
  }
}
