import { OffsetOutOfRangeError } from '../../src/domain/log/errors.js';
import { InvariantError } from './world.js';

/** How far clients were shown the log at each disk, whichever process served them (I7: "restarts included"). */
export class Shown {
  readonly #watermarks = new Map<string, number>();

  /** As of now: what holds for a call that begins now. */
  at({ uuid }: { readonly uuid: string }): number {
    return this.#watermarks.get(uuid) ?? 0;
  }

  /** A call to the process on this disk was answered with this watermark. */
  show(uuid: string, highWatermark: number): void {
    this.#watermarks.set(uuid, Math.max(this.#watermarks.get(uuid) ?? 0, highWatermark));
  }
}

/** Throws where a call was told that the log ends before what was shown there when the call began. */
export function assertNotBack(error: unknown, shown: number, where: string): void {
  if (!(error instanceof OffsetOutOfRangeError) || error.offset < error.logStartOffset || error.offset > shown) return;
  throw new InvariantError('I7', `${where} was read up to ${shown} before, and says: ${error.message}`);
}

/** Throws where a call was answered with a watermark behind what was shown there when the call began. */
export function assertShowsNoLess(highWatermark: number, shown: number, where: string): void {
  if (highWatermark < shown)
    throw new InvariantError('I7', `${where} was read up to ${shown} before, and then ends at ${highWatermark}`);
}
