import { BroadcastQueue } from './broadcast-queue.js';
import { Departure } from './departure.js';
import { MemberList } from './member-list.js';
import { memberTags } from './member-tags.js';
import type { Ack, Coordinate, GossipAddress, Ping, ProtocolVersions, PushPull, SwimMessage } from './message.js';
import type { Member, Output, QueryKey, QueryParameters, ReceivedQuery } from './output.js';
import { Packets } from './packets.js';
import { Prober } from './probe.js';
import { PushPullRefusedError, verifyVersions } from './push-pull.js';
import { Schedule } from './schedule.js';
import { Serf, type LamportTimes } from './serf.js';
import { Swim } from './swim.js';
import { pushPullIntervalMs, queryTimeoutMs, retransmitLimit, type GossipTiming } from './timing.js';
import { Vivaldi } from './vivaldi.js';
import { MalformedGossipError, type MembershipWire } from './wire.js';

/** The versions of Debian's serf. */
const serfVersions: ProtocolVersions = {
  protocolMin: 1,
  protocolMax: 5,
  protocol: 2,
  delegateMin: 2,
  delegateMax: 5,
  delegate: 5,
};

/**
 * The maximum number of known members, which bounds memory and traffic. Above it, a new member replaces the longest
 * departed one.
 */
const membersMax = 4096;
const queueLengthMax = 4096;
const reapIntervalMs = 15_000;
const reconnectIntervalMs = 30_000;

export interface SerfNodeOptions {
  readonly name: string;
  /** The address that other members send to. */
  readonly address: GossipAddress;
  readonly tags: ReadonlyMap<string, string>;
  /** Defaults to those of Debian's serf: 1 5 2 2 5 5. */
  readonly versions?: ProtocolVersions;
  readonly timing: GossipTiming;
  readonly wire: MembershipWire;
  /** Returns a random number in [0, 1); the only source of randomness. */
  readonly random: () => number;
  /** Milliseconds, with fractions, on a monotonic clock, like every `now` of `SerfNode`. */
  readonly now: number;
  /** Bytes that the lower layers add to a packet: 29 with encryption. Defaults to 0. */
  readonly packetOverheadBytes?: number;
  /** Returns true if a member may be in this node's group; defaults to all members. */
  readonly accepts?: (member: Pick<Member, 'name' | 'tags'>) => boolean;
  /** The times from a snapshot, after a restart: events and queries up to these times are not reported again. */
  readonly lamportTimes?: LamportTimes;
}

/**
 * A node of a Serf cluster, driven by its caller: feed it messages and, at `nextTickAt`, ticks; after each call, take
 * its outputs and do the work they describe. Single-threaded and synchronous, without I/O or a clock of its own.
 * Implements the protocols of memberlist 0.2.2 and serf 0.9.4; docs/divergence.md lists where it is stricter.
 */
export class SerfNode {
  readonly #swim: Swim;
  readonly #serf: Serf;
  readonly #prober: Prober;
  readonly #packets: Packets;
  readonly #vivaldi: Vivaldi;
  readonly #coordinates = new Map<string, Coordinate>();
  readonly #members: MemberList;
  readonly #timing: GossipTiming;
  readonly #wire: MembershipWire;
  readonly #random: () => number;
  readonly #gossipSchedule: Schedule;
  readonly #pushPullSchedule: Schedule;
  readonly #reapSchedule: Schedule;
  readonly #reconnectSchedule: Schedule;
  #ackPayload: Uint8Array | undefined;
  #departure: Departure | undefined;

  /** Throws `RangeError` when the encoded tags exceed 512 bytes. */
  constructor(options: SerfNodeOptions) {
    const { name, address, tags, timing, wire, random, now } = options;
    this.#timing = timing;
    this.#wire = wire;
    this.#random = random;
    const members = new MemberList(random, membersMax);
    const memberUpdates = new BroadcastQueue(queueLengthMax);
    const intents = new BroadcastQueue(queueLengthMax);
    const queries = new BroadcastQueue(queueLengthMax);
    const events = new BroadcastQueue(queueLengthMax);
    const packets = new Packets({
      wire,
      overheadBytes: options.packetOverheadBytes ?? 0,
      queues: [memberUpdates, intents, queries, events],
      transmitLimit: () => retransmitLimit(timing, members.length),
    });
    this.#members = members;
    this.#packets = packets;
    this.#vivaldi = new Vivaldi(random);
    this.#serf = new Serf(
      { name, address, tags, wire, random, members, membersMax, packets, intents, events, queries },
      options.lamportTimes,
    );
    this.#swim = new Swim({
      members,
      broadcasts: memberUpdates,
      name,
      address,
      meta: wire.encodeTags(tags),
      versions: options.versions ?? serfVersions,
      timing,
      wire,
      listener: this.#serf,
      sendTo: (to, message) => packets.sendAlone(to, message),
      accepts: (member, meta) => options.accepts?.({ name: member, tags: memberTags(wire, meta) }) ?? true,
    });
    this.#prober = new Prober(
      {
        swim: this.#swim,
        packets,
        timing,
        random,
        ackPayload: () => this.#coordinatePayload(),
        onRoundTrip: (member, ms, payload) => this.#measured(member.name, ms, payload),
      },
      now,
    );
    this.#gossipSchedule = new Schedule(now, random(), () => timing.gossipIntervalMs);
    this.#pushPullSchedule = new Schedule(now, 1 + random(), () => pushPullIntervalMs(timing, members.length));
    this.#reapSchedule = new Schedule(now, 1, () => reapIntervalMs);
    this.#reconnectSchedule = new Schedule(now, 1, () => reconnectIntervalMs);
    this.#swim.start(now);
  }

  /** The time at which `tick` is due; may be in the past. Read it again after every call. */
  get nextTickAt(): number {
    if (this.#hasLeft) return Infinity;
    return Math.min(
      this.#prober.nextTickAt,
      this.#packets.hasGossip ? this.#gossipSchedule.at : Infinity,
      this.#pushPullSchedule.at,
      this.#swim.nextTickAt,
      this.#serf.nextTickAt,
      this.#reapSchedule.at,
      this.#reconnectSchedule.at,
      this.#departure?.nextTickAt ?? Infinity,
    );
  }

  /** Does all due work. */
  tick(now: number): void {
    if (this.#hasLeft) return;
    this.#prober.tick(now);
    this.#swim.tick(now);
    this.#serf.tick(now);
    if (this.#packets.hasGossip && this.#gossipSchedule.isDue(now)) this.#gossip(now);
    if (this.#pushPullSchedule.isDue(now)) this.#pushPull();
    if (this.#reapSchedule.isDue(now)) this.#serf.roster.reap(now);
    if (this.#reconnectSchedule.isDue(now)) this.#reconnect();
    this.#departure?.tick(now);
    if (this.#hasLeft) this.#packets.push({ type: 'left' });
  }

  /**
   * Handles one message of a packet; `from` is the sender of the packet, which may not be a member. Throws
   * MalformedGossipError, without changing anything, when its Serf payload is malformed.
   */
  receive(message: SwimMessage, from: GossipAddress, now: number): void {
    if (!this.#enter(now)) return;
    switch (message.type) {
      case 'ping':
        this.#prober.receivePing(message, from);
        return;
      case 'indirect-ping':
        this.#prober.receiveIndirectPing(message, from, now);
        return;
      case 'ack':
        this.#prober.receiveAck(message, now);
        return;
      case 'nack':
        this.#prober.receiveNack(message);
        return;
      case 'suspect':
        this.#swim.suspect(message, now, from);
        return;
      case 'alive':
        this.#swim.alive(message, now);
        return;
      case 'dead':
        this.#swim.dead(message, now, from);
        return;
      case 'user':
        this.#serf.receive(message.payload, now);
        return;
    }
  }

  /** Returns the outputs since the last call, in order. */
  takeOutputs(): Output[] {
    const outputs = this.#packets.takeOutputs();
    for (const output of outputs) {
      if (output.type === 'member' && output.event === 'reap') this.#forget(output.member.name);
    }
    return outputs;
  }

  /**
   * Returns this node's state for a push/pull; `join` is the flag of the message, true when this node starts the
   * exchange in order to join.
   */
  pushPullState(join: boolean): PushPull {
    const members = [...this.#members].map(({ name, address, meta, incarnation, state, versions }) => ({
      name,
      address,
      meta,
      incarnation,
      state,
      versions,
    }));
    return { join, members, userState: this.#wire.encodePushPull(this.#serf.state()) };
  }

  /**
   * Merges the other side's state of a push/pull; with `ignoreEvents`, earlier user events are not reported, as in a
   * join requested by the operator. Throws PushPullRefusedError or MalformedGossipError, without changing anything.
   */
  mergePushPull(remote: PushPull, now: number, ignoreEvents = false): void {
    if (!this.#enter(now)) return;
    verifyVersions(this.#members, remote.members);
    const foreign = remote.members.find(({ name, meta }) => this.#swim.isForeign(name, meta));
    if (foreign !== undefined) {
      throw new PushPullRefusedError(`member ${JSON.stringify(foreign.name)} does not belong to this group`);
    }
    const state = remote.userState.length > 0 ? this.#wire.decodePushPull(remote.userState) : undefined;
    this.#swim.merge(remote.members, now);
    if (state !== undefined) this.#serf.merge(state, ignoreEvents, now);
  }

  /** Announces that this node joins. Call it after at least one push/pull with `join` succeeded. */
  joined(now: number): void {
    if (this.#enter(now) && this.#departure === undefined) this.#serf.announceJoin(now);
  }

  /** Returns the ack of a ping received over TCP; undefined if it is for another node, or this node has left. */
  answerStreamPing(ping: Ping): Ack | undefined {
    const ack = this.#hasLeft ? undefined : this.#prober.answer(ping);
    return ack && { ...ack, payload: new Uint8Array() };
  }

  /** Reports that the ack of a `stream-ping` output arrived in time. */
  streamPingAnswered(seqNo: number): void {
    this.#prober.streamAnswered(seqNo);
  }

  /** Returns all members, including this node, by ascending name. */
  members(): readonly Member[] {
    return this.#serf.roster.members();
  }

  /** Replaces the tags. Throws `RangeError` above 512 encoded bytes, without changing anything. */
  setTags(tags: ReadonlyMap<string, string>, now: number): void {
    const meta = this.#wire.encodeTags(tags);
    if (!this.#enter(now)) return;
    this.#serf.tags = tags;
    this.#swim.update(meta);
  }

  /** Sends an event to all members, including this node. Throws GossipTooLargeError above 512 encoded bytes. */
  userEvent(name: string, payload: Uint8Array, coalesce: boolean, now: number): void {
    if (this.#enter(now)) this.#serf.announceEvent(name, payload, coalesce);
  }

  /**
   * Sends a query to all members, including this node; responses are outputs. Throws GossipTooLargeError above 1024
   * encoded bytes.
   */
  query(parameters: QueryParameters, now: number): QueryKey {
    this.#enter(now);
    const timeoutMs = parameters.timeoutMs ?? queryTimeoutMs(this.#timing, this.#serf.roster.aliveCount);
    return this.#serf.announceQuery(parameters, timeoutMs, now);
  }

  /**
   * Responds to a query, once; ignored after its deadline. Throws GossipTooLargeError above 1024 encoded bytes: the
   * caller may then send a smaller response.
   */
  respond(query: ReceivedQuery, payload: Uint8Array, now: number): void {
    if (this.#enter(now)) this.#serf.respond(query, payload, now);
  }

  /** Marks a failed member as left; with `prune`, all members forget it at once. */
  forceLeave(node: string, prune: boolean, now: number): void {
    if (this.#enter(now)) this.#serf.announceLeave(node, prune, now);
  }

  /** Leaves the group; the output `left` follows once the other members were notified, after at most 11 seconds. */
  leave(now: number): void {
    if (!this.#enter(now) || this.#departure !== undefined) return;
    this.#departure = new Departure(
      {
        announce: (onSent) => this.#serf.leave(now, onSent),
        depart: (at, onSent) => this.#swim.leave(at, onSent),
      },
      this.#swim.hasOthers,
      now,
    );
  }

  /** Returns a member's coordinate in the space of round-trip times; undefined when unknown. */
  coordinateOf(node: string): Coordinate | undefined {
    return node === this.#swim.me.name ? this.#vivaldi.coordinate : this.#coordinates.get(node);
  }

  get lamportTimes(): LamportTimes {
    return this.#serf.lamportTimes;
  }

  /** The health score of this node: 0 is healthy, 7 is the worst (Lifeguard). */
  get healthScore(): number {
    return this.#swim.awareness.score;
  }

  get #hasLeft(): boolean {
    return this.#departure?.isDone ?? false;
  }

  /** Prepares a call; returns false if this node has left. */
  #enter(now: number): boolean {
    // While there was no gossip, no round was due.
    if (!this.#packets.hasGossip) this.#gossipSchedule.skipTo(now);
    return !this.#hasLeft;
  }

  #gossip(now: number): void {
    const { me } = this.#swim;
    const deadSince = now - this.#timing.gossipToTheDeadMs;
    const listeners = this.#members.pick(
      this.#timing.gossipNodes,
      (each) =>
        each !== me &&
        (each.state === 'alive' ||
          each.state === 'suspect' ||
          (each.state === 'dead' && each.stateChangedAt >= deadSince)),
    );
    for (const listener of listeners) if (!this.#packets.sendGossip(listener)) return;
  }

  #pushPull(): void {
    const { me } = this.#swim;
    const [partner] = this.#members.pick(1, (each) => each !== me && each.state === 'alive');
    if (partner === undefined) return;
    this.#packets.push({ type: 'push-pull', to: partner.address, node: partner.name, join: false });
  }

  /**
   * Reconnects to a random failed member with such a probability that, per interval, all nodes together try each failed
   * member about once.
   */
  #reconnect(): void {
    const { failed, aliveCount } = this.#serf.roster;
    if (failed.length === 0 || this.#random() > failed.length / Math.max(1, aliveCount)) return;
    const member = failed[Math.floor(this.#random() * failed.length)];
    if (member === undefined) return;
    this.#packets.push({ type: 'push-pull', to: member.address, node: member.name, join: true });
  }

  #measured(node: string, ms: number, payload: Uint8Array): void {
    const coordinate = this.#decodeCoordinate(payload);
    if (coordinate === undefined || !this.#vivaldi.update(node, coordinate, ms / 1000)) return;
    this.#coordinates.set(node, coordinate);
    this.#ackPayload = undefined;
  }

  #decodeCoordinate(payload: Uint8Array): Coordinate | undefined {
    try {
      return this.#wire.decodeCoordinate(payload);
    } catch (error) {
      // The member still answered, so the ack counts.
      if (error instanceof MalformedGossipError) return undefined;
      throw error;
    }
  }

  #coordinatePayload(): Uint8Array {
    this.#ackPayload ??= this.#wire.encodeCoordinate(this.#vivaldi.coordinate);
    return this.#ackPayload;
  }

  #forget(node: string): void {
    this.#coordinates.delete(node);
    this.#vivaldi.forget(node);
  }
}
