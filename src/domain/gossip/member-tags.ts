import { MalformedGossipError, type MembershipWire } from './wire.js';

/** The tags of a member; none where its meta makes no sense, as Serf takes it. */
export function memberTags(wire: MembershipWire, meta: Uint8Array): ReadonlyMap<string, string> {
  try {
    return wire.decodeTags(meta);
  } catch (error) {
    if (error instanceof MalformedGossipError) return new Map();
    throw error;
  }
}
