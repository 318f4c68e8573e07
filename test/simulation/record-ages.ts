import { toEpochMs } from '../../src/domain/log/offsets.js';
import type { Machine } from './machine.js';
import { epochMs } from './simulated-process.js';
import type { StoredEntry } from './stored-entries.js';
import { InvariantError, type World } from './world.js';

/** Clocks are wrong by up to two seconds on both sides without a fault. */
const skewMsMax = 4_100;

/** Knows the true age of every record, and checks what retention by age removes (docs/guarantees.md, I1). */
export class RecordAges {
  /** By index and term: when the entry was first in a log. */
  readonly #appendedMs = new Map<string, number>();
  /** Those that may have the time of one wrong clock. A replica knows nothing else of their age. */
  readonly #maybeWrong = new Set<string>();

  constructor(
    private readonly world: World,
    /** The age above which records are removed; undefined: they are removed by other limits, or not at all. */
    readonly ageMsMax: number | undefined,
    /** Whether every node tells the others its clock: one of an earlier release does not. */
    private readonly allTellClocks: () => boolean,
  ) {}

  appended(entries: readonly Pick<StoredEntry, 'index' | 'term'>[]): void {
    if (this.ageMsMax === undefined) return;
    for (const { index, term } of entries) {
      const key = `${index}@${term}`;
      if (this.#appendedMs.has(key)) continue;
      this.#appendedMs.set(key, this.world.nowMs);
      if (!this.allTellClocks()) this.#maybeWrong.add(key);
    }
  }

  /** Called with what retention has removed from the log of a machine. */
  removed({ name, isReplica }: Pick<Machine, 'name' | 'isReplica'>, entries: readonly StoredEntry[]): void {
    if (this.ageMsMax === undefined || entries.length === 0) return;
    this.world.mark('records removed by age');
    for (const { index, term, recordCount } of entries) {
      const key = `${index}@${term}`;
      if (isReplica && this.#maybeWrong.has(key)) continue;
      const ageMs = this.world.nowMs - (this.#appendedMs.get(key) ?? 0);
      if (recordCount > 0 && ageMs < this.ageMsMax - skewMsMax)
        this.world.fail(new InvariantError('I1', `${name} removes entry ${index}, which is ${ageMs} ms old, by age`));
    }
  }

  /** Returns what a machine still stores, after a time without appends, although it is too old; undefined: nothing. */
  left({ name, log }: Machine): string | undefined {
    if (log === undefined) return `${name} has not opened its log`;
    const now = toEpochMs(epochMs + Math.floor(this.world.nowMs));
    if (log.lastTimeMs > now) {
      this.world.mark('append times are ahead in the end');
      return undefined;
    }
    return log.segments > 1 ? `${name} still has ${log.segments} segments` : undefined;
  }
}
