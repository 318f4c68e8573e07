import type { SwimMember } from './member-list.js';
import { memberTags } from './member-tags.js';
import type { JoinIntent, LamportTime, LeaveIntent } from './message.js';
import type { Member, MemberStatus } from './output.js';
import { RecentIntents } from './recent-intents.js';
import type { MembershipWire } from './wire.js';

const recentIntentMs = 5 * 60_000;
/** A member that is still alive this long after its leave intent does not leave; leaving takes at most 11 s. */
const leavingMs = 60_000;
/** The time for which a failed member is reconnected to, and a member that left is remembered. */
const forgetAfterMs = 24 * 60 * 60_000;

export type MemberEvent = 'join' | 'leave' | 'failed' | 'update' | 'reap';

interface Entry extends Member {
  address: Member['address'];
  tags: Member['tags'];
  versions: Member['versions'];
  status: MemberStatus;
  /** The Lamport time of the last intent. */
  statusLTime: LamportTime;
  /**
   * True if only the time of the last intent is known, so that a leave intent with the same time may be that intent.
   */
  intentUnknown: boolean;
  /** The time since which it is leaving, left or failed. */
  since: number;
  /** True if it must be forgotten as soon as it has left. */
  prune: boolean;
}

interface RosterOptions {
  readonly wire: MembershipWire;
  readonly lengthMax: number;
  readonly onEvent: (event: MemberEvent, member: Member) => void;
}

/**
 * Serf's view of the members: SWIM reports which members are alive or dead; the intents decide whether a dead member
 * left or failed.
 *
 * ```
 *            leave intent            dead                          24 h
 *   alive ──────────────────> leaving ──────> left ────────────────────────> forgotten
 *     │  <──────────────────                   ^                                ^
 *     │      join intent         leave intent  │                                │
 *     └───────────────────────────> failed ────┴────────────────────────────────┘
 *                  dead
 * ```
 * A member that SWIM reports alive again is alive.
 */
export class Roster {
  readonly #entries = new Map<string, Entry>();
  readonly #intents = new RecentIntents();
  readonly #options: RosterOptions;

  constructor(options: RosterOptions) {
    this.#options = options;
  }

  get(name: string): Member | undefined {
    return this.#entries.get(name);
  }

  /** Returns a snapshot of the members, by ascending name. */
  members(): Member[] {
    return [...this.#entries.values()].map(publicView).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Returns the Lamport time of the last intent about `name`. */
  statusLTimeOf(name: string): LamportTime {
    return this.#entries.get(name)?.statusLTime ?? 0;
  }

  get failed(): Member[] {
    return [...this.#entries.values()].filter(({ status }) => status === 'failed');
  }

  get left(): string[] {
    return [...this.#entries.values()].filter(({ status }) => status === 'left').map(({ name }) => name);
  }

  get aliveCount(): number {
    let count = 0;
    for (const { status } of this.#entries.values()) if (status === 'alive') count += 1;
    return count;
  }

  statusLTimes(): Map<string, LamportTime> {
    return new Map([...this.#entries].map(([name, { statusLTime }]) => [name, statusLTime]));
  }

  /** Handles a member that SWIM reports new or alive again. */
  joined(member: SwimMember, now: number): void {
    const known = this.#entries.get(member.name);
    if (known === undefined) {
      this.#evictIfFull();
      const intent = this.#intents.get(member.name);
      this.#entries.set(member.name, {
        ...this.#seen(member),
        name: member.name,
        status: intent?.type === 'leave' ? 'leaving' : 'alive',
        statusLTime: intent?.lTime ?? 0,
        intentUnknown: false,
        since: now,
        prune: false,
      });
    } else {
      Object.assign(known, this.#seen(member), { status: 'alive', prune: false });
    }
    this.#notify('join', member.name);
  }

  /** Handles a member that SWIM reports dead or left. */
  departed(name: string, now: number): void {
    const entry = this.#entries.get(name);
    if (entry === undefined || (entry.status !== 'leaving' && entry.status !== 'alive')) return;
    entry.status = entry.status === 'leaving' ? 'left' : 'failed';
    entry.since = now;
    this.#notify(entry.status === 'left' ? 'leave' : 'failed', name);
    if (entry.status === 'left' && entry.prune) this.#forget(entry);
  }

  updated(member: SwimMember): void {
    const entry = this.#entries.get(member.name);
    if (entry === undefined) return;
    Object.assign(entry, this.#seen(member));
    this.#notify('update', member.name);
  }

  /** Applies a leave intent; returns true if it is new. */
  leaveIntent({ node, lTime, prune }: LeaveIntent, now: number): boolean {
    const entry = this.#entries.get(node);
    if (entry === undefined) return this.#intents.note('leave', node, lTime, now);
    if (lTime < entry.statusLTime || (lTime === entry.statusLTime && !entry.intentUnknown)) return false;
    entry.statusLTime = lTime;
    entry.intentUnknown = false;
    entry.prune ||= prune;
    if (entry.status === 'alive') {
      entry.status = 'leaving';
      entry.since = now;
    }
    if (entry.status === 'failed') {
      entry.status = 'left';
      this.#notify('leave', node);
    }
    if (entry.status === 'left' && entry.prune) this.#forget(entry);
    return true;
  }

  /**
   * Applies a join intent; returns true if it is new. `intentUnknown` means that only the time of the intent is known,
   * and that the member had not left according to the sender. It may be leaving, so a leave intent with that time is
   * still new.
   */
  joinIntent({ node, lTime }: JoinIntent, now: number, intentUnknown = false): boolean {
    const entry = this.#entries.get(node);
    if (entry === undefined) return this.#intents.note('join', node, lTime, now);
    if (lTime <= entry.statusLTime) return false;
    entry.statusLTime = lTime;
    entry.intentUnknown = intentUnknown;
    if (entry.status === 'leaving') {
      entry.status = 'alive';
      entry.prune = false;
    }
    return true;
  }

  /**
   * Forgets members that left or failed a day ago and old intents of unknown members, and reverts leaves that did not
   * happen.
   */
  reap(now: number): void {
    this.#intents.forgetBefore(now - recentIntentMs);
    for (const entry of this.#entries.values()) {
      if (entry.status === 'leaving' && now - entry.since > leavingMs) entry.status = 'alive';
      if (isDeparted(entry) && now - entry.since > forgetAfterMs) this.#forget(entry);
    }
  }

  /**
   * Forgets the longest departed member if the roster is full. SWIM has the same limit, so a departed member exists.
   */
  #evictIfFull(): void {
    if (this.#entries.size < this.#options.lengthMax) return;
    let longest: Entry | undefined;
    for (const entry of this.#entries.values()) {
      if (isDeparted(entry) && (longest === undefined || entry.since < longest.since)) longest = entry;
    }
    if (longest !== undefined) this.#forget(longest);
  }

  #forget(entry: Entry): void {
    this.#entries.delete(entry.name);
    this.#options.onEvent('reap', publicView(entry));
  }

  #notify(event: MemberEvent, name: string): void {
    const entry = this.#entries.get(name);
    if (entry !== undefined) this.#options.onEvent(event, publicView(entry));
  }

  #seen({ address, versions, meta }: SwimMember): Pick<Member, 'address' | 'versions' | 'tags'> {
    return { address, versions, tags: memberTags(this.#options.wire, meta) };
  }
}

function isDeparted({ status }: Entry): boolean {
  return status === 'failed' || status === 'left';
}

function publicView({ name, address, tags, status, versions }: Entry): Member {
  return { name, address, tags, status, versions };
}
