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

/** Debian's serf's. */
const serfVersions: ProtocolVersions = {
  protocolMin: 1,
  protocolMax: 5,
  protocol: 2,
  delegateMin: 2,
  delegateMax: 5,
  delegate: 5,
};

/** As many members are known at most: what gossip may cost. Beyond, the longest gone is forgotten for a new one. */
const membersMax = 4096;
const queueLengthMax = 4096;
const reapIntervalMs = 15_000;
const reconnectIntervalMs = 30_000;

export interface SerfNodeOptions {
  readonly name: string;
  /** What the others shall send to. */
  readonly address: GossipAddress;
  readonly tags: ReadonlyMap<string, string>;
  /** Those of Debian's serf, where left out: 1 5 2 2 5 5. */
  readonly versions?: ProtocolVersions;
  readonly timing: GossipTiming;
  readonly wire: MembershipWire;
  /** A number of [0, 1), the only source of chance. */
  readonly random: () => number;
  /** Milliseconds, with fractions, on a clock that never goes back; as every `now` of `SerfNode`. */
  readonly now: number;
  /** What the layers below add to a packet: 29 with encryption. */
  readonly packetOverheadBytes?: number;
  /** Whether a member may be in the group of this node; all may, where left out. */
  readonly accepts?: (member: Pick<Member, 'name' | 'tags'>) => boolean;
  /** As a snapshot has them, after a restart: events and queries up to there are not told again. */
  readonly lamportTimes?: LamportTimes;
}

/**
 * A node of a Serf cluster, driven from outside: feed it messages and, when `nextTickAt` has come, ticks; after each call
 * take its outputs and do what they ask for. Single-threaded and synchronous; it does no I/O, and knows no time but `now`.
 * It speaks as memberlist 0.2.2 and serf 0.9.4 do; docs/divergence.md says where it is stricter.
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

  /** Throws `RangeError` when the tags exceed 512 bytes, encoded. */
  constructor(options: SerfNodeOptions) {
    const { name, address, tags, timing, wire, random, now } = options;
    this.#timing = timing;
    this.#wire = wire;
    this.#random = random;
    const members = new MemberList(random, membersMax);
    const news = new BroadcastQueue(queueLengthMax);
    const intents = new BroadcastQueue(queueLengthMax);
    const queries = new BroadcastQueue(queueLengthMax);
    const events = new BroadcastQueue(queueLengthMax);
    const packets = new Packets({
      wire,
      overheadBytes: options.packetOverheadBytes ?? 0,
      queues: [news, intents, queries, events],
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
      broadcasts: news,
      name,
      address,
      meta: wire.encodeTags(tags),
      versions: options.versions ?? serfVersions,
      timing,
      wire,
      listener: this.#serf,
      tell: (to, message) => packets.sendAlone(to, message),
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

  /** When `tick` is due; may be in the past. Look again after every call. */
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

  /** Does whatever is due. */
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
   * Takes in one message of a packet from `from`, which is the sender of the packet and need not be a member. Throws
   * MalformedGossipError, and then changed nothing, when what it carries for Serf cannot be read.
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

  /** The work and news since the last call, in order. */
  takeOutputs(): Output[] {
    const outputs = this.#packets.takeOutputs();
    for (const output of outputs) {
      if (output.type === 'member' && output.event === 'reap') this.#forget(output.member.name);
    }
    return outputs;
  }

  /** What this node tells in a push/pull; `join`: as it is to be in the message, in one that this node starts to join. */
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
   * Takes in what the other side of a push/pull told; `ignoreEvents`: user events from before are not told, as in a join
   * that the operator asked for. Throws PushPullRefusedError or MalformedGossipError, and then changed nothing.
   */
  mergePushPull(remote: PushPull, now: number, ignoreEvents = false): void {
    if (!this.#enter(now)) return;
    verifyVersions(this.#members, remote.members);
    const foreign = remote.members.find(({ name, meta }) => this.#swim.isForeign(name, meta));
    if (foreign !== undefined) {
      throw new PushPullRefusedError(`${JSON.stringify(foreign.name)} is not of this group`);
    }
    const state = remote.userState.length > 0 ? this.#wire.decodePushPull(remote.userState) : undefined;
    this.#swim.merge(remote.members, now);
    if (state !== undefined) this.#serf.merge(state, ignoreEvents, now);
  }

  /** To be called when at least one push/pull with `join` succeeded: the others are told that this node joins. */
  joined(now: number): void {
    if (this.#enter(now) && this.#departure === undefined) this.#serf.announceJoin(now);
  }

  /** Answers a ping that came by TCP; undefined: it is for another node, or this one has left. */
  answerStreamPing(ping: Ping): Ack | undefined {
    const ack = this.#hasLeft ? undefined : this.#prober.answer(ping);
    return ack && { ...ack, payload: new Uint8Array() };
  }

  /** The ack of a `stream-ping` output arrived in time. */
  streamPingAnswered(seqNo: number): void {
    this.#prober.streamAnswered(seqNo);
  }

  /** All, this node among them, by name, ascending. */
  members(): readonly Member[] {
    return this.#serf.roster.members();
  }

  /** Replaces the tags. Throws `RangeError` beyond 512 bytes, encoded, and then changed nothing. */
  setTags(tags: ReadonlyMap<string, string>, now: number): void {
    const meta = this.#wire.encodeTags(tags);
    if (!this.#enter(now)) return;
    this.#serf.tags = tags;
    this.#swim.update(meta);
  }

  /** Tells all members, this one too. Throws GossipTooLargeError beyond 512 bytes, encoded. */
  userEvent(name: string, payload: Uint8Array, coalesce: boolean, now: number): void {
    if (this.#enter(now)) this.#serf.announceEvent(name, payload, coalesce);
  }

  /** Asks all members, this one too; answers come as outputs. Throws GossipTooLargeError beyond 1024 bytes, encoded. */
  query(parameters: QueryParameters, now: number): QueryKey {
    this.#enter(now);
    const timeoutMs = parameters.timeoutMs ?? queryTimeoutMs(this.#timing, this.#serf.roster.aliveCount);
    return this.#serf.announceQuery(parameters, timeoutMs, now);
  }

  /**
   * Answers a query, once; nothing happens after its deadline. Throws GossipTooLargeError beyond 1024 bytes, encoded: then
   * a smaller answer may be tried.
   */
  respond(query: ReceivedQuery, payload: Uint8Array, now: number): void {
    if (this.#enter(now)) this.#serf.respond(query, payload, now);
  }

  /** A failed member counts as left; with `prune`, it is forgotten at once. */
  forceLeave(node: string, prune: boolean, now: number): void {
    if (this.#enter(now)) this.#serf.announceLeave(node, prune, now);
  }

  /** Says goodbye; `left` is told when the others have had the time to hear of it, after 11 seconds at most. */
  leave(now: number): void {
    if (!this.#enter(now) || this.#departure !== undefined) return;
    this.#departure = new Departure(
      {
        announce: (onTold) => this.#serf.leave(now, onTold),
        depart: (at, onTold) => this.#swim.leave(at, onTold),
      },
      this.#swim.hasOthers,
      now,
    );
  }

  /** Where a member is in the space of round-trip times; undefined where that is not known. */
  coordinateOf(node: string): Coordinate | undefined {
    return node === this.#swim.me.name ? this.#vivaldi.coordinate : this.#coordinates.get(node);
  }

  get lamportTimes(): LamportTimes {
    return this.#serf.lamportTimes;
  }

  /** 0: this node believes itself healthy; up to 7 (Lifeguard). */
  get healthScore(): number {
    return this.#swim.awareness.score;
  }

  get #hasLeft(): boolean {
    return this.#departure?.isDone ?? false;
  }

  /** False: nothing is done any more. */
  #enter(now: number): boolean {
    // Where there was nothing to tell, no round of gossip is overdue.
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

  /** As many of the failed are sought in each interval, by all together, as there are. */
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
      // The member is there all the same.
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
