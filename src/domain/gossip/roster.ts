import type { SwimMember } from './member-list.js';
import { memberTags } from './member-tags.js';
import type { JoinIntent, LamportTime, LeaveIntent } from './message.js';
import type { Member, MemberStatus } from './output.js';
import { RecentIntents } from './recent-intents.js';
import type { MembershipWire } from './wire.js';

const recentIntentMs = 5 * 60_000;
/** Who still lives so long after its leave intent does not leave; to leave takes 11 s at most. */
const leavingMs = 60_000;
/** How long a failed member is sought, and one that left is remembered. */
const forgetAfterMs = 24 * 60 * 60_000;

export type MemberEvent = 'join' | 'leave' | 'failed' | 'update' | 'reap';

interface Entry extends Member {
  address: Member['address'];
  tags: Member['tags'];
  versions: Member['versions'];
  status: MemberStatus;
  /** The Lamport time of the last intent. */
  statusLTime: LamportTime;
  /** Which intent that was is not known: a leave of the same time may be it. */
  byHearsay: boolean;
  /** Since when it is leaving, left or failed. */
  since: number;
  /** To be forgotten as soon as it left. */
  prune: boolean;
}

interface RosterOptions {
  readonly wire: MembershipWire;
  readonly lengthMax: number;
  readonly onEvent: (event: MemberEvent, member: Member) => void;
}

/**
 * The members as Serf tells them: what SWIM finds out, and by the intents whether who is gone left or failed.
 *
 * ```
 *            leave intent            dead                          24 h
 *   alive ──────────────────> leaving ──────> left ────────────────────────> forgotten
 *     │  <──────────────────                   ^                                ^
 *     │      join intent         leave intent  │                                │
 *     └───────────────────────────> failed ────┴────────────────────────────────┘
 *                  dead
 * ```
 * Whoever is alive again for SWIM is alive.
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

  /** By name, ascending; as they are now. */
  members(): Member[] {
    return [...this.#entries.values()].map(publicView).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Of the last intent about `name`. */
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

  /** SWIM found it, or found it again. */
  joined(member: SwimMember, now: number): void {
    const known = this.#entries.get(member.name);
    if (known === undefined) {
      this.#makeRoom();
      const intent = this.#intents.get(member.name);
      this.#entries.set(member.name, {
        ...this.#seen(member),
        name: member.name,
        status: intent?.type === 'leave' ? 'leaving' : 'alive',
        statusLTime: intent?.lTime ?? 0,
        byHearsay: false,
        since: now,
        prune: false,
      });
    } else {
      Object.assign(known, this.#seen(member), { status: 'alive', prune: false });
    }
    this.#tell('join', member.name);
  }

  /** SWIM holds it for dead, or it left. */
  gone(name: string, now: number): void {
    const entry = this.#entries.get(name);
    if (entry === undefined || (entry.status !== 'leaving' && entry.status !== 'alive')) return;
    entry.status = entry.status === 'leaving' ? 'left' : 'failed';
    entry.since = now;
    this.#tell(entry.status === 'left' ? 'leave' : 'failed', name);
    if (entry.status === 'left' && entry.prune) this.#forget(entry);
  }

  updated(member: SwimMember): void {
    const entry = this.#entries.get(member.name);
    if (entry === undefined) return;
    Object.assign(entry, this.#seen(member));
    this.#tell('update', member.name);
  }

  /** Whether the intent is news. */
  leaveIntent({ node, lTime, prune }: LeaveIntent, now: number): boolean {
    const entry = this.#entries.get(node);
    if (entry === undefined) return this.#intents.note('leave', node, lTime, now);
    if (lTime < entry.statusLTime || (lTime === entry.statusLTime && !entry.byHearsay)) return false;
    entry.statusLTime = lTime;
    entry.byHearsay = false;
    entry.prune ||= prune;
    if (entry.status === 'alive') {
      entry.status = 'leaving';
      entry.since = now;
    }
    if (entry.status === 'failed') {
      entry.status = 'left';
      this.#tell('leave', node);
    }
    if (entry.status === 'left' && entry.prune) this.#forget(entry);
    return true;
  }

  /**
   * Whether the intent is news. `byHearsay`: all that is known is the time of an intent, and that the member had not left
   * where it is told. It may be on its way: its leave is news still.
   */
  joinIntent({ node, lTime }: JoinIntent, now: number, byHearsay = false): boolean {
    const entry = this.#entries.get(node);
    if (entry === undefined) return this.#intents.note('join', node, lTime, now);
    if (lTime <= entry.statusLTime) return false;
    entry.statusLTime = lTime;
    entry.byHearsay = byHearsay;
    if (entry.status === 'leaving') {
      entry.status = 'alive';
      entry.prune = false;
    }
    return true;
  }

  /** Forgets who is gone for a day, intents that nobody came for, and leaves that did not come true. */
  reap(now: number): void {
    this.#intents.forgetBefore(now - recentIntentMs);
    for (const entry of this.#entries.values()) {
      if (entry.status === 'leaving' && now - entry.since > leavingMs) entry.status = 'alive';
      if (hasGone(entry) && now - entry.since > forgetAfterMs) this.#forget(entry);
    }
  }

  /** SWIM has room for as many as there may be here, so one of these is gone. */
  #makeRoom(): void {
    if (this.#entries.size < this.#options.lengthMax) return;
    let longest: Entry | undefined;
    for (const entry of this.#entries.values()) {
      if (hasGone(entry) && (longest === undefined || entry.since < longest.since)) longest = entry;
    }
    if (longest !== undefined) this.#forget(longest);
  }

  #forget(entry: Entry): void {
    this.#entries.delete(entry.name);
    this.#options.onEvent('reap', publicView(entry));
  }

  #tell(event: MemberEvent, name: string): void {
    const entry = this.#entries.get(name);
    if (entry !== undefined) this.#options.onEvent(event, publicView(entry));
  }

  #seen({ address, versions, meta }: SwimMember): Pick<Member, 'address' | 'versions' | 'tags'> {
    return { address, versions, tags: memberTags(this.#options.wire, meta) };
  }
}

function hasGone({ status }: Entry): boolean {
  return status === 'failed' || status === 'left';
}

function publicView({ name, address, tags, status, versions }: Entry): Member {
  return { name, address, tags, status, versions };
}
