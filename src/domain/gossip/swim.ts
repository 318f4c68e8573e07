import { Awareness } from './awareness.js';
import type { BroadcastQueue } from './broadcast-queue.js';
import { accusedIncarnation, aliveIncarnation, refutingIncarnation } from './incarnation.js';
import { isGone, sameAddress, type MemberList, type SwimMember } from './member-list.js';
import type { Alive, Dead, GossipAddress, ProtocolVersions, PushPullMember, Suspect, SwimMessage } from './message.js';
import { Suspicion } from './suspicion.js';
import { suspicionMinMs, type GossipTiming } from './timing.js';
import type { MembershipWire } from './wire.js';

const metaBytesMax = 512;
const nameLengthMax = 256;

/** Who is told what SWIM finds out. */
export interface SwimListener {
  /** New, or back from the dead. */
  memberJoined(member: SwimMember, now: number): void;
  /** Dead, or left: see its state. */
  memberLeft(member: SwimMember, now: number): void;
  /** Its meta changed. */
  memberUpdated(member: SwimMember): void;
  /** `other` claims the name of `existing`, which keeps it. */
  nameClaimed(existing: SwimMember, other: GossipAddress): void;
}

interface SwimOptions {
  readonly members: MemberList;
  /** Where its news go. */
  readonly broadcasts: BroadcastQueue;
  readonly name: string;
  readonly address: GossipAddress;
  readonly meta: Uint8Array;
  readonly versions: ProtocolVersions;
  readonly timing: GossipTiming;
  readonly wire: Pick<MembershipWire, 'encodeSwim'>;
  readonly listener: SwimListener;
  /** Sends one member a message, by itself. */
  readonly tell: (to: GossipAddress, message: SwimMessage) => void;
  /** Whether a member may be in the group of this node. */
  readonly accepts: (name: string, meta: Uint8Array) => boolean;
}

/**
 * Who is alive, suspect, dead or left (SWIM §4.2), as memberlist 0.2.2 decides it. A member's incarnation grows by its own
 * word alone; among claims of one incarnation, dead beats suspect beats alive.
 */
export class Swim {
  readonly members: MemberList;
  readonly awareness: Awareness;
  readonly me: SwimMember;
  readonly #timing: GossipTiming;
  readonly #wire: SwimOptions['wire'];
  readonly #listener: SwimListener;
  readonly #tell: SwimOptions['tell'];
  readonly #broadcasts: BroadcastQueue;
  readonly #accepts: SwimOptions['accepts'];
  readonly #suspicions = new Map<string, Suspicion>();
  #leaving = false;

  constructor(options: SwimOptions) {
    const { members, broadcasts, name, address, meta, versions, timing, wire, listener } = options;
    this.#accepts = options.accepts;
    this.members = members;
    this.#broadcasts = broadcasts;
    this.awareness = new Awareness(timing.awarenessMax);
    this.#timing = timing;
    this.#wire = wire;
    this.#listener = listener;
    this.#tell = options.tell;
    this.me = { name, address, meta, versions, incarnation: 0, state: 'dead', stateChangedAt: 0 };
    this.members.add(this.me);
  }

  /** This node itself becomes alive, and tells it. */
  start(now: number): void {
    this.me.incarnation = 1;
    this.me.state = 'alive';
    this.me.stateChangedAt = now;
    this.#broadcast(aliveOf(this.me));
    this.#listener.memberJoined(this.me, now);
  }

  /** When the next suspicion runs out, or is told to the suspect. */
  get nextTickAt(): number {
    let next = Infinity;
    for (const { deadline, remindAt } of this.#suspicions.values()) next = Math.min(next, deadline, remindAt);
    return next;
  }

  /** Suspects that did not refute in time are dead; those that have time left are told again, as is not in memberlist. */
  tick(now: number): void {
    for (const [name, suspicion] of this.#suspicions) {
      const member = this.members.get(name);
      if (suspicion.deadline <= now) {
        this.#suspicions.delete(name);
        if (member?.state === 'suspect') this.#die(member, member.incarnation, this.me.name, now);
      } else if (suspicion.remindAt <= now) {
        suspicion.reminded(now);
        if (member !== undefined) this.#tell(member.address, this.#suspicionOf(member));
      }
    }
  }

  /** Whether a member, by its name and meta, must not come into this group. */
  isForeign(name: string, meta: Uint8Array): boolean {
    const known = this.members.get(name);
    return (known === undefined || !sameBytes(known.meta, meta)) && known !== this.me && !this.#accepts(name, meta);
  }

  /** A member is said to be alive. */
  alive(message: Alive, now: number): void {
    const { node, address, meta, versions } = message;
    if (node === this.me.name && this.#leaving) return;
    if (node === '' || node.length > nameLengthMax || meta.length > metaBytesMax || address.port === 0) return;
    if (!understandEachOther(versions, this.me.versions)) return;
    if (this.isForeign(node, meta)) return;
    const known = this.members.get(node);
    const incarnation = aliveIncarnation(message.incarnation, known?.incarnation);
    if (known === undefined) {
      const member: SwimMember = {
        name: node,
        address,
        meta,
        versions,
        incarnation,
        state: 'dead',
        stateChangedAt: now,
      };
      if (this.members.add(member)) this.#live(member, { ...message, incarnation }, now);
      return;
    }
    const moves = !sameAddress(known.address, address);
    if (moves && !isGone(known)) {
      this.#listener.nameClaimed(known, address);
      return;
    }
    if (known === this.me) this.#hearOfMe({ ...message, incarnation });
    else if (incarnation > known.incarnation || (moves && known.state === 'left'))
      this.#live(known, { ...message, incarnation }, now);
  }

  /** A member is said not to answer; by a packet from `sender`, where it came by one. */
  suspect(message: Suspect, now: number, sender?: GossipAddress): void {
    const member = this.members.get(message.node);
    if (member === undefined || this.#isOutdated(message, member, sender)) return;
    const incarnation = accusedIncarnation(message.incarnation, member.incarnation);
    if (incarnation < member.incarnation) return;
    const suspicion = this.#suspicions.get(message.node);
    if (suspicion !== undefined) {
      // Who is no member confirms nothing: names are invented for free.
      if (this.members.get(message.from) !== undefined && suspicion.confirm(message.from)) {
        this.#broadcast({ ...message, incarnation });
      }
      return;
    }
    if (member.state !== 'alive') return;
    if (member === this.me) {
      this.#refute(incarnation);
      return;
    }
    this.#broadcast({ ...message, incarnation });
    member.incarnation = incarnation;
    member.state = 'suspect';
    member.stateChangedAt = now;
    this.#suspicions.set(member.name, this.#newSuspicion(message.from, now));
  }

  /** A member is said to be dead, or says itself that it leaves; `sender` as above. */
  dead(message: Dead, now: number, sender?: GossipAddress): void {
    const member = this.members.get(message.node);
    if (member === undefined || this.#isOutdated(message, member, sender)) return;
    const incarnation = accusedIncarnation(message.incarnation, member.incarnation);
    if (incarnation < member.incarnation || isGone(member)) return;
    if (member === this.me) {
      if (!this.#leaving) this.#refute(incarnation);
      return;
    }
    this.#die(member, incarnation, message.from, now);
  }

  /** Takes in what the other side of a push/pull knows. The dead are only suspected: this side may know better. */
  merge(remote: readonly PushPullMember[], now: number): void {
    for (const { name: node, address, meta, incarnation, state, versions } of remote) {
      if (state === 'alive') this.alive({ type: 'alive', incarnation, node, address, meta, versions }, now);
      else if (state === 'left') this.dead({ type: 'dead', incarnation, node, from: node }, now);
      else this.suspect({ type: 'suspect', incarnation, node, from: this.me.name }, now);
    }
  }

  /** Tells the others a new meta of this node. */
  update(meta: Uint8Array): void {
    this.me.incarnation = refutingIncarnation(this.me.incarnation, 0);
    this.me.meta = meta;
    this.#broadcast(aliveOf(this.me));
    this.#listener.memberUpdated(this.me);
  }

  /** Says goodbye. `onTold`: it was sent as often as it is to be. */
  leave(now: number, onTold: () => void): void {
    this.#leaving = true;
    this.#die(this.me, this.me.incarnation, this.me.name, now, onTold);
  }

  /** Whether another member lives, as far as is known. */
  get hasOthers(): boolean {
    for (const member of this.members) if (member !== this.me && !isGone(member)) return true;
    return false;
  }

  #hearOfMe({ incarnation, meta, versions }: Alive): void {
    if (incarnation < this.me.incarnation) return;
    // After a restart the others may remember an older life of this node by the same incarnation.
    const same = sameBytes(meta, this.me.meta) && sameVersions(versions, this.me.versions);
    if (incarnation === this.me.incarnation && same) return;
    this.#refute(incarnation);
  }

  /**
   * Whether the accused has refuted it since. What is told to everybody reaches nearly everybody: one in some ten thousand
   * refutations misses a member, and that one would bury the accused. So this node, accused, tells the sender by itself.
   */
  #isOutdated({ incarnation }: Suspect | Dead, member: SwimMember, sender: GossipAddress | undefined): boolean {
    if (incarnation >= member.incarnation) return false;
    if (member === this.me && !this.#leaving && sender !== undefined && this.members.hasAddress(sender))
      this.#tell(sender, aliveOf(this.me));
    return true;
  }

  #refute(accused: number): void {
    this.me.incarnation = refutingIncarnation(this.me.incarnation, accused);
    this.awareness.apply(1);
    this.#broadcast(aliveOf(this.me));
  }

  #live(member: SwimMember, message: Alive, now: number): void {
    const wasGone = isGone(member);
    const updated = !sameBytes(member.meta, message.meta);
    this.#suspicions.delete(member.name);
    this.#broadcast(message);
    this.members.move(member, message.address);
    member.meta = message.meta;
    member.versions = message.versions;
    member.incarnation = message.incarnation;
    if (member.state !== 'alive') {
      member.state = 'alive';
      member.stateChangedAt = now;
    }
    if (wasGone) this.#listener.memberJoined(member, now);
    else if (updated) this.#listener.memberUpdated(member);
  }

  #die(member: SwimMember, incarnation: number, from: string, now: number, onTold?: () => void): void {
    this.#suspicions.delete(member.name);
    this.#broadcast({ type: 'dead', incarnation, node: member.name, from }, onTold);
    member.incarnation = incarnation;
    member.state = from === member.name ? 'left' : 'dead';
    member.stateChangedAt = now;
    this.#listener.memberLeft(member, now);
  }

  #newSuspicion(accuser: string, now: number): Suspicion {
    const count = this.members.length;
    // Two short of the multiplier, so that the shortest time is reached in time; none where too few could confirm.
    const expected = this.#timing.suspicionMult - 2;
    const minMs = suspicionMinMs(this.#timing, count);
    const maxMs = this.#timing.suspicionMaxTimeoutMult * minMs;
    return new Suspicion(accuser, count - 2 < expected ? 0 : expected, minMs, maxMs, now);
  }

  #suspicionOf({ incarnation, name }: SwimMember): Suspect {
    return { type: 'suspect', incarnation, node: name, from: this.me.name };
  }

  #broadcast(message: Extract<SwimMessage, { node: string }>, onTold?: () => void): void {
    this.#broadcasts.queue(this.#wire.encodeSwim(message), message.node, onTold);
  }
}

function aliveOf({ name, address, meta, versions, incarnation }: SwimMember): Alive {
  return { type: 'alive', incarnation, node: name, address, meta, versions };
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a === b || (a.length === b.length && a.every((byte, index) => byte === b[index]));
}

/**
 * Otherwise it could not have joined, and is made up: it would, once in the list, have every push/pull refused.
 * A version of 0 is none.
 */
function understandEachOther(a: ProtocolVersions, b: ProtocolVersions): boolean {
  return a.protocolMin > 0 && understands(a, b) && understands(b, a);
}

function understands(a: ProtocolVersions, b: ProtocolVersions): boolean {
  return (
    a.protocolMin <= b.protocol &&
    b.protocol <= a.protocolMax &&
    a.delegateMin <= b.delegate &&
    b.delegate <= a.delegateMax
  );
}

function sameVersions(a: ProtocolVersions, b: ProtocolVersions): boolean {
  return (
    a.protocolMin === b.protocolMin &&
    a.protocolMax === b.protocolMax &&
    a.protocol === b.protocol &&
    a.delegateMin === b.delegateMin &&
    a.delegateMax === b.delegateMax &&
    a.delegate === b.delegate
  );
}
