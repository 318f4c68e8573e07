import { createCipheriv } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { wrapCompressed } from '../../../src/adapters/serf/wire/compression.js';
import { Keyring } from '../../../src/adapters/serf/keys/keyring.js';
import { decodePacket, encodePacket } from '../../../src/adapters/serf/wire/packet.js';
import { SerfWire } from '../../../src/adapters/serf/wire/serf-wire.js';
import {
  StreamDecoder,
  decodeStream,
  encodeStream,
  type StreamMessage,
} from '../../../src/adapters/serf/wire/stream.js';
import { encodeSwim } from '../../../src/adapters/serf/wire/swim-wire.js';
import { MalformedGossipError } from '../../../src/domain/gossip/wire.js';
import { streams } from './captured.js';

const wire = new SerfWire();
const key = 'AAECAwQFBgcICQoLDA0ODw==';
const otherKey = 'EBESExQVFhcYGRobHB0eHw==';
const ping = encodeSwim({ type: 'ping', seqNo: 1, node: 'a' });
const parse = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex.replace(/\s/g, ''), 'hex'));
const hexOf = (text: string): string => Buffer.from(text).toString('hex');
const raw = (text: string): string => (0xa0 + text.length).toString(16) + hexOf(text);
const compound = (...parts: readonly Uint8Array[]): Uint8Array => encodePacket(parts, { crc: false });

describe('a malformed packet', () => {
  it.each([
    ['nothing', ''],
    ['no known type', '0e80'],
    ['a label', 'f40161 0080'],
    ['a type without its body', '00'],
    ['a list for a map', '0090'],
    ['more entries than bytes', '00dfffffffff'],
    ['a string longer than the packet', `0081${raw('Node')}dbffffffff61`],
    ['a number for a name', `0081${raw('Node')}01`],
    ['a negative number', `0081${raw('SeqNo')}ff`],
    ['a number of 33 bits', `0081${raw('SeqNo')}cf0000000100000000`],
    ['a port of 17 bits', `0481${raw('Port')}ce00010000`],
    ['a name that is not UTF-8', `0081${raw('Node')}a1ff`],
    ['a name with a line feed', `0081${raw('Node')}${raw('a\nb')}`],
    ['a name of 129 bytes', `0081${raw('Node')}da0081${'61'.repeat(129)}`],
    ['no name where one must be', `0381${raw('Incarnation')}01`],
    ['bytes behind the message', `0081${raw('SeqNo')}01 00`],
    ['an unknown field nested without end', `0081${raw('Later')}${'91'.repeat(100)}c0`],
    ['an extension', `0081${raw('Later')}c70000`],
    ['a compound that ends in its lengths', '070200'],
    ['a compound that ends in a part', '0701000500'],
    ['a compound of 128 parts', `0780${'0000'.repeat(128)}`],
    ['an empty part', '07010000'],
    ['a checksum of nothing', '0c00000000'],
    ['a wrong checksum', '0c000000000080'],
    ['an unknown compression', `0982${raw('Algo')}01${raw('Buf')}a0`],
    ['a meta of 513 bytes', `0481${raw('Meta')}da0201${'00'.repeat(513)}`],
  ])('is refused: %s', (_, hex) => {
    expect(() => decodePacket(parse(hex))).toThrow(MalformedGossipError);
  });

  it('is refused when it is nested too deep, and taken just below', () => {
    let nested = compound(ping, ping);
    for (let depth = 0; depth < 3; depth++) nested = wrapInCompound(nested);
    expect(decodePacket(nested)).toHaveLength(2);
    expect(() => decodePacket(wrapInCompound(nested))).toThrow(MalformedGossipError);
  });

  it('is refused when it decompresses to more than UDP carries, by one layer or by many', () => {
    expect(() => decodePacket(wrapCompressed(new Uint8Array(70_000)))).toThrow(MalformedGossipError);
    const half = wrapCompressed(encodeSwim({ type: 'user', payload: new Uint8Array(40_000) }));
    expect(decodePacket(half)).toHaveLength(1);
    expect(() => decodePacket(compound(half, half))).toThrow(MalformedGossipError);
  });

  it('does not say who it is from, though nothing is wrong with it', () => {
    expect(decodePacket(ping)).toEqual([{ type: 'ping', seqNo: 1, node: 'a' }]);
    expect(decodePacket(parse(`0082${raw('Later')}9301a0c2${raw('SeqNo')}07`))).toEqual([
      { type: 'ping', seqNo: 7, node: '' },
    ]);
  });
});

function sealedInVersion0(padded: Uint8Array): Uint8Array {
  const secret = Buffer.from(key, 'base64');
  const nonce = secret.subarray(0, 12);
  const cipher = createCipheriv('aes-128-gcm', secret, nonce);
  return Buffer.concat([Buffer.of(0), nonce, cipher.update(padded), cipher.final(), cipher.getAuthTag()]);
}

function wrapInCompound(packet: Uint8Array): Uint8Array {
  const header = Buffer.from([7, 1, 0, 0]);
  header.writeUInt16BE(packet.length, 2);
  return Buffer.concat([header, packet]);
}

describe('a malformed message of Serf', () => {
  it.each([
    ['a time beyond 2^53', `0181${raw('LTime')}cf0020000000000000`],
    ['a negative time-out', `0481${raw('Timeout')}ff`],
    ['an answer without a sender', `0580`],
    ['a filter of no kind', `0483${raw('Addr')}a47f000001${raw('Port')}01${raw('Filters')}91a102`],
    ['a query that cannot be answered', `0481${raw('Port')}01`],
    ['a push/pull', '0280'],
  ])('is refused: %s', (_, hex) => {
    expect(() => wire.decodeSerf(parse(hex))).toThrow(MalformedGossipError);
  });

  it.each([
    ['NaN', `cb7ff8000000000000`],
    ['an infinity', `cb7ff0000000000000`],
  ])('is refused: %s in a coordinate', (_, float) => {
    const zeros = `98${'cb0000000000000000'.repeat(8)}`;
    expect(wire.decodeCoordinate(parse(`0181${raw('Vec')}${zeros}`))).toBeDefined();
    expect(() => wire.decodeCoordinate(parse(`0182${raw('Error')}${float}${raw('Vec')}${zeros}`))).toThrow(
      MalformedGossipError,
    );
    expect(() => wire.decodeCoordinate(parse(`0181${raw('Vec')}90`))).toThrow(MalformedGossipError);
    expect(wire.decodeCoordinate(new Uint8Array())).toBeUndefined();
  });

  it('is refused: as many events as bytes, each of which would be an object', () => {
    const many = Buffer.concat([parse(`0281${raw('Events')}dd00200000`), Buffer.alloc(2 << 20, 0xc0)]);
    expect(() => wire.decodePushPull(many)).toThrow(MalformedGossipError);
  });
});

describe('an encrypted packet', () => {
  const keyring = new Keyring([key, otherKey]);
  const parts = [ping, ping];

  it('is read with any key of the keyring, and with no other', () => {
    const sealed = encodePacket(parts, { crc: true, keyring });
    expect(decodePacket(sealed, new Keyring([otherKey, key]))).toHaveLength(2);
    expect(() => decodePacket(sealed, new Keyring([otherKey]))).toThrow(MalformedGossipError);
    expect(() => decodePacket(sealed)).toThrow(MalformedGossipError);
    expect(() => decodePacket(encodePacket(parts, { crc: true }), keyring)).toThrow(MalformedGossipError);
  });

  it('is refused with any bit flipped or any end cut off', () => {
    const sealed = encodePacket(parts, { crc: true, keyring });
    for (let bit = 0; bit < 8 * sealed.length; bit++) {
      const flipped = sealed.slice();
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(() => decodePacket(flipped, keyring)).toThrow(MalformedGossipError);
    }
    for (let length = 0; length < sealed.length; length++)
      expect(() => decodePacket(sealed.subarray(0, length), keyring)).toThrow(MalformedGossipError);
  });

  it('is read in version 0, which is padded', () => {
    const padded = Buffer.concat([ping, Buffer.alloc(32 - ping.length, 32 - ping.length)]);
    expect(decodePacket(sealedInVersion0(padded), keyring)).toEqual([{ type: 'ping', seqNo: 1, node: 'a' }]);
    expect(() => decodePacket(sealedInVersion0(Buffer.concat([ping, Buffer.from([0])])), keyring)).toThrow(
      MalformedGossipError,
    );
    expect(() => decodePacket(sealedInVersion0(Buffer.alloc(0)), keyring)).toThrow(MalformedGossipError);
  });
});

describe('a stream', () => {
  const keyring = new Keyring([key]);
  const messages: readonly StreamMessage[] = [
    { type: 'ping', seqNo: 1, node: 'a' },
    { type: 'error', message: 'no' },
    { type: 'user', payload: Uint8Array.from([1, 2, 3]) },
    { type: 'push-pull', join: true, members: [], userState: new Uint8Array() },
  ];

  it.each([
    ['encrypted', keyring],
    ['plain', undefined],
  ])('comes through in single bytes: %s', (_, keys) => {
    for (const message of messages) {
      const bytes = encodeStream(message, keys);
      expect(inSingleBytes(bytes, keys)).toEqual(message);
    }
  });

  it('comes through in single bytes where it is not compressed', () => {
    for (const { bytes } of streams) expect(inSingleBytes(bytes)).toEqual(decodeStream(bytes));
  });

  it('is refused as soon as it can be', () => {
    const refuse = (hex: string, keys?: Keyring): void => {
      expect(() => new StreamDecoder(keys).push(parse(hex))).toThrow(MalformedGossipError);
    };
    refuse('0a01400001', keyring);
    refuse('06', keyring);
    refuse('0a00000000');
    refuse('0a00000000', keyring);
    refuse('ff');
    refuse(`0682${raw('Nodes')}00${raw('UserStateLen')}ce10000000`);
    refuse(`0682${raw('Nodes')}ff${raw('UserStateLen')}00`);
    refuse(`0881${raw('UserMsgLen')}cf001fffffffffffff`);
    refuse(`00${'91'.repeat(100)}`);
    refuse('0680 00');
  });

  it('is refused when it is encrypted, and any bit is flipped or any end cut off', () => {
    const sealed = encodeStream({ type: 'ping', seqNo: 1, node: 'a' }, keyring);
    for (let bit = 0; bit < 8 * sealed.length; bit++) {
      const flipped = sealed.slice();
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(() => decodeStream(flipped, keyring)).toThrow(MalformedGossipError);
    }
    for (let length = 0; length < sealed.length; length++)
      expect(() => decodeStream(sealed.subarray(0, length), keyring)).toThrow(MalformedGossipError);
  });

  it('is refused when a few bytes become a great many', () => {
    const state = (bytes: number): StreamMessage => ({ type: 'user', payload: new Uint8Array(bytes) });
    expect(decodeStream(encodeStream(state(1_000_000)))).toEqual(state(1_000_000));
    expect(() => decodeStream(encodeStream(state(10 << 20)))).toThrow(MalformedGossipError);
  });

  it('is refused where the encrypted length was changed', () => {
    const sealed = encodeStream({ type: 'ping', seqNo: 1, node: 'a' }, keyring);
    const longer = Buffer.concat([sealed, Buffer.alloc(1)]);
    longer.writeUInt32BE(longer.length - 5, 1);
    expect(() => decodeStream(longer, keyring)).toThrow(MalformedGossipError);
  });
});

function inSingleBytes(bytes: Uint8Array, keys?: Keyring): StreamMessage | undefined {
  const decoder = new StreamDecoder(keys);
  let last: StreamMessage | undefined;
  bytes.forEach((_, at) => {
    expect(last).toBeUndefined();
    last = decoder.push(bytes.subarray(at, at + 1));
  });
  return last;
}
