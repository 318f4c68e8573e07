import type { GossipAddress, LamportTime, Ping, ProtocolVersions, QueryFilter } from './message.js';

/** `leaving`: the member announced that it leaves; `failed`: it does not answer. */
export type MemberStatus = 'alive' | 'leaving' | 'left' | 'failed';

/** Serf's view of a member. */
export interface Member {
  readonly name: string;
  readonly address: GossipAddress;
  readonly tags: ReadonlyMap<string, string>;
  readonly status: MemberStatus;
  readonly versions: ProtocolVersions;
}

/** A query that this node must answer, with `SerfNode.respond`, before `deadline`. */
export interface ReceivedQuery {
  readonly lTime: LamportTime;
  readonly id: number;
  readonly name: string;
  readonly payload: Uint8Array;
  readonly sourceNode: string;
  /** The address for the response: that of a member. */
  readonly address: GossipAddress;
  readonly relayFactor: number;
  /** Milliseconds, on the clock of `now`. */
  readonly deadline: number;
}

/** A query from this node to all members that match the filters. */
export interface QueryParameters {
  readonly name: string;
  readonly payload: Uint8Array;
  readonly filters?: readonly QueryFilter[];
  readonly wantsAck?: boolean;
  /** The number of other members that also relay each response. */
  readonly relayFactor?: number;
  /** Defaults to 16 gossip rounds times the number of digits of the group's size. */
  readonly timeoutMs?: number;
}

/** Identifies a query of this node, for its responses. */
export interface QueryKey {
  readonly lTime: LamportTime;
  readonly id: number;
}

/** The work and notifications of a `SerfNode` for its driver, in order. */
export type Output =
  /**
   * Send over UDP: several parts as a compound, one part unchanged. `checksum` means that the receiver is known to
   * accept the CRC layer; without it, the layer may still be added, since all receivers of protocol 5 accept it.
   */
  | {
      readonly type: 'packet';
      readonly to: GossipAddress;
      /** Whole messages with their type byte; 1 to 127 of them. Must not be modified. */
      readonly parts: readonly Uint8Array[];
      readonly checksum: boolean;
    }
  /**
   * Exchange the full state over TCP: send `pushPullState(join)`, read the other side's state and call `mergePushPull`.
   * A failure needs no report. A `join` here is a reconnect and needs no join intent.
   */
  | { readonly type: 'push-pull'; readonly to: GossipAddress; readonly node: string; readonly join: boolean }
  /** Send `ping` over TCP; if the matching ack arrives before `deadline`, call `streamPingAnswered`. */
  | { readonly type: 'stream-ping'; readonly to: GossipAddress; readonly ping: Ping; readonly deadline: number }
  /** `reap` means that the member is forgotten, a day after it failed or left, or by a prune. */
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
   * A query for this node; a requested ack is already sent. Queries named `_serf_…-key` and `_serf_list-keys` are for
   * the owner of the keyring; `_serf_ping` and `_serf_conflict` are handled internally.
   */
  | { readonly type: 'query'; readonly query: ReceivedQuery }
  /** At most once per member. */
  | { readonly type: 'query-ack'; readonly key: QueryKey; readonly from: string }
  /** At most once per member. */
  | {
      readonly type: 'query-response';
      readonly key: QueryKey;
      readonly from: string;
      readonly payload: Uint8Array;
    }
  /** No more responses follow. */
  | { readonly type: 'query-end'; readonly key: QueryKey }
  /** Another node claims the name of `member`, which keeps it. It may be this node's own name. */
  | { readonly type: 'name-conflict'; readonly member: Member; readonly other: GossipAddress }
  /** `leave` is complete: the other members were notified. The node ignores all further input. */
  | { readonly type: 'left' };
