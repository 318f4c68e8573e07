import type { ConflictMember, Coordinate, KeyResponse, SerfMessage, SerfPushPull, SwimMessage } from './message.js';

/** What came from the network, or from a file of keys, is not what the protocol allows. */
export class MalformedGossipError extends Error {
  override readonly name = 'MalformedGossipError';
}

/**
 * How messages look on the wire. The state machines use it to know how much fits a packet, and to look into what one
 * layer carries for another. Every `decode…` throws `MalformedGossipError`, and nothing else, on whatever bytes.
 */
export interface MembershipWire {
  /** The type byte first. */
  encodeSwim(message: SwimMessage): Uint8Array;
  encodeSerf(message: SerfMessage): Uint8Array;
  decodeSerf(bytes: Uint8Array): SerfMessage;
  encodePushPull(state: SerfPushPull): Uint8Array;
  decodePushPull(bytes: Uint8Array): SerfPushPull;
  /** Throws `RangeError` beyond 512 bytes. */
  encodeTags(tags: ReadonlyMap<string, string>): Uint8Array;
  /** Without the magic byte, the whole is the tag `role`, as Serf's oldest protocol had it. */
  decodeTags(meta: Uint8Array): ReadonlyMap<string, string>;
  encodeCoordinate(coordinate: Coordinate): Uint8Array;
  /** Undefined for an empty payload. Refuses NaN, infinities and other dimensions than 8. */
  decodeCoordinate(payload: Uint8Array): Coordinate | undefined;
  /** The key of a `_serf_install-key` and its like. */
  decodeKeyRequest(payload: Uint8Array): Uint8Array;
  encodeKeyRequest(key: Uint8Array): Uint8Array;
  encodeKeyResponse(response: KeyResponse): Uint8Array;
  decodeKeyResponse(payload: Uint8Array): KeyResponse;
  encodeConflictResponse(member: ConflictMember): Uint8Array;
  decodeConflictResponse(payload: Uint8Array): ConflictMember;
}
