import { OffsetOutOfRangeError } from '../../src/domain/log/errors.js';
import { InvariantError } from './world.js';

/** Tracks how far clients were shown the log at each disk, by any process on it (I7: "restarts included"). */
export class Shown {
  readonly #watermarks = new Map<string, number>();

  /** The current state, for a call that starts now. */
  at({ shownAs }: { readonly shownAs: string }): number {
    return this.#watermarks.get(shownAs) ?? 0;
  }

  /** Records that the process on this disk answered a call with this watermark. */
  show(shownAs: string, highWatermark: number): void {
    this.#watermarks.set(shownAs, Math.max(this.#watermarks.get(shownAs) ?? 0, highWatermark));
  }
}

/** Throws if a call got an error that ends the log before the end shown there when the call started. */
export function assertNotBack(error: unknown, shown: number, where: string): void {
  if (!(error instanceof OffsetOutOfRangeError) || error.offset < error.logStartOffset || error.offset > shown) return;
  throw new InvariantError('I7', `${where} was read up to ${shown} before, and says: ${error.message}`);
}

/** Throws if a call got a watermark lower than the one shown there when the call started. */
export function assertShowsNoLess(highWatermark: number, shown: number, where: string): void {
  if (highWatermark < shown)
    throw new InvariantError('I7', `${where} was read up to ${shown} before, and then ends at ${highWatermark}`);
}
