import { crc32 } from 'node:zlib';
import type { SwimMessage } from '../../../domain/gossip/message.js';
import { MalformedGossipError } from '../../../domain/gossip/wire.js';
import { unwrapCompressed, wrapCompressed } from './compression.js';
import { decrypt, encrypt, encryptedForOthers, mayBeEncrypted } from '../keys/encryption.js';
import type { Keyring } from '../keys/keyring.js';
import { decodeSwim, messageType } from './swim-wire.js';

/** The largest UDP payload; also the limit on a decompressed packet, all layers together. */
const packetBytesMax = 65_535;
/** Versions of memberlist before 0.3 store the count in one byte and misread larger counts. */
const partsMax = 127;
/** The limit on nested compression and compound layers. */
const layersMax = 4;
const checksumHeaderBytes = 5;

export interface PacketOptions {
  /** Adds a CRC-32, which receivers from memberlist protocol 5 on accept, so all of Serf's do. */
  readonly crc: boolean;
  /** If set, encrypts with its primary key. */
  readonly keyring?: Keyring | undefined;
}

/**
 * Encodes 1 to 127 whole messages into one UDP packet. Layers, outermost first: encryption, checksum, compression if it
 * saves bytes, compound.
 */
export function encodePacket(parts: readonly Uint8Array[], { crc, keyring }: PacketOptions): Uint8Array {
  const plain = compoundOf(parts);
  const squeezed = wrapCompressed(plain);
  const content = squeezed.length < plain.length ? squeezed : plain;
  const checked = crc ? withChecksum(content) : content;
  return keyring === undefined ? checked : encrypt(checked, keyring);
}

/**
 * Decodes the messages of a UDP packet, in order. With a keyring, accepts only packets encrypted with one of its keys.
 * Throws `MalformedGossipError` unless the whole packet is well-formed; labels, which Serf does not use, are rejected.
 */
export function decodePacket(packet: Uint8Array, keyring?: Keyring): SwimMessage[] {
  if (packet.length > packetBytesMax) throw new MalformedGossipError(`a packet of ${packet.length} bytes`);
  const content = withoutChecksum(keyring === undefined ? packet : decrypt(packet, keyring));
  const messages: SwimMessage[] = [];
  const budget = { bytes: packetBytesMax };
  try {
    decodeLayers(content, 0, budget, messages);
  } catch (error) {
    if (keyring !== undefined || !mayBeEncrypted(packet) || !(error instanceof MalformedGossipError)) throw error;
    throw new MalformedGossipError(`malformed, or ${encryptedForOthers}`, { cause: error });
  }
  return messages;
}

function decodeLayers(content: Uint8Array, depth: number, budget: { bytes: number }, messages: SwimMessage[]): void {
  if (depth > layersMax) throw new MalformedGossipError(`a packet has more than ${layersMax} layers`);
  switch (content[0]) {
    case messageType.compressed: {
      const plain = unwrapCompressed(content, budget.bytes);
      budget.bytes -= plain.length;
      decodeLayers(plain, depth + 1, budget, messages);
      return;
    }
    case messageType.compound:
      for (const part of partsOf(content)) decodeLayers(part, depth + 1, budget, messages);
      return;
    case undefined:
      throw new MalformedGossipError('an empty message');
    default:
      messages.push(decodeSwim(content));
  }
}

/** Encodes `7, count, the length of each part (2 bytes each), all parts`; a single part is returned unchanged. */
function compoundOf(parts: readonly Uint8Array[]): Uint8Array {
  const [only] = parts;
  if (only === undefined || parts.length > partsMax) throw new RangeError(`${parts.length} parts of a packet`);
  if (parts.length === 1) return only;
  const header = Buffer.alloc(2 + 2 * parts.length);
  header.writeUInt8(messageType.compound, 0);
  header.writeUInt8(parts.length, 1);
  parts.forEach((part, i) => header.writeUInt16BE(part.length, 2 + 2 * i));
  return Buffer.concat([header, ...parts]);
}

function partsOf(compound: Uint8Array): Uint8Array[] {
  const count = compound[1] ?? 0;
  if (count > partsMax) throw new MalformedGossipError(`a compound of ${count} parts`);
  const lengths = 2;
  let at = lengths + 2 * count;
  if (compound.length < at) throw new MalformedGossipError('a compound ends within its lengths');
  const view = new DataView(compound.buffer, compound.byteOffset, compound.byteLength);
  const parts = Array.from({ length: count }, (_, i) => {
    const end = at + view.getUint16(lengths + 2 * i);
    if (end > compound.length) throw new MalformedGossipError('a compound ends within a part');
    const part = compound.subarray(at, end);
    at = end;
    return part;
  });
  if (at < compound.length) throw new MalformedGossipError(`${compound.length - at} bytes follow a compound`);
  return parts;
}

function withChecksum(content: Uint8Array): Uint8Array {
  const header = Buffer.alloc(checksumHeaderBytes);
  header.writeUInt8(messageType.checksum, 0);
  header.writeUInt32BE(crc32(content), 1);
  return Buffer.concat([header, content]);
}

function withoutChecksum(packet: Uint8Array): Uint8Array {
  if (packet[0] !== messageType.checksum) return packet;
  if (packet.length <= checksumHeaderBytes) throw new MalformedGossipError('a checksum of nothing');
  const content = packet.subarray(checksumHeaderBytes);
  const checksum = new DataView(packet.buffer, packet.byteOffset).getUint32(1);
  if (crc32(content) !== checksum) throw new MalformedGossipError('a checksum does not match');
  return content;
}
