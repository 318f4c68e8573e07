import { encodePrefix, type Producer } from '../../domain/log/batch-prefix.js';
import { ExpectedOffsetMismatchError } from '../../domain/log/errors.js';
import type { Log } from '../../domain/log/log.js';
import type { Offset } from '../../domain/log/offsets.js';
import type { RecordsMark } from '../../domain/log/producer-table.js';
import type { Records } from '../../domain/log/record-batch.js';
import type { AppendThread } from '../storage/append-thread.js';
import type { DiskReserve } from '../storage/disk-reserve.js';
import type { ConfigurationFile } from '../configuration/configuration-file.js';
import type { EntrySealer } from './entry-sealer.js';
import type { FullDisks } from './full-disks.js';
import { OverloadedError, UnavailableError } from '../errors.js';
import type { LeadershipTransfer } from './leadership-transfer.js';
import type { AppendReceipt, ProposeOptions } from '../ports/consensus.js';
import type { Logger } from '../ports/logger.js';
import type { ProducerAppends, ProducerProposal } from './producer-appends.js';
import type { Proposals } from './proposals.js';
import type { RaftLoop } from './raft-loop.js';

/** Payload bytes of the appends that a leader has accepted and not answered; bytes that wait for its own disk. */
const pendingBytesMax = 32 * 1024 * 1024;

export interface AppendAdmissionOptions {
  readonly loop: RaftLoop;
  readonly log: Pick<Log, 'assertAppendable' | 'lacksDescriptors'>;
  readonly diskReserve: DiskReserve;
  readonly proposals: Proposals;
  readonly sealer: EntrySealer;
  readonly thread: Pick<AppendThread, 'pendingBytes'>;
  readonly producers: ProducerAppends;
  readonly transfer: LeadershipTransfer;
  readonly fullDisks: FullDisks;
  readonly configuration: Pick<ConfigurationFile, 'current'>;
  /** The Raft id of this node. */
  readonly id: number;
  readonly logger: Logger;
}

/**
 * Decides whether a leader accepts an append: by memory, disk space, descriptors and the expected offset. What changes
 * producers is admitted here as well, in one order with the appends.
 */
export class AppendAdmission {
  /** Bytes of the appends that wait, for a check of the disk or for earlier terms; later appends wait for them. */
  #waitingBytes = 0;
  #look: Promise<void> | undefined;
  /** The bytes of the largest append for which the full disk has no space, which is logged once; undefined: it is not full. */
  #refusedBytes: number | undefined;

  constructor(private readonly options: AppendAdmissionOptions) {}

  /** Whether no append waits for a check of the disk. */
  get isEmpty(): boolean {
    return this.#waitingBytes === 0 && this.options.producers.isEmpty;
  }

  append(records: Records, options: ProposeOptions): Promise<AppendReceipt> {
    return this.inTurn(records.payload.length, options.producer !== undefined, () => this.#append(records, options));
  }

  /**
   * Has `propose` propose something of so many bytes, in the order of the calls: at once, or after a look at the disk.
   * What `isOfProducer` waits until this leader knows the producers of earlier terms. Throws `UnavailableError`,
   * `OverloadedError`, `FeatureNotEnabledError`.
   */
  async inTurn<T>(bytes: number, isOfProducer: boolean, propose: () => Promise<T>): Promise<T> {
    const { loop, diskReserve, log, producers, proposals, thread } = this.options;
    loop.assertLeading();
    if (log.lacksDescriptors)
      throw new UnavailableError(
        'the leader has no descriptor left to open a file of its log; retry later, or raise its limit on open files ' +
          '(ulimit -n)',
      );
    if (isOfProducer) producers.assertEnabled();
    if (thread.pendingBytes >= pendingBytesMax)
      throw new OverloadedError("bytes waiting for the leader's disk", pendingBytesMax);
    if (proposals.pendingBytes + this.#waitingBytes >= pendingBytesMax)
      throw new OverloadedError('bytes waiting for a quorum', pendingBytesMax);
    const knows = isOfProducer ? producers.knowsEarlierTerms() : undefined;
    if (knows !== undefined) {
      this.#waitingBytes += bytes;
      await knows.finally(() => (this.#waitingBytes -= bytes));
    }
    const look = diskReserve.refresh() ?? (this.#waitingBytes > 0 ? this.#look : undefined);
    if (look !== undefined) {
      this.#look = look;
      this.#waitingBytes += bytes;
      await look;
      this.#waitingBytes -= bytes;
      loop.assertLeading();
    }
    // No await from here to the proposal: offsets are assigned in the order of the calls.
    return propose();
  }

  async #append(records: Records, { expectedOffset, producer }: ProposeOptions): Promise<AppendReceipt> {
    const { loop, log, producers, proposals, sealer } = this.options;
    const mark = producer && producers.markOf(records);
    const before = producer && mark && producers.decide(producer, mark);
    if (before !== undefined) return before;
    const nextOffset = proposals.nextOffset(sealer.endOffset);
    if (expectedOffset !== undefined && expectedOffset !== nextOffset) {
      // The caller must learn only of entries that stay: another leader may truncate uncommitted ones.
      await this.#waitUntilCommitted(nextOffset);
      throw new ExpectedOffsetMismatchError(expectedOffset, nextOffset);
    }
    log.assertAppendable();
    this.admitToDisk(records.payload.length);
    loop.schedule();
    if (producer === undefined || mark === undefined) return proposals.append(records);
    return this.#appendOf(producer, mark, records);
  }

  #appendOf(producer: Producer, mark: RecordsMark, records: Records): Promise<AppendReceipt> {
    const { producers, proposals } = this.options;
    const prefix = encodePrefix(producer);
    const proposal: ProducerProposal = {
      receipt: proposals.append({ ...records, prefix }, () => producers.drop(producer, proposal)),
    };
    producers.add(producer, mark, proposal);
    return proposal.receipt;
  }

  /** Resolves when everything before the offset is committed; rejects when this node no longer leads. */
  async #waitUntilCommitted(endOffset: Offset): Promise<void> {
    const { loop, sealer } = this.options;
    const { term } = loop;
    const isOver = (): boolean => !loop.isAlive || loop.term !== term;
    await loop.waitUntil(() => sealer.endOffset >= endOffset || isOver());
    const { lastIndex } = sealer;
    await loop.waitUntil(() => loop.core.commitIndex >= lastIndex || isOver());
    if (isOver()) throw loop.notLeading();
  }

  /**
   * Counts the bytes as used. Throws `QuorumDiskFullError`, `DiskReserveError`, or `UnavailableError` while leadership is being transferred to a
   * node with space.
   */
  admitToDisk(bytes: number): void {
    const { diskReserve, transfer, fullDisks, configuration, loop, id, logger } = this.options;
    const own = diskReserve.refusalOf(bytes);
    if (own !== undefined) {
      if (this.#refusedBytes === undefined)
        logger.warn('disk_full', { role: 'leader', reason: own.message }, 'the disk is full; refusing appends');
      this.#refusedBytes = Math.max(this.#refusedBytes ?? 0, bytes);
    } else if (this.#refusedBytes !== undefined && diskReserve.refusalOf(this.#refusedBytes) === undefined) {
      // A smaller append that fits does not show that there is more space.
      this.#refusedBytes = undefined;
      logger.info('disk_space_recovered', {}, 'the disk has space; accepting appends again');
      transfer.spaceReturned();
    }
    const everywhere = fullDisks.refusalOf(configuration.current, loop.term, own && id);
    if (everywhere !== undefined) throw everywhere;
    if (own !== undefined && transfer.transferForSpace())
      throw new UnavailableError("the leader's disk is full: leadership is being transferred to another node");
    diskReserve.admitOrThrow(bytes);
  }
}
