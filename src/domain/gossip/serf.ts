import type { BroadcastQueue } from './broadcast-queue.js';
import { LamportClock } from './lamport-clock.js';
import type { MemberList, SwimMember } from './member-list.js';
import type {
  GossipAddress,
  JoinIntent,
  LamportTime,
  LeaveIntent,
  Query,
  QueryResponse,
  Relay,
  SerfMessage,
  SerfPushPull,
  UserEvent,
} from './message.js';
import type { QueryKey, QueryParameters, ReceivedQuery } from './output.js';
import { OwnQueries } from './own-queries.js';
import type { Packets } from './packets.js';
import { isForNode } from './query-filter.js';
import { RecentBuffer } from './recent-buffer.js';
import { Roster } from './roster.js';
import { GossipTooLargeError } from './serf-errors.js';
import type { MembershipWire } from './wire.js';

const userEventBytesMax = 512;
const queryBytesMax = 1024;
/** The maximum number of events and queries with the same Lamport time: that many nodes may send concurrently. */
const eventsPerTimeMax = 64;
const eventBytesPerTimeMax = 32 * 1024;
const queriesPerTimeMax = 256;
const relayProtocol = 5;
const queryIdCount = 2 ** 31;

const pingQuery = '_serf_ping';
const conflictQuery = '_serf_conflict';

/** The Lamport times of members, events and queries, as stored in a snapshot. */
export interface LamportTimes {
  readonly member: LamportTime;
  readonly event: LamportTime;
  readonly query: LamportTime;
}

interface SerfOptions {
  readonly name: string;
  readonly address: GossipAddress;
  readonly tags: ReadonlyMap<string, string>;
  readonly wire: MembershipWire;
  readonly random: () => number;
  readonly members: MemberList;
  readonly membersMax: number;
  readonly packets: Packets;
  readonly intents: BroadcastQueue;
  readonly events: BroadcastQueue;
  readonly queries: BroadcastQueue;
}

/** The Serf layer on top of SWIM: intents, user events, queries and their responses, as in serf 0.9.4. */
export class Serf {
  readonly roster: Roster;
  tags: ReadonlyMap<string, string>;
  readonly #options: SerfOptions;
  readonly #clock: LamportClock;
  readonly #eventClock: LamportClock;
  readonly #queryClock: LamportClock;
  readonly #seenEvents = new RecentBuffer<Pick<UserEvent, 'name' | 'payload'>>({
    same: (a, b) => a.name === b.name && sameBytes(a.payload, b.payload),
    bytesOf: ({ name, payload }) => name.length + payload.length,
    itemsPerTimeMax: eventsPerTimeMax,
    bytesPerTimeMax: eventBytesPerTimeMax,
  });
  readonly #seenQueries = new RecentBuffer<number>({
    same: (a, b) => a === b,
    bytesOf: () => 0,
    itemsPerTimeMax: queriesPerTimeMax,
    bytesPerTimeMax: 0,
  });
  readonly #ownQueries = new OwnQueries();
  readonly #answered = new WeakSet<ReceivedQuery>();
  #leaving = false;

  constructor(options: SerfOptions, lamportTimes?: LamportTimes) {
    this.#options = options;
    this.tags = options.tags;
    this.roster = new Roster({
      wire: options.wire,
      lengthMax: options.membersMax,
      onEvent: (event, member) => options.packets.push({ type: 'member', event, member }),
    });
    this.#clock = new LamportClock(lamportTimes?.member);
    this.#eventClock = new LamportClock(lamportTimes?.event);
    this.#queryClock = new LamportClock(lamportTimes?.query);
    if (lamportTimes === undefined) return;
    this.#seenEvents.ignoreBefore(lamportTimes.event + 1);
    this.#seenQueries.ignoreBefore(lamportTimes.query + 1);
  }

  get lamportTimes(): LamportTimes {
    return { member: this.#clock.time, event: this.#eventClock.time, query: this.#queryClock.time };
  }

  get nextTickAt(): number {
    return this.#ownQueries.nextTickAt;
  }

  tick(now: number): void {
    for (const key of this.#ownQueries.takeEnded(now)) this.#options.packets.push({ type: 'query-end', key });
  }

  /** Handles an encoded Serf message. Throws MalformedGossipError. */
  receive(payload: Uint8Array, now: number): void {
    const message = this.#options.wire.decodeSerf(payload);
    switch (message.type) {
      case 'leave':
        if (this.#leaveIntent(message, now)) this.#passOn(this.#options.intents, payload);
        return;
      case 'join':
        if (this.#joinIntent(message, now)) this.#passOn(this.#options.intents, payload);
        return;
      case 'user-event':
        if (this.#userEvent(message)) this.#passOn(this.#options.events, payload);
        return;
      case 'query':
        if (this.#query(message, now) && !message.noBroadcast) this.#passOn(this.#options.queries, payload);
        return;
      case 'query-response':
        this.#response(message);
        return;
      case 'relay':
        this.#relay(message);
        return;
    }
  }

  /** Announces that this node joins, or that it has not left. */
  announceJoin(now: number): void {
    const intent = { type: 'join', lTime: this.#clock.time, node: this.#options.name } as const;
    this.#joinIntent(intent, now);
    this.#broadcast(this.#options.intents, intent);
  }

  /** Announces that this node leaves. */
  leave(now: number, onSent: () => void): void {
    this.#leaving = true;
    this.announceLeave(this.#options.name, false, now, onSent);
  }

  /** Announces that `node` leaves, or counts as having left. */
  announceLeave(node: string, prune: boolean, now: number, onSent?: () => void): void {
    const intent = { type: 'leave', lTime: this.#clock.time, node, prune } as const;
    this.#clock.increment();
    this.#leaveIntent(intent, now);
    this.#broadcast(this.#options.intents, intent, onSent);
  }

  announceEvent(name: string, payload: Uint8Array, coalesce: boolean): void {
    const event = { type: 'user-event', lTime: this.#eventClock.time, name, payload, coalesce } as const;
    const bytes = this.#encode(event, userEventBytesMax);
    this.#eventClock.increment();
    this.#userEvent(event);
    this.#passOn(this.#options.events, bytes);
  }

  announceQuery(parameters: QueryParameters, timeoutMs: number, now: number): QueryKey {
    const { name, payload, filters = [], wantsAck = false, relayFactor = 0 } = parameters;
    const key: QueryKey = {
      lTime: this.#queryClock.time,
      id: Math.floor(this.#options.random() * queryIdCount),
    };
    const query: Query = {
      type: 'query',
      ...key,
      address: this.#options.address,
      sourceNode: this.#options.name,
      filters,
      wantsAck,
      noBroadcast: false,
      relayFactor,
      timeoutMs,
      name,
      payload,
    };
    const bytes = this.#encode(query, queryBytesMax);
    this.#ownQueries.add(key, now + timeoutMs);
    this.#query(query, now);
    this.#passOn(this.#options.queries, bytes);
    return key;
  }

  respond(query: ReceivedQuery, payload: Uint8Array, now: number): void {
    if (query.deadline < now || this.#answered.has(query)) return;
    this.#answer(query, { isAck: false, payload });
    this.#answered.add(query);
  }

  /** Returns this layer's state for a push/pull. */
  state(): SerfPushPull {
    return {
      lTime: this.#clock.time,
      statusLTimes: this.roster.statusLTimes(),
      leftMembers: this.roster.left,
      eventLTime: this.#eventClock.time,
      events: this.#seenEvents.slots().map(({ lTime, items }) => ({ lTime, events: items })),
      queryLTime: this.#queryClock.time,
    };
  }

  /** Merges the state of a push/pull; with `ignoreEvents`, without earlier events. */
  merge(remote: SerfPushPull, ignoreEvents: boolean, now: number): void {
    // The remote clock's current time was not used in a message yet.
    this.#clock.witness(remote.lTime - 1);
    this.#eventClock.witness(remote.eventLTime - 1);
    this.#queryClock.witness(remote.queryLTime - 1);
    const left = new Set(remote.leftMembers);
    for (const node of left) {
      // SWIM does not know this member either. If its leave were recorded, the member would be leaving when it returns,
      // and its join intent may have an earlier time than this leave.
      if (this.roster.get(node) === undefined) continue;
      this.#leaveIntent({ type: 'leave', lTime: remote.statusLTimes.get(node) ?? 0, node, prune: false }, now);
    }
    for (const [node, lTime] of remote.statusLTimes) {
      if (left.has(node)) continue;
      // An intent later than this node's own last one is not its own: another node considers it leaving.
      if (node === this.#options.name) this.#leaveIntent({ type: 'leave', lTime, node, prune: false }, now);
      else this.#joinIntent({ type: 'join', lTime, node }, now, true);
    }
    if (ignoreEvents) this.#seenEvents.ignoreBefore(Math.min(remote.eventLTime, this.#eventClock.time));
    for (const { lTime, events } of remote.events) {
      for (const { name, payload } of events) {
        this.#userEvent({ type: 'user-event', lTime, name, payload, coalesce: false });
      }
    }
  }

  // Methods of SwimListener.
  memberJoined(member: SwimMember, now: number): void {
    this.roster.joined(member, now);
  }

  memberLeft({ name }: SwimMember, now: number): void {
    this.roster.departed(name, now);
  }

  memberUpdated(member: SwimMember): void {
    this.roster.updated(member);
  }

  nameClaimed({ name }: SwimMember, other: GossipAddress): void {
    const member = this.roster.get(name);
    if (member !== undefined) this.#options.packets.push({ type: 'name-conflict', member, other });
  }

  /** Applies the message; returns true if it is new. */
  #joinIntent(intent: JoinIntent, now: number, intentUnknown = false): boolean {
    return this.#clock.witness(intent.lTime) && this.roster.joinIntent(intent, now, intentUnknown);
  }

  /** Applies the message; returns true if it is new. */
  #leaveIntent(intent: LeaveIntent, now: number): boolean {
    if (!this.#clock.witness(intent.lTime)) return false;
    if (intent.node === this.#options.name && !this.#leaving) {
      if (intent.lTime > this.roster.statusLTimeOf(intent.node)) this.announceJoin(now);
      return false;
    }
    return this.roster.leaveIntent(intent, now);
  }

  /** Applies the message; returns true if it is new. */
  #userEvent({ lTime, name, payload, coalesce }: UserEvent): boolean {
    if (!this.#eventClock.witness(lTime)) return false;
    if (!this.#seenEvents.add(lTime, { name, payload }, this.#eventClock.time)) return false;
    this.#options.packets.push({ type: 'user-event', lTime, name, payload, coalesce });
    return true;
  }

  /** Applies the message; returns true if it is new. */
  #query(query: Query, now: number): boolean {
    if (!this.#queryClock.witness(query.lTime)) return false;
    if (!this.#seenQueries.add(query.lTime, query.id, this.#queryClock.time)) return false;
    const { name, members } = this.#options;
    // Only members are answered: a forged address must not direct packets to others.
    if (!members.hasAddress(query.address) || !isForNode(query.filters, name, this.tags)) return true;
    const received: ReceivedQuery = {
      lTime: query.lTime,
      id: query.id,
      name: query.name,
      payload: query.payload,
      sourceNode: query.sourceNode,
      address: query.address,
      relayFactor: query.relayFactor,
      deadline: now + query.timeoutMs,
    };
    if (query.wantsAck) this.#answer(received, { isAck: true, payload: new Uint8Array() });
    if (query.name === conflictQuery) this.#answerConflict(received, now);
    else if (query.name !== pingQuery) this.#options.packets.push({ type: 'query', query: received });
    return true;
  }

  /** Answers a query about a name conflict with this node's view of the name. */
  #answerConflict(query: ReceivedQuery, now: number): void {
    const name = new TextDecoder().decode(query.payload);
    const member = this.roster.get(name);
    if (name === this.#options.name || member?.status !== 'alive') return;
    this.respond(query, this.#options.wire.encodeConflictResponse(member), now);
  }

  #answer(query: ReceivedQuery, { isAck, payload }: Pick<QueryResponse, 'isAck' | 'payload'>): void {
    const { name, address, packets } = this.#options;
    const response: QueryResponse = {
      type: 'query-response',
      lTime: query.lTime,
      id: query.id,
      from: name,
      isAck,
      payload,
    };
    const bytes = this.#encode(response, queryBytesMax);
    if (query.sourceNode === name && query.address.ip === address.ip && query.address.port === address.port) {
      this.#response(response);
      return;
    }
    packets.sendAlone(query.address, { type: 'user', payload: bytes });
    if (query.relayFactor > 0) this.#answerByOthers(query, bytes);
  }

  /** Relays the response through other members too, if there are enough and the relay message is not too large. */
  #answerByOthers({ relayFactor, address, sourceNode }: ReceivedQuery, message: Uint8Array): void {
    const { wire, members, packets, name } = this.#options;
    if (this.roster.aliveCount < relayFactor + 1) return;
    const bytes = wire.encodeSerf({
      type: 'relay',
      destination: address,
      destinationName: sourceNode,
      message,
    });
    if (bytes.length > queryBytesMax) return;
    const helpers = members.pick(
      relayFactor,
      (each) => each.name !== name && each.state === 'alive' && each.versions.protocolMax >= relayProtocol,
    );
    for (const helper of helpers) packets.sendAlone(helper.address, { type: 'user', payload: bytes });
  }

  /** Forwards a relayed message, but only a query response, and only to a member. Throws MalformedGossipError. */
  #relay({ destination, message }: Relay): void {
    const { wire, members, packets } = this.#options;
    if (message.length > queryBytesMax || !members.hasAddress(destination)) return;
    if (wire.decodeSerf(message).type !== 'query-response') return;
    packets.sendAlone(destination, { type: 'user', payload: message });
  }

  #response(response: QueryResponse): void {
    if (this.roster.get(response.from) === undefined) return;
    const output = this.#ownQueries.receive(response);
    if (output !== undefined) this.#options.packets.push(output);
  }

  #encode(message: SerfMessage, bytesMax: number): Uint8Array {
    const bytes = this.#options.wire.encodeSerf(message);
    if (bytes.length > bytesMax) throw new GossipTooLargeError(message.type, bytes.length, bytesMax);
    return bytes;
  }

  #broadcast(queue: BroadcastQueue, message: SerfMessage, onSent?: () => void): void {
    this.#passOn(queue, this.#options.wire.encodeSerf(message), onSent);
  }

  #passOn(queue: BroadcastQueue, payload: Uint8Array, onSent?: () => void): void {
    queue.queue(this.#options.wire.encodeSwim({ type: 'user', payload }), undefined, onSent);
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a === b || (a.length === b.length && a.every((byte, index) => byte === b[index]));
}
