import type { Clock } from './ports/clock.js';
import type { Logger } from './ports/logger.js';

/** A node that gave leadership away for want of space, and has it back, keeps it this long. */
const stepAsideEveryMs = 30_000;

/** What a leader knows of another member. */
export interface Successor {
  readonly id: number;
  /** The last index that it is known to have. */
  readonly match: number;
}

export interface SuccessionOptions {
  readonly id: number;
  /** The other voters that are heard from, by id, ascending; none where this node does not lead. */
  readonly others: () => readonly Successor[];
  /** Resolves when the member leads, rejects when that did not come about. */
  readonly transferTo: (id: number) => Promise<void>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Who leads after this node, when it goes or its disk is full (Raft thesis §3.10). */
export class Succession {
  #steppedAsideAt = -Infinity;
  #steppingAside = false;

  constructor(private readonly options: SuccessionOptions) {}

  /** The other voter that has most of the log; of several, the next by id, so that each has its turn. */
  heir(): number | undefined {
    const others = this.options.others();
    const most = Math.max(...others.map(({ match }) => match));
    const heirs = others.filter(({ match }) => match === most);
    return (heirs.find(({ id }) => id > this.options.id) ?? heirs.at(0))?.id;
  }

  /** Resolves when another node leads, or after an election timeout: then the others elect one, only later. */
  async handOver(): Promise<void> {
    const heir = this.heir();
    if (heir !== undefined) await this.options.transferTo(heir).catch(() => {});
  }

  /**
   * For a leader without space for an append: another node may have some. True while leadership passes to it; false
   * when there is none, or when this node has tried and leads again.
   */
  stepAside(): boolean {
    if (this.#steppingAside) return true;
    const { clock, logger } = this.options;
    const heir = this.heir();
    if (heir === undefined || clock.now() - this.#steppedAsideAt < stepAsideEveryMs) return false;
    this.#steppedAsideAt = clock.now();
    this.#steppingAside = true;
    logger.warn({ heir }, 'the disk is full: leadership passes to another node');
    void this.handOver().then(() => (this.#steppingAside = false));
    return true;
  }
}
