import type { Directory } from '../../domain/log/directory.js';
import { DiskReserveError } from '../../domain/log/errors.js';
import type { Clock } from '../ports/clock.js';

const recheckBytes = 8 * 1024 * 1024;
const recheckMs = 1_000;

/**
 * Foresees a full disk (docs/guarantees.md, rule 5): appends are refused while less than the reserve is free, so
 * that a write of the log never meets ENOSPC, and are taken again by themselves when space returns. A look at the
 * file system serves for a second; the first append after that waits for the next one. Within the second it counts what
 * was admitted as used, and looks again, without a wait, after 8 MiB.
 */
export class DiskReserve {
  #freeBytes = Number.POSITIVE_INFINITY;
  #bytesSinceLook = 0;
  #stale = true;
  #closed = false;
  #looking: Promise<void> | undefined;
  #cancelTimer: (() => void) | undefined;

  private constructor(
    private readonly directory: Directory,
    private readonly reserveBytes: number,
    private readonly clock: Clock,
    private readonly onLookFailed: (cause: unknown) => void,
  ) {}

  /** `onLookFailed` hears when the file system could not be asked; the last known figure stands then. */
  static async open(
    directory: Directory,
    reserveBytes: number,
    clock: Clock,
    onLookFailed: (cause: unknown) => void,
  ): Promise<DiskReserve> {
    const reserve = new DiskReserve(directory, reserveBytes, clock, onLookFailed);
    await reserve.refresh();
    return reserve;
  }

  /** To be awaited before `admitOrThrow`; `undefined` while the last look still serves. Never rejects. */
  refresh(): Promise<void> | undefined {
    return this.#stale ? this.#lookOnce() : undefined;
  }

  /** Counts `bytes` as used, or throws `DiskReserveError`. */
  admitOrThrow(bytes: number): void {
    if (this.#bytesSinceLook >= recheckBytes) void this.#lookOnce();
    const freeBytes = this.#freeBytes - this.#bytesSinceLook;
    if (freeBytes - bytes < this.reserveBytes) throw new DiskReserveError(freeBytes, this.reserveBytes);
    this.#bytesSinceLook += bytes;
  }

  close(): void {
    this.#closed = true;
    this.#cancelTimer?.();
  }

  #lookOnce(): Promise<void> {
    this.#looking ??= this.#look().finally(() => (this.#looking = undefined));
    return this.#looking;
  }

  async #look(): Promise<void> {
    const counted = this.#bytesSinceLook;
    try {
      this.#freeBytes = await this.directory.freeBytes();
      // What still waits to be written is bounded by the append queue, which the default reserve is larger than.
      this.#bytesSinceLook -= counted;
    } catch (cause) {
      this.onLookFailed(cause);
    }
    this.#stale = false;
    if (this.#closed) return;
    this.#cancelTimer?.();
    this.#cancelTimer = this.clock.after(recheckMs, () => {
      this.#stale = true;
    });
  }
}
