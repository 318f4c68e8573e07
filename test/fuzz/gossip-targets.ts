import { crc32 } from 'node:zlib';
import { unwrapCompressed, wrapCompressed } from '../../src/adapters/serf/wire/compression.js';
import { Keyring } from '../../src/adapters/serf/keys/keyring.js';
import { compress, decompress } from '../../src/adapters/serf/wire/lzw.js';
import { MsgpackReader } from '../../src/adapters/serf/wire/msgpack-reader.js';
import { decodePacket, encodePacket } from '../../src/adapters/serf/wire/packet.js';
import { encrypt } from '../../src/adapters/serf/keys/encryption.js';
import { SerfWire } from '../../src/adapters/serf/wire/serf-wire.js';
import { StreamDecoder, decodeStream, encodeStream, type StreamMessage } from '../../src/adapters/serf/wire/stream.js';
import { encodeSwim } from '../../src/adapters/serf/wire/swim-wire.js';
import type { GossipAddress, SerfMessage, SerfPushPull, SwimMessage } from '../../src/domain/gossip/message.js';
import { matchesExpression } from '../../src/domain/gossip/query-filter.js';
import { MalformedGossipError } from '../../src/domain/gossip/wire.js';
import type { Chance } from '../simulation/chance.js';
import { expectEqual, expectSameBytes, WrongValueError, type Target } from './target.js';

const wire = new SerfWire();
const keyring = new Keyring(['AAECAwQFBgcICQoLDA0ODw==', 'EBESExQVFhcYGRobHB0eHw==']);
const refusals = [MalformedGossipError] as const;
const versions = { protocolMin: 1, protocolMax: 5, protocol: 2, delegateMin: 2, delegateMax: 5, delegate: 4 };

const name = (chance: Chance): string => chance.pick(['n1', 'n2', 'node.example-3', 'ä'.repeat(60)]);
const bytes = (chance: Chance, lengthMax: number): Uint8Array =>
  new Uint8Array(chance.below(lengthMax + 1)).fill(chance.below(256));
const number = (chance: Chance): number => chance.pick([0, 1, 127, 300, 70_000, 2 ** 32 - 1]);
const address = (chance: Chance): GossipAddress => ({
  ip: chance.pick(['127.0.0.1', '10.0.0.9', '2001:db8::1']),
  port: chance.between(1, 65_535),
});

function tags(chance: Chance): Uint8Array {
  return wire.encodeTags(
    new Map([
      ['role', 'node'],
      ['id', name(chance)],
      ['rpc_addr', '127.0.0.1:8400'],
    ]),
  );
}

function swim(chance: Chance): SwimMessage {
  const [node, from, seqNo, incarnation] = [name(chance), name(chance), number(chance), number(chance)];
  const source = { ...address(chance), node: from };
  const payload = chance.percent(50) ? wire.encodeSerf(serf(chance)) : bytes(chance, 400);
  return chance.pick<SwimMessage>([
    { type: 'ping', seqNo, node, source },
    { type: 'indirect-ping', seqNo, target: address(chance), node, nack: true, source },
    { type: 'ack', seqNo, payload: wire.encodeCoordinate(coordinate(chance)) },
    { type: 'suspect', incarnation, node, from },
    { type: 'dead', incarnation, node, from },
    { type: 'alive', incarnation, node, address: address(chance), meta: tags(chance), versions },
    { type: 'user', payload },
  ]);
}

const coordinate = (chance: Chance) => ({
  adjustment: chance.fraction(),
  error: 1.5,
  height: 1e-5,
  vector: Array.from({ length: 8 }, () => chance.fraction() - 0.5),
});

function serf(chance: Chance): SerfMessage {
  const [lTime, id, node, payload] = [number(chance), number(chance), name(chance), bytes(chance, 300)];
  return chance.pick<SerfMessage>([
    { type: 'leave', lTime, node, prune: chance.percent(50) },
    { type: 'join', lTime, node },
    { type: 'user-event', lTime, name: node, payload, coalesce: true },
    {
      type: 'query',
      lTime,
      id,
      address: address(chance),
      sourceNode: node,
      wantsAck: true,
      noBroadcast: false,
      relayFactor: 3,
      timeoutMs: 5_000,
      name: '_serf_install-key',
      payload: wire.encodeKeyRequest(payload),
      filters: [
        { type: 'nodes', names: [node, 'n9'] },
        { type: 'tag', tag: 'role', expression: '^no.*e$' },
      ],
    },
    { type: 'query-response', lTime, id, from: node, isAck: false, payload },
    { type: 'relay', destination: address(chance), destinationName: node, message: payload },
  ]);
}

function serfState(chance: Chance): SerfPushPull {
  const some = <T>(make: () => T): T[] => Array.from({ length: chance.below(6) }, make);
  return {
    lTime: number(chance),
    statusLTimes: new Map(some(() => [name(chance), number(chance)])),
    leftMembers: some(() => name(chance)),
    eventLTime: number(chance),
    events: some(() => ({ lTime: number(chance), events: [{ name: name(chance), payload: bytes(chance, 60) }] })),
    queryLTime: number(chance),
  };
}

function streamMessage(chance: Chance): StreamMessage {
  const members = Array.from({ length: chance.below(20) }, () => ({
    name: name(chance),
    address: address(chance),
    meta: tags(chance),
    incarnation: number(chance),
    versions,
    state: chance.pick(['alive', 'suspect', 'dead', 'left'] as const),
  }));
  const userState = chance.percent(70) ? wire.encodePushPull(serfState(chance)) : bytes(chance, 200);
  return chance.pick<StreamMessage>([
    { type: 'push-pull', join: chance.percent(50), members, userState },
    { type: 'push-pull', join: true, members, userState },
    { type: 'ping', seqNo: number(chance), node: name(chance) },
    { type: 'ack', seqNo: number(chance), payload: bytes(chance, 90) },
    { type: 'user', payload: bytes(chance, 5_000) },
    { type: 'error', message: 'no' },
  ]);
}

const packet = (chance: Chance): Uint8Array =>
  encodePacket(
    Array.from({ length: chance.pick([1, 1, 2, 20]) }, () => encodeSwim(swim(chance))),
    { crc: chance.percent(50) },
  );

/** Decodes all inner layers, each of which may be rejected. */
function decodeContents(message: SwimMessage): unknown {
  if (message.type === 'user') return refusable(() => decodeSerfContents(wire.decodeSerf(message.payload)));
  if (message.type === 'ack') return refusable(() => wire.decodeCoordinate(message.payload));
  if (message.type === 'alive') return refusable(() => wire.decodeTags(message.meta));
  return message;
}

function decodeSerfContents(message: SerfMessage): unknown {
  if (message.type === 'relay') return refusable(() => wire.decodeSerf(message.message));
  if (message.type !== 'query') return message;
  const fits = message.filters.map((each) => each.type === 'tag' && matchesExpression(each.expression, 'node'));
  return [message, fits, refusable(() => wire.decodeKeyRequest(message.payload))];
}

function refusable<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch (error) {
    if (error instanceof MalformedGossipError) return undefined;
    throw error;
  }
}

/** Checks that decoded messages encode and decode to the same again. */
function packetOnce(input: Uint8Array, keys?: Keyring): unknown {
  const messages = decodePacket(input, keys);
  for (const message of messages) {
    const again = encodeSwim(message);
    const [second, ...more] = decodePacket(again);
    expectEqual(more.length, 0, 'messages of one message');
    if (second === undefined) throw new WrongValueError('a decoded message does not decode again');
    expectSameBytes(encodeSwim(second), again, 'a message encoded twice');
  }
  return messages.map(decodeContents);
}

function withChecksum(content: Uint8Array): Uint8Array {
  if (content[0] !== 12 || content.length < 5) return content;
  const sealed = Buffer.from(content);
  sealed.writeUInt32BE(crc32(sealed.subarray(5)), 1);
  return sealed;
}

function inCompound(content: Uint8Array): Uint8Array {
  const head = Buffer.from([7, 1, 0, 0]);
  head.writeUInt16BE(content.length & 0xffff, 2);
  return Buffer.concat([head, content]);
}

/** Returns a stream before compression, so that mutations change its content. */
const plainStream = (chance: Chance): Uint8Array => unwrapCompressed(encodeStream(streamMessage(chance)), 1 << 20);

function sealedStream(plain: Uint8Array): Uint8Array {
  const header = Buffer.alloc(5, 10);
  header.writeUInt32BE(plain.length + 29, 1);
  return Buffer.concat([header, encrypt(plain, keyring, header)]);
}

/** Checks that the incremental decoder returns the same as the one that gets the whole stream. */
function streamOnce(stream: Uint8Array, keys?: Keyring): unknown {
  const whole = refusable(() => decodeStream(stream, keys));
  let inPieces: StreamMessage | undefined;
  const decoder = new StreamDecoder(keys);
  const size = Math.max(1, Math.ceil(stream.length / 7));
  for (let at = 0; at < stream.length && inPieces === undefined; at += size)
    inPieces = decoder.push(stream.subarray(at, at + size));
  // The incremental decoder may finish before it gets the bytes after the message.
  if (whole === undefined) throw new MalformedGossipError('not as a whole');
  expectEqual(inPieces?.type, whole.type, 'a stream in pieces');
  if (whole.type !== 'push-pull') return whole.type === 'error' ? whole : decodeContents(whole);
  const metas = whole.members.map(({ meta }) => refusable(() => wire.decodeTags(meta)));
  return [whole, metas, refusable(() => wire.decodePushPull(whole.userState))];
}

const lzwMax = 1 << 20;

export const gossipTargets: readonly Target[] = [
  {
    name: 'packet',
    valid: packet,
    reseal: withChecksum,
    wrap: (content) => (content.length % 2 === 0 ? inCompound(content) : wrapCompressed(content)),
    decode: (input) => packetOnce(input),
    refusals,
  },
  {
    name: 'packet-encrypted',
    valid: packet,
    wrap: inCompound,
    // Input from a member with a key: validly encrypted, with malformed content.
    decode: (input) => packetOnce(encrypt(input, keyring), keyring),
    refusals,
  },
  {
    name: 'packet-seal',
    valid: (chance) => encrypt(packet(chance), keyring),
    decode: (input) => packetOnce(input, keyring),
    refusals,
  },
  {
    name: 'stream',
    valid: plainStream,
    wrap: wrapCompressed,
    decode: (input) => streamOnce(input),
    refusals,
    heldBytesMax: 24 << 20,
  },
  {
    name: 'stream-encrypted',
    valid: plainStream,
    wrap: wrapCompressed,
    decode: (input) => streamOnce(sealedStream(input), keyring),
    refusals,
    heldBytesMax: 24 << 20,
  },
  {
    name: 'serf-message',
    valid: (chance) => wire.encodeSerf(serf(chance)),
    decode: (input) => decodeSerfContents(wire.decodeSerf(input)),
    refusals,
  },
  {
    name: 'serf-push-pull',
    valid: (chance) => wire.encodePushPull(serfState(chance)),
    decode: (input) => {
      const state = wire.decodePushPull(input);
      const again = wire.encodePushPull(state);
      expectSameBytes(wire.encodePushPull(wire.decodePushPull(again)), again, 'a state encoded twice');
      return state;
    },
    refusals,
  },
  {
    name: 'serf-payload',
    valid: (chance) =>
      chance.pick([
        () => wire.encodeCoordinate(coordinate(chance)),
        () => wire.encodeKeyRequest(bytes(chance, 40)),
        () => wire.encodeKeyResponse({ result: true, message: 'ok', keys: keyring.keys, primaryKey: '' }),
        () => tags(chance),
        () =>
          wire.encodeConflictResponse({
            name: name(chance),
            address: address(chance),
            tags: new Map([['a', 'b']]),
            status: 'alive',
            versions,
          }),
      ])(),
    decode: (input) => {
      const found = [
        refusable(() => wire.decodeCoordinate(input)),
        refusable(() => wire.decodeKeyRequest(input)),
        refusable(() => wire.decodeKeyResponse(input)),
        refusable(() => wire.decodeTags(input)),
        refusable(() => wire.decodeConflictResponse(input)),
      ].filter((each) => each !== undefined);
      if (found.length === 0) throw new MalformedGossipError('none of them');
      return found;
    },
    refusals,
  },
  {
    name: 'msgpack',
    valid: (chance) => encodeSwim(swim(chance)).subarray(1),
    decode: (input) => {
      const reader = new MsgpackReader(input);
      reader.skip();
      return reader.position;
    },
    refusals,
  },
  {
    name: 'lzw',
    valid: (chance) => compress(packet(chance)),
    decode: (input) => {
      const plain = decompress(input, lzwMax);
      if (plain.length > lzwMax) throw new WrongValueError(`${plain.length} bytes`);
      expectSameBytes(decompress(compress(plain), plain.length), plain, 'packed and unpacked');
      return plain;
    },
    refusals,
    heldBytesMax: 8 << 20,
  },
];
