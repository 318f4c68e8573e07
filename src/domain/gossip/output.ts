import type { GossipAddress, LamportTime, Ping, ProtocolVersions, QueryFilter } from './message.js';

/** `leaving`: it said that it will leave; `failed`: it does not answer. */
export type MemberStatus = 'alive' | 'leaving' | 'left' | 'failed';

/** A member as Serf knows it. */
export interface Member {
  readonly name: string;
  readonly address: GossipAddress;
  readonly tags: ReadonlyMap<string, string>;
  readonly status: MemberStatus;
  readonly versions: ProtocolVersions;
}

/** A query that this node is to answer, with `SerfNode.respond`, before `deadline`. */
export interface ReceivedQuery {
  readonly lTime: LamportTime;
  readonly id: number;
  readonly name: string;
  readonly payload: Uint8Array;
  readonly sourceNode: string;
  /** Where the answer goes: a member's address. */
  readonly address: GossipAddress;
  readonly relayFactor: number;
  /** Milliseconds, on the clock of `now`. */
  readonly deadline: number;
}

/** A query of this node to all members that the filters let through. */
export interface QueryParameters {
  readonly name: string;
  readonly payload: Uint8Array;
  readonly filters?: readonly QueryFilter[];
  readonly wantsAck?: boolean;
  /** How many other members also pass on each answer. */
  readonly relayFactor?: number;
  /** Where left out: 16 rounds of gossip times the digits of the group's size. */
  readonly timeoutMs?: number;
}

/** Which query of this node an answer belongs to. */
export interface QueryKey {
  readonly lTime: LamportTime;
  readonly id: number;
}

/** What a `SerfNode` asks its driver to do, or tells it; in order. */
export type Output =
  /**
   * Send by UDP. Several parts are a compound, one part goes as it is. `checksum`: the receiver is known to take the CRC
   * layer; without it, the layer may be added too, since all receivers of protocol 5 take it.
   */
  | {
      readonly type: 'packet';
      readonly to: GossipAddress;
      /** Whole messages, the type byte first; never empty, at most 127. Not to be changed. */
      readonly parts: readonly Uint8Array[];
      readonly checksum: boolean;
    }
  /**
   * Exchange everything by TCP: send `pushPullState(join)`, read the other's, `mergePushPull` it. A failure needs no
   * answer. After a `join` no join intent is needed here: this is a reconnect or a part of the routine.
   */
  | { readonly type: 'push-pull'; readonly to: GossipAddress; readonly node: string; readonly join: boolean }
  /** Send `ping` by TCP; if the ack with its number comes before `deadline`, call `streamPingAnswered`. */
  | { readonly type: 'stream-ping'; readonly to: GossipAddress; readonly ping: Ping; readonly deadline: number }
  /** `reap`: forgotten, after a day of silence or by a prune. */
  | {
      readonly type: 'member';
      readonly event: 'join' | 'leave' | 'failed' | 'update' | 'reap';
      readonly member: Member;
    }
  | {
      readonly type: 'user-event';
      readonly lTime: LamportTime;
      readonly name: string;
      readonly payload: Uint8Array;
      readonly coalesce: boolean;
    }
  /**
   * A query for this node; the ack, where one is wanted, is already on its way. Those named `_serf_…-key` and
   * `_serf_list-keys` are for whoever has the keyring; `_serf_ping` and `_serf_conflict` never come out.
   */
  | { readonly type: 'query'; readonly query: ReceivedQuery }
  /** Each member once. */
  | { readonly type: 'query-ack'; readonly key: QueryKey; readonly from: string }
  /** Each member once. */
  | {
      readonly type: 'query-response';
      readonly key: QueryKey;
      readonly from: string;
      readonly payload: Uint8Array;
    }
  /** No more answers come. */
  | { readonly type: 'query-end'; readonly key: QueryKey }
  /** Another node claims the name of `member`; the first keeps it. It may be this node's own. */
  | { readonly type: 'name-conflict'; readonly member: Member; readonly other: GossipAddress }
  /** After `leave`: all was done for the others to hear of it. The node takes nothing more in. */
  | { readonly type: 'left' };
