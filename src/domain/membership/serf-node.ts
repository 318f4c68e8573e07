import type {
  Ack,
  Coordinate,
  GossipAddress,
  LamportTime,
  Ping,
  ProtocolVersions,
  PushPull,
  QueryFilter,
  SwimMessage,
} from './message.js';
import type { Member, Output, QueryKey, ReceivedQuery } from './output.js';
import type { GossipTiming } from './timing.js';
import type { MembershipWire } from './wire.js';

/** The Lamport times of members, events and queries, as a snapshot keeps them. */
export interface LamportTimes {
  readonly member: LamportTime;
  readonly event: LamportTime;
  readonly query: LamportTime;
}

export interface SerfNodeOptions {
  readonly name: string;
  /** What the others shall send to. */
  readonly address: GossipAddress;
  readonly tags: ReadonlyMap<string, string>;
  /** Debian's serf's, where left out: 1 5 2 2 5 5. */
  readonly versions?: ProtocolVersions;
  readonly timing: GossipTiming;
  readonly wire: MembershipWire;
  /** A number of [0, 1), the only source of chance. */
  readonly random: () => number;
  /** Milliseconds, with fractions, on a clock that never goes back; as every `now` of `SerfNode`. */
  readonly now: number;
  /** What the layers below add to a packet: 29 with encryption. */
  readonly packetOverheadBytes?: number;
  /** As a snapshot has them, after a restart: events and queries up to there are not told again. */
  readonly lamportTimes?: LamportTimes;
}

export interface QueryParameters {
  readonly name: string;
  readonly payload: Uint8Array;
  readonly filters?: readonly QueryFilter[];
  readonly wantsAck?: boolean;
  readonly relayFactor?: number;
  /** 16 rounds of gossip times the digits of the group's size, where left out. */
  readonly timeoutMs?: number;
}

/** The other side's state cannot be taken in: it speaks another version. Nothing was changed. */
export class PushPullRefusedError extends Error {
  override readonly name = 'PushPullRefusedError';
}

/** A user event or query is larger than what gossip may carry. */
export class GossipTooLargeError extends Error {
  override readonly name = 'GossipTooLargeError';
}

/**
 * A node of a Serf cluster, driven from outside: feed it messages and, when `nextTickAt` has come, ticks; after each call
 * take its outputs and do what they ask for. Single-threaded and synchronous; it does no I/O, and knows no time but `now`.
 */
export class SerfNode {
  /** Throws `RangeError` when the tags exceed 512 bytes, encoded. */
  constructor(options: SerfNodeOptions) {
    void options;
  }

  /** When `tick` is due; may be in the past. Look again after every call. */
  get nextTickAt(): number {
    return Infinity;
  }

  /** Does whatever is due. */
  tick(_now: number): void {}

  /** Takes in one message of a packet from `from`, which is the sender of the packet and need not be a member. */
  receive(_message: SwimMessage, _from: GossipAddress, _now: number): void {}

  /** The work and news since the last call. */
  takeOutputs(): Output[] {
    return [];
  }

  /** What this node tells in a push/pull; `join`: in one that it starts to join. */
  pushPullState(join: boolean): PushPull {
    return { join, members: [], userState: new Uint8Array() };
  }

  /** Takes in what the other side of a push/pull told. Throws `PushPullRefusedError`, and then changed nothing. */
  mergePushPull(_remote: PushPull, _now: number): void {}

  /** To be called when at least one push/pull with `join` succeeded: the others are told that this node joins. */
  joined(_now: number): void {}

  /** Answers a ping that came by TCP; undefined: it is for another node. */
  answerStreamPing(_ping: Ping): Ack | undefined {
    return undefined;
  }

  /** The ack of a `stream-ping` output arrived. */
  streamPingAnswered(_seqNo: number, _now: number): void {}

  /** All, this node among them, by name, ascending. */
  members(): readonly Member[] {
    return [];
  }

  /** Replaces the tags. Throws `RangeError` beyond 512 bytes, encoded, and then changed nothing. */
  setTags(_tags: ReadonlyMap<string, string>, _now: number): void {}

  /** Tells all members, this one too. Throws `GossipTooLargeError` beyond 512 bytes, encoded. */
  userEvent(_name: string, _payload: Uint8Array, _coalesce: boolean, _now: number): void {}

  /** Asks all members, this one too; answers come as outputs. Throws `GossipTooLargeError` beyond 1024 bytes, encoded. */
  query(_parameters: QueryParameters, _now: number): QueryKey {
    return { lTime: 0, id: 0 };
  }

  /** Answers a query, once. Throws `GossipTooLargeError` beyond 1024 bytes, encoded; nothing happens after the deadline. */
  respond(_query: ReceivedQuery, _payload: Uint8Array, _now: number): void {}

  /** A failed member counts as left; with `prune`, it is forgotten at once. */
  forceLeave(_node: string, _prune: boolean, _now: number): void {}

  /** Says goodbye; `left` is told when the others have had the time to hear of it, after 11 seconds at most. */
  leave(_now: number): void {}

  /** Where a member is in the space of round-trip times; undefined where that is not known. */
  coordinateOf(_node: string): Coordinate | undefined {
    return undefined;
  }

  get lamportTimes(): LamportTimes {
    return { member: 1, event: 1, query: 1 };
  }

  /** 0: this node believes itself healthy; up to 7 (Lifeguard). */
  get healthScore(): number {
    return 0;
  }
}
