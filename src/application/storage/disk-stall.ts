import type { Logger } from '../ports/logger.js';
import type { WriteWatch } from './append-thread.js';

export interface DiskStallOptions {
  readonly tickMs: number;
  /** A write that takes so many ticks is one that hangs. */
  readonly ticksMax: number;
  readonly logger: Logger;
  /** Called when a write begins. */
  readonly onBegin?: () => void;
  /** Called when the disk begins to hang, and when it ends that. */
  readonly onChange?: () => void;
}

/**
 * Notices that the disk hangs: that a write of the append thread, with its syncs, has not ended in time. The owner calls
 * `tick`; time is counted in ticks, so that neither a change of the clock nor a pause of the process looks like it.
 */
export class DiskStall implements WriteWatch {
  #isWriting = false;
  /** Ticks since the write in progress began. */
  #ticks = 0;
  /** Ticks since the first of the slow writes began; 0: the disk does not hang. */
  #stalledTicks = 0;

  constructor(private readonly options: DiskStallOptions) {}

  get isStalled(): boolean {
    return this.#stalledTicks > 0;
  }

  /** For how many milliseconds the disk has hung; undefined: it does not. */
  get stalledMs(): number | undefined {
    return this.isStalled ? this.#stalledTicks * this.options.tickMs : undefined;
  }

  begins(): void {
    this.#isWriting = true;
    this.#ticks = 0;
    this.options.onBegin?.();
  }

  ends(): void {
    this.#isWriting = false;
    if (this.#ticks < this.options.ticksMax) this.#recover();
  }

  tick(): void {
    if (!this.#isWriting) {
      this.#recover();
      return;
    }
    const { ticksMax, logger, onChange } = this.options;
    this.#ticks += 1;
    if (this.isStalled) this.#stalledTicks += 1;
    else if (this.#ticks >= ticksMax) {
      this.#stalledTicks = this.#ticks;
      logger.warn('disk_stalled', { ms: this.stalledMs }, 'a write to the disk has not ended in time');
      onChange?.();
    }
  }

  /** Slow writes one right after the other are one stall. */
  #recover(): void {
    if (!this.isStalled) return;
    const { logger, onChange } = this.options;
    logger.info('disk_recovered', { ms: this.stalledMs }, 'the disk writes in time again');
    this.#stalledTicks = 0;
    onChange?.();
  }
}
