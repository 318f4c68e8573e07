import { MalformedGossipError, type MembershipWire } from './wire.js';

/** Decodes a member's tags; returns none if its meta is malformed, as Serf does. */
export function memberTags(wire: MembershipWire, meta: Uint8Array): ReadonlyMap<string, string> {
  try {
    return wire.decodeTags(meta);
  } catch (error) {
    if (error instanceof MalformedGossipError) return new Map();
    throw error;
  }
}
