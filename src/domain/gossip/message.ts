/** Where a member listens, over UDP and TCP alike. */
export interface GossipAddress {
  /** An IPv4 or IPv6 address in text, without brackets or zone. */
  readonly ip: string;
  readonly port: number;
}

/** Which versions of memberlist's (`protocol`) and of Serf's (`delegate`) protocol a member understands and speaks. */
export interface ProtocolVersions {
  readonly protocolMin: number;
  readonly protocolMax: number;
  readonly protocol: number;
  readonly delegateMin: number;
  readonly delegateMax: number;
  readonly delegate: number;
}

/** Who asks, in a ping: older members leave it out. */
export interface PingSource extends GossipAddress {
  readonly node: string;
}

/** Are you there, and is your name `node`? */
export interface Ping {
  readonly type: 'ping';
  readonly seqNo: number;
  readonly node: string;
  readonly source?: PingSource;
}

/** Ping `target` for me (SWIM §3.1); with `nack`, say so if it does not answer you (Lifeguard). */
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
  /** Serf's coordinate of the one who answers; may be empty. */
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

/** Where `from` is the node itself, it leaves. */
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

/** memberlist's messages: all that a UDP packet carries, once its layers are taken off. */
export type SwimMessage = Ping | IndirectPing | Ack | Nack | Suspect | Alive | Dead | User;

export type SwimState = 'alive' | 'suspect' | 'dead' | 'left';

/** What a push/pull says of a member. */
export interface PushPullMember {
  readonly name: string;
  readonly address: GossipAddress;
  readonly meta: Uint8Array;
  readonly incarnation: number;
  readonly state: SwimState;
  readonly versions: ProtocolVersions;
}

/** Everything that a member knows, exchanged over TCP. */
export interface PushPull {
  readonly join: boolean;
  readonly members: readonly PushPullMember[];
  /** A `SerfPushPull`, encoded; may be empty. */
  readonly userState: Uint8Array;
}

/** A Lamport time: a uint64 on the wire; beyond 2^53 - 1 it is refused at the gateway. */
export type LamportTime = number;

export interface LeaveIntent {
  readonly type: 'leave';
  readonly lTime: LamportTime;
  readonly node: string;
  /** Forget it at once, rather than remember that it left. */
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
  /** Of several with one name within a while, only the last matters. */
  readonly coalesce: boolean;
}

/** Which members a query is for. The expression is Go's RE2: never to be given to `RegExp`. */
export type QueryFilter =
  | { readonly type: 'nodes'; readonly names: readonly string[] }
  | { readonly type: 'tag'; readonly tag: string; readonly expression: string };

export interface Query {
  readonly type: 'query';
  readonly lTime: LamportTime;
  readonly id: number;
  /** Where the answers go. */
  readonly address: GossipAddress;
  readonly sourceNode: string;
  readonly filters: readonly QueryFilter[];
  readonly wantsAck: boolean;
  /** Not to be gossiped on. */
  readonly noBroadcast: boolean;
  /** How many other members also pass on an answer. */
  readonly relayFactor: number;
  readonly timeoutMs: number;
  readonly name: string;
  readonly payload: Uint8Array;
}

/** Sent by UDP to the address in the query. */
export interface QueryResponse {
  readonly type: 'query-response';
  readonly lTime: LamportTime;
  readonly id: number;
  readonly from: string;
  /** It says only that the query arrived. */
  readonly isAck: boolean;
  readonly payload: Uint8Array;
}

/** To be passed on, as it is, to `destination`. */
export interface Relay {
  readonly type: 'relay';
  readonly destination: GossipAddress;
  /** Empty where an older member left it out. */
  readonly destinationName: string;
  /** A `SerfMessage`, encoded. */
  readonly message: Uint8Array;
}

/** Serf's messages: what SWIM carries as `User`. */
export type SerfMessage = LeaveIntent | JoinIntent | UserEvent | Query | QueryResponse | Relay;

/** Serf's part of a push/pull. */
export interface SerfPushPull {
  readonly lTime: LamportTime;
  /** When each member's status last changed. */
  readonly statusLTimes: ReadonlyMap<string, LamportTime>;
  readonly leftMembers: readonly string[];
  readonly eventLTime: LamportTime;
  /** The events of the last times, the oldest first. */
  readonly events: readonly {
    readonly lTime: LamportTime;
    readonly events: readonly { readonly name: string; readonly payload: Uint8Array }[];
  }[];
  readonly queryLTime: LamportTime;
}

/** A place in the space of round-trip times (Vivaldi); in seconds. */
export interface Coordinate {
  readonly adjustment: number;
  readonly error: number;
  readonly height: number;
  /** 8 dimensions. */
  readonly vector: readonly number[];
}

/** The payload of an answer to the internal queries about keys. */
export interface KeyResponse {
  readonly result: boolean;
  readonly message: string;
  /** In base64. */
  readonly keys: readonly string[];
  readonly primaryKey: string;
}

/** The payload of an answer to `_serf_conflict`: what a member knows of a name that two claim. */
export interface ConflictMember {
  readonly name: string;
  readonly address: GossipAddress;
  readonly tags: ReadonlyMap<string, string>;
  readonly status: 'none' | 'alive' | 'leaving' | 'left' | 'failed';
  readonly versions: ProtocolVersions;
}
