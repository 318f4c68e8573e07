import type { ConflictMember, Coordinate, KeyResponse, SerfMessage, SerfPushPull, SwimMessage } from './message.js';

/** Input from the network, or from a key file, violates the protocol. */
export class MalformedGossipError extends Error {
  override readonly name = 'MalformedGossipError';
}

/**
 * The wire format of messages. The state machines use it to fill packets, and to decode the payloads of the layer
 * above. Every `decode…` throws only `MalformedGossipError`, for any input.
 */
export interface MembershipWire {
  /** The result starts with the type byte. */
  encodeSwim(message: SwimMessage): Uint8Array;
  encodeSerf(message: SerfMessage): Uint8Array;
  decodeSerf(bytes: Uint8Array): SerfMessage;
  encodePushPull(state: SerfPushPull): Uint8Array;
  decodePushPull(bytes: Uint8Array): SerfPushPull;
  /** Throws `RangeError` above 512 bytes. */
  encodeTags(tags: ReadonlyMap<string, string>): Uint8Array;
  /** Without the magic byte, the whole meta is the tag `role`, as in Serf's oldest protocol. */
  decodeTags(meta: Uint8Array): ReadonlyMap<string, string>;
  encodeCoordinate(coordinate: Coordinate): Uint8Array;
  /** Returns undefined for an empty payload. Rejects NaN, infinities and dimensions other than 8. */
  decodeCoordinate(payload: Uint8Array): Coordinate | undefined;
  /** Decodes the key of a `_serf_install-key` query and similar ones. */
  decodeKeyRequest(payload: Uint8Array): Uint8Array;
  encodeKeyRequest(key: Uint8Array): Uint8Array;
  encodeKeyResponse(response: KeyResponse): Uint8Array;
  decodeKeyResponse(payload: Uint8Array): KeyResponse;
  encodeConflictResponse(member: ConflictMember): Uint8Array;
  decodeConflictResponse(payload: Uint8Array): ConflictMember;
}
