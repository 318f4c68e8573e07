import { CorruptRangeError } from '../../domain/log/errors.js';
import type { Log } from '../../domain/log/log.js';
import type { Offset } from '../../domain/log/offsets.js';
import { UnavailableError } from '../errors.js';
import { MembershipError } from '../ports/cluster.js';
import type { Unready } from '../ports/readiness.js';
import { StandIn, type StandInOptions } from './stand-in.js';

/** Whether the log's end is quarantined: the node then must not append, vote or count for a quorum. */
export function isDamaged(log: Pick<Log, 'assertAppendable'>): boolean {
  try {
    log.assertAppendable();
    return false;
  } catch (error) {
    if (error instanceof CorruptRangeError) return true;
    throw error;
  }
}

export interface DamagedNodeOptions extends StandInOptions {
  readonly log: Log;
  /** Set while the log is repaired from the peers. */
  readonly repair?: {
    /** Everything below is committed, and readable here. */
    readonly readableEnd: Offset;
    /** The progress of the repair, for an operator. */
    readonly progress: string;
  };
}

/**
 * Takes the place of Raft while the log is damaged: serves what can be read, and does nothing else. A group of one
 * stays like this. A member of a larger group does so until its log is repaired, and serves only what is committed.
 */
export class DamagedNode extends StandIn {
  constructor(private readonly options: DamagedNodeOptions) {
    const { log, repair } = options;
    // A group of one had committed all that it had stored, and shows no lower watermark than before (I7).
    super(options, repair?.readableEnd ?? log.durableEndOffset);
  }

  get readiness(): Unready {
    const { name } = this.options.self;
    const { repair } = this.options;
    if (repair === undefined)
      return {
        state: 'damaged',
        problem: `the log of ${name} is damaged at its end: it accepts no appends and has no vote; run golog verify`,
      };
    return {
      state: 'repairing',
      problem: `the log of ${name} is damaged; it does not vote or append until the log is repaired: ${repair.progress}`,
    };
  }

  override async waitForWatermark(offset: Offset, signal: AbortSignal): Promise<void> {
    if (offset >= this.highWatermark && !this.options.repair) this.options.log.assertAppendable();
    return super.waitForWatermark(offset, signal);
  }

  override async readBarrier(): Promise<Offset> {
    return this.options.repair ? this.refuse() : this.highWatermark;
  }

  /** What this node showed before may lie in the range under repair. */
  override async recovered(): Promise<void> {
    if (this.options.repair) await this.refuse();
  }

  protected override async refuse(): Promise<never> {
    const { log, repair } = this.options;
    if (repair)
      throw new UnavailableError('the log of this node is damaged and is being repaired from its peers; retry later');
    log.assertAppendable();
    throw new MembershipError('the log of this node is damaged at its end; run golog verify');
  }
}
