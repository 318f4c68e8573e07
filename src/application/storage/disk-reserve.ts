import type { Directory } from '../../domain/log/directory.js';
import { DiskReserveError } from '../../domain/log/errors.js';
import type { Clock } from '../ports/clock.js';

const recheckBytes = 8 * 1024 * 1024;
const recheckMs = 1_000;
/** What a control entry may need: it may begin a segment. */
const controlBytes = 64 * 1024;

export interface DiskShortage {
  readonly freeBytes: number;
  readonly reserveBytes: number;
}

/**
 * Guards against a full disk (docs/guarantees.md, durability rule 5): refuses appends while less than the reserve is free, so
 * that a write of the log never meets ENOSPC, and accepts them again when space returns. A check of the file system is
 * valid for a second; the first append after that waits for the next check. Within the second, admitted bytes count as
 * used, and every 8 MiB another check starts without a wait.
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

  /** `onLookFailed` is called when the file system cannot be checked; the last known figure then stays valid. */
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

  /**
   * Await this before `admitOrThrow`; `undefined` while the last check is valid. Never rejects. A check that hangs is
   * waited for a second; the last known figure then stays valid until it ends.
   */
  refresh(): Promise<void> | undefined {
    return this.#stale ? this.#lookOnce() : undefined;
  }

  /**
   * Whether there may be no space even for a control entry: a write of it would fail, and end the node. So such a node
   * neither campaigns nor accepts one.
   */
  get isExhausted(): boolean {
    void this.refresh();
    return this.#freeBytes < controlBytes;
  }

  /** Returns why an append of so many bytes is refused; undefined: there is space for it. */
  refusalOf(bytes: number): DiskReserveError | undefined {
    const freeBytes = this.#freeBytes - this.#bytesSinceLook;
    return freeBytes - bytes < this.reserveBytes ? new DiskReserveError(freeBytes, this.reserveBytes) : undefined;
  }

  /** Counts `bytes` as used, or throws `DiskReserveError`. */
  admitOrThrow(bytes: number): void {
    if (this.#bytesSinceLook >= recheckBytes) void this.#lookOnce();
    const refusal = this.refusalOf(bytes);
    if (refusal !== undefined) throw refusal;
    this.#bytesSinceLook += bytes;
  }

  /**
   * Counts the bytes of a control entry as used, which may be in the reserve. Throws `DiskReserveError` if there may be no
   * space even for that.
   */
  admitControlOrThrow(bytes: number): void {
    void this.refresh();
    const freeBytes = this.#freeBytes - this.#bytesSinceLook;
    if (freeBytes - bytes < controlBytes) throw new DiskReserveError(freeBytes, this.reserveBytes);
    this.#bytesSinceLook += bytes;
  }

  /**
   * The figures while less than the reserve is free, by the last check; undefined: there is space. Starts another check
   * while there is not, so that asking is enough to notice the end of it.
   */
  get shortage(): DiskShortage | undefined {
    const freeBytes = this.#freeBytes - this.#bytesSinceLook;
    const { reserveBytes } = this;
    if (freeBytes >= reserveBytes) return undefined;
    if (!this.#closed) void this.refresh();
    return { freeBytes, reserveBytes };
  }

  close(): void {
    this.#closed = true;
    this.#cancelTimer?.();
  }

  #lookOnce(): Promise<void> {
    this.#looking ??= new Promise((resolve) => {
      const cancel = this.clock.after(recheckMs, resolve);
      void this.#look().then(() => {
        cancel();
        this.#looking = undefined;
        resolve();
      });
    });
    return this.#looking;
  }

  async #look(): Promise<void> {
    const counted = this.#bytesSinceLook;
    try {
      this.#freeBytes = await this.directory.freeBytes();
      // The append queue bounds what still waits to be written; the default reserve is larger than that bound.
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
