import type { Directory } from '../domain/log/directory.js';
import { DiskReserveError } from '../domain/log/errors.js';
import type { Clock } from './ports/clock.js';

const recheckBytes = 8 * 1024 * 1024;
const recheckMs = 1_000;

/**
 * Foresees a full disk (storage.md, durability rule 5): appends are refused while less than the reserve is free, so
 * that a write of the log never meets ENOSPC, and are taken again by themselves when space returns. Between two looks
 * at the file system (each second or 8 MiB of appends, whichever is first, and only while appends come) it counts what
 * was admitted as used.
 */
export class DiskReserve {
  #freeBytes = Number.POSITIVE_INFINITY;
  #bytesSinceLook = 0;
  #stale = true;
  #looking = false;
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
    await reserve.#look();
    return reserve;
  }

  /** Counts `bytes` as used, or throws `DiskReserveError`. */
  admitOrThrow(bytes: number): void {
    if ((this.#stale || this.#bytesSinceLook >= recheckBytes) && !this.#looking) void this.#look();
    const freeBytes = this.#freeBytes - this.#bytesSinceLook;
    if (freeBytes - bytes < this.reserveBytes) throw new DiskReserveError(freeBytes, this.reserveBytes);
    this.#bytesSinceLook += bytes;
  }

  close(): void {
    this.#cancelTimer?.();
  }

  async #look(): Promise<void> {
    this.#looking = true;
    const counted = this.#bytesSinceLook;
    try {
      this.#freeBytes = await this.directory.freeBytes();
      // What still waits to be written is bounded by the append queue, which the reserve is larger than.
      this.#bytesSinceLook -= counted;
    } catch (cause) {
      this.onLookFailed(cause);
    }
    this.#looking = false;
    this.#stale = false;
    this.#cancelTimer?.();
    this.#cancelTimer = this.clock.after(recheckMs, () => {
      this.#stale = true;
    });
  }
}
