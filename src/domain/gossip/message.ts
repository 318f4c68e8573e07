/** The address at which a member listens, for both UDP and TCP. */
export interface GossipAddress {
  /** An IPv4 or IPv6 address as text, without brackets or zone. */
  readonly ip: string;
  readonly port: number;
}

/** The versions of memberlist's (`protocol`) and Serf's (`delegate`) protocol that a member supports and uses. */
export interface ProtocolVersions {
  readonly protocolMin: number;
  readonly protocolMax: number;
  readonly protocol: number;
  readonly delegateMin: number;
  readonly delegateMax: number;
  readonly delegate: number;
}

/** The sender of a ping; older members omit it. */
export interface PingSource extends GossipAddress {
  readonly node: string;
}

/** Asks the receiver to acknowledge if its name is `node`. */
export interface Ping {
  readonly type: 'ping';
  readonly seqNo: number;
  readonly node: string;
  readonly source?: PingSource;
}

/**
 * Asks the receiver to ping `target` for the sender (SWIM §3.1) and, with `nack`, to report a missing answer
 * (Lifeguard).
 */
export interface IndirectPing {
  readonly type: 'indirect-ping';
  readonly seqNo: number;
  readonly target: GossipAddress;
  readonly node: string;
  readonly nack: boolean;
  readonly source?: PingSource;
}

export interface Ack {
  readonly type: 'ack';
  readonly seqNo: number;
  /** Serf's coordinate of the sender; may be empty. */
  readonly payload: Uint8Array;
}

export interface Nack {
  readonly type: 'nack';
  readonly seqNo: number;
}

export interface Suspect {
  readonly type: 'suspect';
  readonly incarnation: number;
  readonly node: string;
  readonly from: string;
}

export interface Alive {
  readonly type: 'alive';
  readonly incarnation: number;
  readonly node: string;
  readonly address: GossipAddress;
  /** Serf's tags, encoded: at most 512 bytes. */
  readonly meta: Uint8Array;
  readonly versions: ProtocolVersions;
}

/** If `from` is the node itself, the node leaves. */
export interface Dead {
  readonly type: 'dead';
  readonly incarnation: number;
  readonly node: string;
  readonly from: string;
}

/** A message of the layer above, opaque to SWIM: a `SerfMessage`, encoded. */
export interface User {
  readonly type: 'user';
  readonly payload: Uint8Array;
}

/** memberlist's messages: the contents of a UDP packet without its outer layers. */
export type SwimMessage = Ping | IndirectPing | Ack | Nack | Suspect | Alive | Dead | User;

export type SwimState = 'alive' | 'suspect' | 'dead' | 'left';

/** A member's entry in a push/pull. */
export interface PushPullMember {
  readonly name: string;
  readonly address: GossipAddress;
  readonly meta: Uint8Array;
  readonly incarnation: number;
  readonly state: SwimState;
  readonly versions: ProtocolVersions;
}

/** The full state of a member, exchanged over TCP. */
export interface PushPull {
  readonly join: boolean;
  readonly members: readonly PushPullMember[];
  /** A `SerfPushPull`, encoded; may be empty. */
  readonly userState: Uint8Array;
}

/** A Lamport time: a uint64 on the wire; the decoder rejects times above 2^53 - 1. */
export type LamportTime = number;

export interface LeaveIntent {
  readonly type: 'leave';
  readonly lTime: LamportTime;
  readonly node: string;
  /** True to forget the member at once instead of remembering that it left. */
  readonly prune: boolean;
}

export interface JoinIntent {
  readonly type: 'join';
  readonly lTime: LamportTime;
  readonly node: string;
}

export interface UserEvent {
  readonly type: 'user-event';
  readonly lTime: LamportTime;
  readonly name: string;
  readonly payload: Uint8Array;
  /** True if only the last of several recent events with the same name matters. */
  readonly coalesce: boolean;
}

/** Selects the members that a query is for. The expression is in Go's RE2 syntax: never pass it to `RegExp`. */
export type QueryFilter =
  | { readonly type: 'nodes'; readonly names: readonly string[] }
  | { readonly type: 'tag'; readonly tag: string; readonly expression: string };

export interface Query {
  readonly type: 'query';
  readonly lTime: LamportTime;
  readonly id: number;
  /** The address for the responses. */
  readonly address: GossipAddress;
  readonly sourceNode: string;
  readonly filters: readonly QueryFilter[];
  readonly wantsAck: boolean;
  /** True if receivers must not gossip the query further. */
  readonly noBroadcast: boolean;
  /** The number of other members that also relay a response. */
  readonly relayFactor: number;
  readonly timeoutMs: number;
  readonly name: string;
  readonly payload: Uint8Array;
}

/** A response, sent over UDP to the address in the query. */
export interface QueryResponse {
  readonly type: 'query-response';
  readonly lTime: LamportTime;
  readonly id: number;
  readonly from: string;
  /** True if it only acknowledges that the query arrived. */
  readonly isAck: boolean;
  readonly payload: Uint8Array;
}

/** Asks the receiver to forward `message`, unchanged, to `destination`. */
export interface Relay {
  readonly type: 'relay';
  readonly destination: GossipAddress;
  /** Empty if an older member omitted it. */
  readonly destinationName: string;
  /** A `SerfMessage`, encoded. */
  readonly message: Uint8Array;
}

/** Serf's messages, which SWIM carries as `User`. */
export type SerfMessage = LeaveIntent | JoinIntent | UserEvent | Query | QueryResponse | Relay;

/** Serf's part of a push/pull. */
export interface SerfPushPull {
  readonly lTime: LamportTime;
  /** The time of each member's last intent. */
  readonly statusLTimes: ReadonlyMap<string, LamportTime>;
  readonly leftMembers: readonly string[];
  readonly eventLTime: LamportTime;
  /** The recent events, oldest first. */
  readonly events: readonly {
    readonly lTime: LamportTime;
    readonly events: readonly { readonly name: string; readonly payload: Uint8Array }[];
  }[];
  readonly queryLTime: LamportTime;
}

/** A coordinate in the space of round-trip times (Vivaldi); in seconds. */
export interface Coordinate {
  readonly adjustment: number;
  readonly error: number;
  readonly height: number;
  /** 8 dimensions. */
  readonly vector: readonly number[];
}

/** The payload of a response to the internal key queries. */
export interface KeyResponse {
  readonly result: boolean;
  readonly message: string;
  /** Base64-encoded. */
  readonly keys: readonly string[];
  readonly primaryKey: string;
}

/** The payload of a response to `_serf_conflict`: a member's view of a name that two nodes claim. */
export interface ConflictMember {
  readonly name: string;
  readonly address: GossipAddress;
  readonly tags: ReadonlyMap<string, string>;
  readonly status: 'none' | 'alive' | 'leaving' | 'left' | 'failed';
  readonly versions: ProtocolVersions;
}
