import type { PushPull, SwimMessage } from '../../src/domain/gossip/message.js';
import { MalformedGossipError, type MembershipWire } from '../../src/domain/gossip/wire.js';
import type { NetworkWire } from './simulated-network.js';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** All placeholders are views of it: their bytes are never read. */
const nothing = new ArrayBuffer(64 * 1024);

class Placeholder extends Uint8Array {
  constructor(
    readonly kind: string,
    readonly value: unknown,
    length: number,
  ) {
    super(nothing, 0, length);
  }
}

/** A fast wire whose encodings are placeholders of realistic length: a simulated hour encodes millions. */
export class MemoryWire implements NetworkWire {
  encodeSwim(message: SwimMessage): Uint8Array {
    return this.#placeholder('swim', message, swimBytes(message));
  }

  transmit(state: PushPull): PushPull {
    return state;
  }

  decodeSwim(bytes: Uint8Array): SwimMessage {
    return this.#valueOf<SwimMessage>('swim', bytes);
  }

  encodeSerf: MembershipWire['encodeSerf'] = (message) => {
    const payload = 'payload' in message ? message.payload.length + 60 : 0;
    const relayed = message.type === 'relay' ? message.message.length + 40 : 0;
    return this.#placeholder('serf', message, 30 + payload + relayed);
  };
  decodeSerf: MembershipWire['decodeSerf'] = (bytes) => this.#valueOf('serf', bytes);
  encodePushPull: MembershipWire['encodePushPull'] = (state) => this.#placeholder('push-pull', state, 600);
  decodePushPull: MembershipWire['decodePushPull'] = (bytes) => this.#valueOf('push-pull', bytes);
  encodeCoordinate: MembershipWire['encodeCoordinate'] = (coordinate) =>
    this.#placeholder('coordinate', coordinate, 122);
  decodeCoordinate: MembershipWire['decodeCoordinate'] = (payload) =>
    payload.length === 0 ? undefined : this.#valueOf('coordinate', payload);
  encodeKeyRequest: MembershipWire['encodeKeyRequest'] = (key) => this.#placeholder('key', key, 40);
  decodeKeyRequest: MembershipWire['decodeKeyRequest'] = (payload) => this.#valueOf('key', payload);
  encodeKeyResponse: MembershipWire['encodeKeyResponse'] = (response) =>
    this.#placeholder('key-response', response, 80);
  decodeKeyResponse: MembershipWire['decodeKeyResponse'] = (payload) => this.#valueOf('key-response', payload);
  encodeConflictResponse: MembershipWire['encodeConflictResponse'] = (member) =>
    this.#placeholder('conflict', member, 150);
  decodeConflictResponse: MembershipWire['decodeConflictResponse'] = (payload) => this.#valueOf('conflict', payload);

  encodeTags(tags: ReadonlyMap<string, string>): Uint8Array {
    const bytes = encoder.encode(JSON.stringify([...tags]));
    if (bytes.length > 512) throw new RangeError('tags exceed 512 bytes');
    return bytes;
  }

  decodeTags(meta: Uint8Array): ReadonlyMap<string, string> {
    try {
      return new Map(JSON.parse(decoder.decode(meta)) as [string, string][]);
    } catch (cause) {
      throw new MalformedGossipError('no tags', { cause });
    }
  }

  #placeholder(kind: string, value: unknown, length: number): Uint8Array {
    return new Placeholder(kind, value, length);
  }

  #valueOf<T>(kind: string, bytes: Uint8Array): T {
    if (!(bytes instanceof Placeholder) || bytes.kind !== kind) throw new MalformedGossipError(`no ${kind}`);
    return bytes.value as T;
  }
}

function swimBytes(message: SwimMessage): number {
  switch (message.type) {
    case 'ping':
      return 60 + message.node.length;
    case 'indirect-ping':
      return 90 + message.node.length;
    case 'ack':
      return 20 + message.payload.length;
    case 'nack':
      return 12;
    case 'suspect':
    case 'dead':
      return 30 + message.node.length + message.from.length;
    case 'alive':
      return 70 + message.node.length + message.meta.length;
    case 'user':
      return 1 + message.payload.length;
  }
}
