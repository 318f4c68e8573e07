import type { PushPull, SwimMessage } from '../../src/domain/gossip/message.js';
import { MalformedGossipError, type MembershipWire } from '../../src/domain/gossip/wire.js';
import type { NetworkWire } from './simulated-network.js';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** All stand-ins are views of it: nobody looks at their bytes. */
const nothing = new ArrayBuffer(64 * 1024);

class StandIn extends Uint8Array {
  constructor(
    readonly kind: string,
    readonly value: unknown,
    length: number,
  ) {
    super(nothing, 0, length);
  }
}

/** Bytes that stand for a message, as many as the real ones have: a simulated hour encodes millions. */
export class MemoryWire implements NetworkWire {
  encodeSwim(message: SwimMessage): Uint8Array {
    return this.#stand('swim', message, swimBytes(message));
  }

  transmit(state: PushPull): PushPull {
    return state;
  }

  decodeSwim(bytes: Uint8Array): SwimMessage {
    return this.#meaning<SwimMessage>('swim', bytes);
  }

  encodeSerf: MembershipWire['encodeSerf'] = (message) => {
    const payload = 'payload' in message ? message.payload.length + 60 : 0;
    const relayed = message.type === 'relay' ? message.message.length + 40 : 0;
    return this.#stand('serf', message, 30 + payload + relayed);
  };
  decodeSerf: MembershipWire['decodeSerf'] = (bytes) => this.#meaning('serf', bytes);
  encodePushPull: MembershipWire['encodePushPull'] = (state) => this.#stand('push-pull', state, 600);
  decodePushPull: MembershipWire['decodePushPull'] = (bytes) => this.#meaning('push-pull', bytes);
  encodeCoordinate: MembershipWire['encodeCoordinate'] = (coordinate) => this.#stand('coordinate', coordinate, 122);
  decodeCoordinate: MembershipWire['decodeCoordinate'] = (payload) =>
    payload.length === 0 ? undefined : this.#meaning('coordinate', payload);
  encodeKeyRequest: MembershipWire['encodeKeyRequest'] = (key) => this.#stand('key', key, 40);
  decodeKeyRequest: MembershipWire['decodeKeyRequest'] = (payload) => this.#meaning('key', payload);
  encodeKeyResponse: MembershipWire['encodeKeyResponse'] = (response) => this.#stand('key-response', response, 80);
  decodeKeyResponse: MembershipWire['decodeKeyResponse'] = (payload) => this.#meaning('key-response', payload);
  encodeConflictResponse: MembershipWire['encodeConflictResponse'] = (member) => this.#stand('conflict', member, 150);
  decodeConflictResponse: MembershipWire['decodeConflictResponse'] = (payload) => this.#meaning('conflict', payload);

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

  #stand(kind: string, value: unknown, length: number): Uint8Array {
    return new StandIn(kind, value, length);
  }

  #meaning<T>(kind: string, bytes: Uint8Array): T {
    if (!(bytes instanceof StandIn) || bytes.kind !== kind) throw new MalformedGossipError(`no ${kind}`);
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
