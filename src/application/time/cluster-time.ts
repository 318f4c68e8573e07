import { type EpochMs, toEpochMs } from '../../domain/log/offsets.js';
import { majoritySize } from '../../domain/raft/quorum.js';
import type { Clock, MonotonicMs } from '../ports/clock.js';

/** A member's clock counts for this long after it was heard. */
export const heardForMs = 60_000;

interface HeardClock {
  /** When it was heard. */
  readonly at: MonotonicMs;
  /** The member's wall clock minus this node's monotonic clock. */
  readonly aheadMs: number;
  /** Whether the member told it itself, and not a leader on its behalf. */
  readonly isOwn: boolean;
}

/** The voters of a group, as far as a node needs them to tell the time. */
export interface TimeGroup {
  /** The Raft id of this node. */
  readonly id: number;
  /** The Raft ids of the voters. */
  readonly voters: () => readonly number[];
}

/**
 * Tells the time from several clocks, of which some may be wrong: the wall clock of this node; that clock when the
 * process started, plus the monotonic time since; and those of the voters, which travel with heartbeats.
 */
export class ClusterTime {
  readonly #heard = new Map<number, HeardClock>();

  /** @param group undefined: a node that hears no members, such as a replica */
  constructor(
    private readonly clock: Clock,
    private readonly group?: TimeGroup,
  ) {}

  /** Notes a member's wall clock; `isOwn` is false if a leader forwarded it. */
  heard(id: number, wallClockMs: number, isOwn: boolean): void {
    const at = this.clock.now();
    const before = this.#heard.get(id);
    if (!isOwn && before?.isOwn === true && this.#isFresh(before)) return;
    this.#heard.set(id, { at, aheadMs: wallClockMs - at, isOwn });
  }

  /** Returns the wall clock of a member to forward: of this node itself, or of one that has sent it recently. */
  toForward(id: number): EpochMs | undefined {
    if (id === this.group?.id) return this.clock.wallClockMs();
    const heard = this.#heard.get(id);
    return heard?.isOwn === true && this.#isFresh(heard) ? this.#now(heard) : undefined;
  }

  /**
   * Returns the time by which retention decides what is too old: the least of the three clocks. Undefined if the group
   * has several voters and a majority of their clocks was not heard in the last minute.
   */
  retentionClock(): EpochMs | undefined {
    const members = this.#members();
    if (members === undefined) return undefined;
    return leastOf(this.clock.wallClockMs(), this.clock.steadyClockMs(), lowerMedian(members));
  }

  /**
   * Returns the time that a leader gives to appends: the median of the voters' clocks, and its own wall clock while it
   * does not know a majority of them. Of two in the middle the later one counts: what seems younger than it is stays a
   * little longer, what seems older is lost.
   */
  appendClock(): EpochMs {
    const members = this.#members();
    return members === undefined ? this.clock.wallClockMs() : upperMedian(members);
  }

  /** Returns by how much this node's wall clock is ahead of the retention clock's other two; negative: behind. */
  wallClockAheadMs(): number {
    const wallClockMs = this.clock.wallClockMs();
    const members = this.#members();
    const others = [this.clock.steadyClockMs(), ...(members === undefined ? [] : [lowerMedian(members)])];
    const differences = others.map((other) => wallClockMs - other);
    return differences.reduce((most, each) => (Math.abs(each) > Math.abs(most) ? each : most));
  }

  /** Returns the clocks of the voters and of this node; undefined if they are fewer than a majority. */
  #members(): readonly EpochMs[] | undefined {
    const { clock, group } = this;
    const voters = group?.voters() ?? [];
    const others = voters.filter((id) => id !== group?.id).map((id) => this.#heard.get(id));
    const fresh = others.filter((heard) => heard !== undefined && this.#isFresh(heard)) as readonly HeardClock[];
    const clocks = [clock.wallClockMs(), ...fresh.map((heard) => this.#now(heard))];
    const isVoter = others.length < voters.length;
    const heardVoters = fresh.length + (isVoter ? 1 : 0);
    return voters.length > 0 && heardVoters < majoritySize(voters.length) ? undefined : clocks;
  }

  #isFresh({ at }: HeardClock): boolean {
    return this.clock.now() - at <= heardForMs;
  }

  #now({ aheadMs }: HeardClock): EpochMs {
    return toEpochMs(Math.min(Math.max(0, this.clock.now() + aheadMs), Number.MAX_SAFE_INTEGER));
  }
}

function leastOf(...times: readonly EpochMs[]): EpochMs {
  return times.reduce((least, each) => (each < least ? each : least));
}

/** Returns the median; of two in the middle the earlier one. There is at least one time. */
export function lowerMedian(times: readonly EpochMs[]): EpochMs {
  return inOrder(times)[(times.length - 1) >> 1];
}

/** Returns the median; of two in the middle the later one. There is at least one time. */
export function upperMedian(times: readonly EpochMs[]): EpochMs {
  return inOrder(times)[times.length >> 1];
}

const inOrder = (times: readonly EpochMs[]): EpochMs[] => [...times].sort((a, b) => a - b);
