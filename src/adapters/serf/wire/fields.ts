import type { GossipAddress, ProtocolVersions, PushPullMember } from '../../../domain/gossip/message.js';
import { MalformedGossipError } from '../../../domain/gossip/wire.js';
import { bytesOfIp, ipOfBytes } from './address-bytes.js';

/** Bytes of a member's tags. */
export const metaBytesMax = 512;
const nameBytesMax = 128;

/** A member's name. Throws `MalformedGossipError` unless it has 1 to 128 bytes, none of them a control character. */
export function nameOf(text: string): string {
  // eslint-disable-next-line no-control-regex -- control characters are what it looks for
  if (text === '' || Buffer.byteLength(text) > nameBytesMax || /[\u0000-\u001f\u007f-\u009f]/.test(text))
    throw new MalformedGossipError(`not a name of a member: ${JSON.stringify(text.slice(0, nameBytesMax))}`);
  return text;
}

/** A name that older members leave out. */
export const nameOrNone = (text: string): string => (text === '' ? '' : nameOf(text));

export function addressOf(ip: Uint8Array, port: number): GossipAddress {
  if (port === 0) throw new MalformedGossipError('an address without a port');
  return { ip: ipOfBytes(ip), port };
}

export const ipBytes = ({ ip }: GossipAddress): Uint8Array => bytesOfIp(ip);

export function metaOf(bytes: Uint8Array): Uint8Array {
  if (bytes.length > metaBytesMax) throw new MalformedGossipError(`tags of ${bytes.length} bytes`);
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

/** memberlist's numbers for them. */
export const swimStates: readonly PushPullMember['state'][] = ['alive', 'suspect', 'dead', 'left'];
