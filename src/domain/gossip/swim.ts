import { Awareness } from './awareness.js';
import type { BroadcastQueue } from './broadcast-queue.js';
import { accusedIncarnation, aliveIncarnation, refutingIncarnation } from './incarnation.js';
import { isDeadOrLeft, sameAddress, type MemberList, type SwimMember } from './member-list.js';
import type { Alive, Dead, GossipAddress, ProtocolVersions, PushPullMember, Suspect, SwimMessage } from './message.js';
import { Suspicion } from './suspicion.js';
import { suspicionMinMs, type GossipTiming } from './timing.js';
import type { MembershipWire } from './wire.js';

const metaBytesMax = 512;
const nameLengthMax = 256;

/** Receives SWIM's membership changes. */
export interface SwimListener {
  /** The member is new or alive again. */
  memberJoined(member: SwimMember, now: number): void;
  /** The member is dead or left, according to its state. */
  memberLeft(member: SwimMember, now: number): void;
  /** The member's meta changed. */
  memberUpdated(member: SwimMember): void;
  /** `other` claims the name of `existing`, which keeps it. */
  nameClaimed(existing: SwimMember, other: GossipAddress): void;
}

interface SwimOptions {
  readonly members: MemberList;
  /** The queue for membership messages. */
  readonly broadcasts: BroadcastQueue;
  readonly name: string;
  readonly address: GossipAddress;
  readonly meta: Uint8Array;
  readonly versions: ProtocolVersions;
  readonly timing: GossipTiming;
  readonly wire: Pick<MembershipWire, 'encodeSwim'>;
  readonly listener: SwimListener;
  /** Sends a message without gossip to one member. */
  readonly sendTo: (to: GossipAddress, message: SwimMessage) => void;
  /** Returns true if a member may be in this node's group. */
  readonly accepts: (name: string, meta: Uint8Array) => boolean;
}

/**
 * Decides which members are alive, suspect, dead or left (SWIM §4.2), as memberlist 0.2.2 does. Only a member itself
 * increases its incarnation; among claims with the same incarnation, dead overrides suspect overrides alive.
 */
export class Swim {
  readonly members: MemberList;
  readonly awareness: Awareness;
  readonly me: SwimMember;
  readonly #timing: GossipTiming;
  readonly #wire: SwimOptions['wire'];
  readonly #listener: SwimListener;
  readonly #sendTo: SwimOptions['sendTo'];
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
    this.#sendTo = options.sendTo;
    this.me = { name, address, meta, versions, incarnation: 0, state: 'dead', stateChangedAt: 0 };
    this.members.add(this.me);
  }

  /** Makes this node alive and announces it. */
  start(now: number): void {
    this.me.incarnation = 1;
    this.me.state = 'alive';
    this.me.stateChangedAt = now;
    this.#broadcast(aliveOf(this.me));
    this.#listener.memberJoined(this.me, now);
  }

  /** The time at which the next suspicion times out or its suspect is reminded. */
  get nextTickAt(): number {
    let next = Infinity;
    for (const { deadline, remindAt } of this.#suspicions.values()) next = Math.min(next, deadline, remindAt);
    return next;
  }

  /** Declares suspects dead that did not refute in time; reminds the others, which memberlist does not do. */
  tick(now: number): void {
    for (const [name, suspicion] of this.#suspicions) {
      const member = this.members.get(name);
      if (suspicion.deadline <= now) {
        this.#suspicions.delete(name);
        if (member?.state === 'suspect') this.#markDead(member, member.incarnation, this.me.name, now);
      } else if (suspicion.remindAt <= now) {
        suspicion.reminded(now);
        if (member !== undefined) this.#sendTo(member.address, this.#suspicionOf(member));
      }
    }
  }

  /** Returns true if a member with this name and meta must not join this group. */
  isForeign(name: string, meta: Uint8Array): boolean {
    const known = this.members.get(name);
    return (known === undefined || !sameBytes(known.meta, meta)) && known !== this.me && !this.#accepts(name, meta);
  }

  /** Handles an alive message. */
  alive(message: Alive, now: number): void {
    const { node, address, meta, versions } = message;
    if (node === this.me.name && this.#leaving) return;
    if (node === '' || node.length > nameLengthMax || meta.length > metaBytesMax || address.port === 0) return;
    if (!areCompatible(versions, this.me.versions)) return;
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
      if (this.members.add(member)) this.#markAlive(member, { ...message, incarnation }, now);
      return;
    }
    const moves = !sameAddress(known.address, address);
    if (moves && !isDeadOrLeft(known)) {
      this.#listener.nameClaimed(known, address);
      return;
    }
    if (known === this.me) this.#receiveOwnAlive({ ...message, incarnation });
    else if (incarnation > known.incarnation || (moves && known.state === 'left'))
      this.#markAlive(known, { ...message, incarnation }, now);
  }

  /** Handles a suspect message; `sender` is the sender of its packet, if any. */
  suspect(message: Suspect, now: number, sender?: GossipAddress): void {
    const member = this.members.get(message.node);
    if (member === undefined || this.#isOutdated(message, member, sender)) return;
    const incarnation = accusedIncarnation(message.incarnation, member.incarnation);
    if (incarnation < member.incarnation) return;
    const suspicion = this.#suspicions.get(message.node);
    if (suspicion !== undefined) {
      // Only members can confirm: names can be invented.
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

  /** Handles a dead message, which is a leave if it is from the member itself; `sender` as in `suspect`. */
  dead(message: Dead, now: number, sender?: GossipAddress): void {
    const member = this.members.get(message.node);
    if (member === undefined || this.#isOutdated(message, member, sender)) return;
    const incarnation = accusedIncarnation(message.incarnation, member.incarnation);
    if (incarnation < member.incarnation || isDeadOrLeft(member)) return;
    if (member === this.me) {
      if (!this.#leaving) this.#refute(incarnation);
      return;
    }
    this.#markDead(member, incarnation, message.from, now);
  }

  /** Merges the members of a push/pull. Dead members only become suspects: this side may have newer information. */
  merge(remote: readonly PushPullMember[], now: number): void {
    for (const { name: node, address, meta, incarnation, state, versions } of remote) {
      if (state === 'alive') this.alive({ type: 'alive', incarnation, node, address, meta, versions }, now);
      else if (state === 'left') this.dead({ type: 'dead', incarnation, node, from: node }, now);
      else this.suspect({ type: 'suspect', incarnation, node, from: this.me.name }, now);
    }
  }

  /** Announces a new meta of this node. */
  update(meta: Uint8Array): void {
    this.me.incarnation = refutingIncarnation(this.me.incarnation, 0);
    this.me.meta = meta;
    this.#broadcast(aliveOf(this.me));
    this.#listener.memberUpdated(this.me);
  }

  /** Announces that this node leaves; calls `onSent` once the message was sent often enough. */
  leave(now: number, onSent: () => void): void {
    this.#leaving = true;
    this.#markDead(this.me, this.me.incarnation, this.me.name, now, onSent);
  }

  /** True if another member is believed to be alive. */
  get hasOthers(): boolean {
    for (const member of this.members) if (member !== this.me && !isDeadOrLeft(member)) return true;
    return false;
  }

  #receiveOwnAlive({ incarnation, meta, versions }: Alive): void {
    if (incarnation < this.me.incarnation) return;
    // After a restart, other members may have old data of this node with the same incarnation.
    const same = sameBytes(meta, this.me.meta) && sameVersions(versions, this.me.versions);
    if (incarnation === this.me.incarnation && same) return;
    this.#refute(incarnation);
  }

  /**
   * Returns true if the accused has already refuted the message. Gossip reaches nearly all members: about one in ten
   * thousand refutations misses a member, which would then declare the accused dead. So if this node is the accused, it
   * also refutes directly to the sender.
   */
  #isOutdated({ incarnation }: Suspect | Dead, member: SwimMember, sender: GossipAddress | undefined): boolean {
    if (incarnation >= member.incarnation) return false;
    if (member === this.me && !this.#leaving && sender !== undefined && this.members.hasAddress(sender))
      this.#sendTo(sender, aliveOf(this.me));
    return true;
  }

  #refute(accused: number): void {
    this.me.incarnation = refutingIncarnation(this.me.incarnation, accused);
    this.awareness.apply(1);
    this.#broadcast(aliveOf(this.me));
  }

  #markAlive(member: SwimMember, message: Alive, now: number): void {
    const wasDeadOrLeft = isDeadOrLeft(member);
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
    if (wasDeadOrLeft) this.#listener.memberJoined(member, now);
    else if (updated) this.#listener.memberUpdated(member);
  }

  #markDead(member: SwimMember, incarnation: number, from: string, now: number, onSent?: () => void): void {
    this.#suspicions.delete(member.name);
    this.#broadcast({ type: 'dead', incarnation, node: member.name, from }, onSent);
    member.incarnation = incarnation;
    member.state = from === member.name ? 'left' : 'dead';
    member.stateChangedAt = now;
    this.#listener.memberLeft(member, now);
  }

  #newSuspicion(accuser: string, now: number): Suspicion {
    const count = this.members.length;
    // Two fewer than the multiplier, so that the minimum is reachable in time; none if too few members could confirm.
    const expected = this.#timing.suspicionMult - 2;
    const minMs = suspicionMinMs(this.#timing, count);
    const maxMs = this.#timing.suspicionMaxTimeoutMult * minMs;
    return new Suspicion(accuser, count - 2 < expected ? 0 : expected, minMs, maxMs, now);
  }

  #suspicionOf({ incarnation, name }: SwimMember): Suspect {
    return { type: 'suspect', incarnation, node: name, from: this.me.name };
  }

  #broadcast(message: Extract<SwimMessage, { node: string }>, onSent?: () => void): void {
    this.#broadcasts.queue(this.#wire.encodeSwim(message), message.node, onSent);
  }
}

function aliveOf({ name, address, meta, versions, incarnation }: SwimMember): Alive {
  return { type: 'alive', incarnation, node: name, address, meta, versions };
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a === b || (a.length === b.length && a.every((byte, index) => byte === b[index]));
}

/**
 * Returns true if two nodes support each other's versions. An incompatible member could not have joined and is forged:
 * in the list, it would make every push/pull fail. Version 0 is not valid.
 */
function areCompatible(a: ProtocolVersions, b: ProtocolVersions): boolean {
  return a.protocolMin > 0 && supports(a, b) && supports(b, a);
}

function supports(a: ProtocolVersions, b: ProtocolVersions): boolean {
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
