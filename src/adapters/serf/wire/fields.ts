import type { GossipAddress, ProtocolVersions, PushPullMember } from '../../../domain/gossip/message.js';
import { MalformedGossipError } from '../../../domain/gossip/wire.js';
import { bytesOfIp, ipOfBytes } from './address-bytes.js';

/** The limit on encoded tags. */
export const metaBytesMax = 512;
const nameBytesMax = 128;

/**
 * Returns a valid member name. Throws `MalformedGossipError` unless it has 1 to 128 bytes without control characters.
 */
export function nameOf(text: string): string {
  // eslint-disable-next-line no-control-regex -- control characters are what it looks for
  if (text === '' || Buffer.byteLength(text) > nameBytesMax || /[\u0000-\u001f\u007f-\u009f]/.test(text))
    throw new MalformedGossipError(`invalid member name: ${JSON.stringify(text.slice(0, nameBytesMax))}`);
  return text;
}

/** Returns a valid name, or '' from older members that omit it. */
export const nameOrNone = (text: string): string => (text === '' ? '' : nameOf(text));

export function addressOf(ip: Uint8Array, port: number): GossipAddress {
  if (port === 0) throw new MalformedGossipError('an address without a port');
  return { ip: ipOfBytes(ip), port };
}

export const ipBytes = ({ ip }: GossipAddress): Uint8Array => bytesOfIp(ip);

export function metaOf(bytes: Uint8Array): Uint8Array {
  if (bytes.length > metaBytesMax)
    throw new MalformedGossipError(`encoded tags of ${bytes.length} bytes: expected at most ${metaBytesMax}`);
  return Uint8Array.from(bytes);
}

export function versionsOf(vsn: Uint8Array): ProtocolVersions {
  const [protocolMin, protocolMax, protocol, delegateMin, delegateMax, delegate] = vsn;
  if (
    vsn.length !== 6 ||
    protocolMin === undefined ||
    protocolMax === undefined ||
    protocol === undefined ||
    delegateMin === undefined ||
    delegateMax === undefined ||
    delegate === undefined
  )
    throw new MalformedGossipError(`versions of ${vsn.length} bytes`);
  return { protocolMin, protocolMax, protocol, delegateMin, delegateMax, delegate };
}

export function versionBytes(versions: ProtocolVersions): Uint8Array {
  const { protocolMin, protocolMax, protocol, delegateMin, delegateMax, delegate } = versions;
  return Uint8Array.of(protocolMin, protocolMax, protocol, delegateMin, delegateMax, delegate);
}

/** Indexed by memberlist's state numbers. */
export const swimStates: readonly PushPullMember['state'][] = ['alive', 'suspect', 'dead', 'left'];
