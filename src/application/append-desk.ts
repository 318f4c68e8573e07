import { DiskReserveError, ExpectedOffsetMismatchError } from '../domain/log/errors.js';
import type { Log } from '../domain/log/log.js';
import type { Offset } from '../domain/log/offsets.js';
import type { Records } from '../domain/log/record-batch.js';
import type { DiskReserve } from './disk-reserve.js';
import { OverloadedError, UnavailableError } from './errors.js';
import type { AppendReceipt, ProposeOptions } from './ports/consensus.js';
import type { Proposals } from './proposals.js';
import type { Succession } from './succession.js';

/** Of appends that a leader has taken and not answered. */
const pendingBytesMax = 32 * 1024 * 1024;

export interface AppendDeskOptions {
  readonly log: Pick<Log, 'assertAppendable'>;
  readonly diskReserve: DiskReserve;
  readonly proposals: Proposals;
  readonly succession: Pick<Succession, 'stepAside'>;
  /** Throws `UnavailableError` unless this node leads and takes appends. */
  readonly assertLeading: () => void;
  /** The end of the log, without what has no place yet. */
  readonly endOffset: () => Offset;
  /** Has the core take, soon, what the proposals have gathered. */
  readonly propose: () => void;
  /** Resolves when all before the offset is committed; rejects when this node no longer leads. */
  readonly untilCommitted: (offset: Offset) => Promise<void>;
}

/** Where a leader looks at an append before it takes it: room in memory, room on the disk, the expected offset. */
export class AppendDesk {
  /** Of appends that wait for a look at the disk; who comes meanwhile waits behind them. */
  #waitingBytes = 0;
  #look: Promise<void> | undefined;

  constructor(private readonly options: AppendDeskOptions) {}

  /** Whether nothing waits for a look at the disk. */
  get isEmpty(): boolean {
    return this.#waitingBytes === 0;
  }

  async append(records: Records, { expectedOffset, signal }: ProposeOptions): Promise<AppendReceipt> {
    const { diskReserve, log, proposals, assertLeading, endOffset, propose, untilCommitted } = this.options;
    assertLeading();
    if (proposals.pendingBytes + this.#waitingBytes >= pendingBytesMax)
      throw new OverloadedError('bytes waiting for a quorum', pendingBytesMax);
    const look = diskReserve.refresh() ?? (this.#waitingBytes > 0 ? this.#look : undefined);
    if (look !== undefined) {
      this.#look = look;
      this.#waitingBytes += records.payload.length;
      await look;
      this.#waitingBytes -= records.payload.length;
      assertLeading();
    }
    // No wait from here to the proposal: offsets are given in the order of the calls.
    signal?.throwIfAborted();
    const nextOffset = proposals.nextOffset(endOffset());
    if (expectedOffset !== undefined && expectedOffset !== nextOffset) {
      // What a caller is told of the log must be there to stay: another leader may cut an end that is not committed.
      await untilCommitted(nextOffset);
      throw new ExpectedOffsetMismatchError(expectedOffset, nextOffset);
    }
    log.assertAppendable();
    this.#admitToDisk(records.payload.length);
    propose();
    return proposals.add(records);
  }

  /** Throws `DiskReserveError`, or `UnavailableError` while a node that may have space takes over. */
  #admitToDisk(bytes: number): void {
    const { diskReserve, succession } = this.options;
    try {
      diskReserve.admitOrThrow(bytes);
    } catch (error) {
      if (!(error instanceof DiskReserveError) || !succession.stepAside()) throw error;
      throw new UnavailableError('the disk of the leader is full, and another node takes over');
    }
  }
}
