import { isIPv6 } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { bytesOfIp, ipOfBytes } from '../../../src/adapters/serf/wire/address-bytes.js';
import { decodePacket, encodePacket } from '../../../src/adapters/serf/wire/packet.js';
import { SerfWire } from '../../../src/adapters/serf/wire/serf-wire.js';
import { decodeStream, encodeStream } from '../../../src/adapters/serf/wire/stream.js';
import { encodeSwim } from '../../../src/adapters/serf/wire/swim-wire.js';
import type { GossipAddress, SerfMessage, SwimMessage } from '../../../src/domain/gossip/message.js';

const wire = new SerfWire();
const uint32 = fc.integer({ min: 0, max: 0xffffffff });
const lTime = fc.maxSafeNat();
const uint8 = fc.integer({ min: 0, max: 0xff });
const bytes = fc.uint8Array({ maxLength: 300 });
const text = fc.string({ unit: 'grapheme', maxLength: 40 });
const name = fc.stringMatching(/^[a-zA-Z0-9.äß-]{1,60}$/);
const address: fc.Arbitrary<GossipAddress> = fc.record({
  ip: fc.oneof(
    fc.ipV4(),
    fc.uint8Array({ minLength: 16, maxLength: 16 }).map((ip) => ipOfBytes(ip)),
  ),
  port: fc.integer({ min: 1, max: 0xffff }),
});
const source = fc.tuple(address, name).map(([from, node]) => ({ source: { ...from, node } }));
const versions = fc.record({
  protocolMin: uint8,
  protocolMax: uint8,
  protocol: uint8,
  delegateMin: uint8,
  delegateMax: uint8,
  delegate: uint8,
});
const meta = fc.uint8Array({ maxLength: 512 });
const type = <T extends string>(value: T): fc.Arbitrary<T> => fc.constant(value);

const swim: fc.Arbitrary<SwimMessage> = fc.oneof(
  fc
    .tuple(fc.record({ type: type('ping'), seqNo: uint32, node: name }), fc.oneof(source, fc.constant({})))
    .map(([ping, from]) => ({ ...ping, ...from })),
  fc
    .tuple(
      fc.record({ type: type('indirect-ping'), seqNo: uint32, target: address, node: name, nack: fc.boolean() }),
      fc.oneof(source, fc.constant({})),
    )
    .map(([ping, from]) => ({ ...ping, ...from })),
  fc.record({ type: type('ack'), seqNo: uint32, payload: bytes }),
  fc.record({ type: type('nack'), seqNo: uint32 }),
  fc.record({ type: type('suspect'), incarnation: uint32, node: name, from: name }),
  fc.record({ type: type('dead'), incarnation: uint32, node: name, from: name }),
  fc.record({ type: type('alive'), incarnation: uint32, node: name, address, meta, versions }),
  fc.record({ type: type('user'), payload: bytes }),
);

const filter = fc.oneof(
  fc.record({ type: type('nodes'), names: fc.array(text, { maxLength: 20 }) }),
  fc.record({ type: type('tag'), tag: text, expression: text }),
);
const serf: fc.Arbitrary<SerfMessage> = fc.oneof(
  fc.record({ type: type('leave'), lTime, node: name, prune: fc.boolean() }),
  fc.record({ type: type('join'), lTime, node: name }),
  fc.record({ type: type('user-event'), lTime, name: text, payload: bytes, coalesce: fc.boolean() }),
  fc.record({
    type: type('query'),
    lTime,
    id: uint32,
    address,
    sourceNode: name,
    filters: fc.array(filter, { maxLength: 3 }),
    wantsAck: fc.boolean(),
    noBroadcast: fc.boolean(),
    relayFactor: uint8,
    timeoutMs: fc.nat(),
    name: text,
    payload: bytes,
  }),
  fc.record({ type: type('query-response'), lTime, id: uint32, from: name, isAck: fc.boolean(), payload: bytes }),
  fc.record({ type: type('relay'), destination: address, destinationName: name, message: bytes }),
);

describe('what is written is read again', () => {
  it('packets of memberlist, with and without a checksum', () => {
    fc.assert(
      fc.property(fc.array(swim, { minLength: 1, maxLength: 127 }), fc.boolean(), (messages, crc) => {
        expect(decodePacket(encodePacket(messages.map(encodeSwim), { crc }))).toEqual(messages);
      }),
    );
  });

  it('messages of Serf', () => {
    fc.assert(
      fc.property(serf, (message) => {
        expect(wire.decodeSerf(wire.encodeSerf(message))).toEqual(message);
      }),
      { numRuns: 500 },
    );
  });

  it('the exchange of everything', () => {
    const state = fc.constantFrom('alive' as const, 'suspect' as const, 'dead' as const, 'left' as const);
    const member = fc.record({ name, address, meta, incarnation: uint32, state, versions });
    const members = fc.array(member, { maxLength: 40 });
    fc.assert(
      fc.property(fc.boolean(), members, bytes, (join, all, userState) => {
        const message = { type: 'push-pull' as const, join, members: all, userState };
        expect(decodeStream(encodeStream(message))).toEqual(message);
      }),
    );
    const event = fc.record({ name: text, payload: bytes });
    const events = fc.array(fc.record({ lTime, events: fc.array(event, { minLength: 1, maxLength: 3 }) }), {
      maxLength: 20,
    });
    const statusLTimes = fc.array(fc.tuple(name, lTime)).map((entries) => new Map(entries));
    const serfState = fc.record({
      lTime,
      statusLTimes,
      leftMembers: fc.array(name),
      eventLTime: lTime,
      events,
      queryLTime: lTime,
    });
    fc.assert(
      fc.property(serfState, (one) => {
        expect(wire.decodePushPull(wire.encodePushPull(one))).toEqual(one);
      }),
    );
  });

  it('payloads', () => {
    const number = fc.double({ noNaN: true, noDefaultInfinity: true });
    const vector = fc.array(number, { minLength: 8, maxLength: 8 });
    const coordinate = fc.record({ adjustment: number, error: number, height: number, vector });
    fc.assert(
      fc.property(coordinate, (one) => {
        expect(wire.decodeCoordinate(wire.encodeCoordinate(one))).toEqual(one);
      }),
    );
    const keyResponse = fc.record({ result: fc.boolean(), message: text, keys: fc.array(text), primaryKey: text });
    const tags = fc.dictionary(text, text).map((entries) => new Map(Object.entries(entries)));
    const status = fc.constantFrom('none' as const, 'alive' as const, 'leaving' as const, 'left' as const);
    const conflict = fc.record({ name, address, tags, status, versions });
    fc.assert(
      fc.property(keyResponse, conflict, bytes, (keys, member, key) => {
        expect(wire.decodeKeyResponse(wire.encodeKeyResponse(keys))).toEqual(keys);
        expect(wire.decodeConflictResponse(wire.encodeConflictResponse(member))).toEqual(member);
        expect(wire.decodeKeyRequest(wire.encodeKeyRequest(key))).toEqual(key);
      }),
    );
  });

  it('tags of at most 512 bytes', () => {
    const tags = new Map([['role', 'x'.repeat(502)]]);
    expect(wire.encodeTags(tags)).toHaveLength(512);
    expect(wire.decodeTags(wire.encodeTags(tags))).toEqual(tags);
    expect(() => wire.encodeTags(new Map([['role', 'x'.repeat(503)]]))).toThrow(RangeError);
  });

  it('what does not fit its field is not written', () => {
    expect(() => encodeSwim({ type: 'nack', seqNo: 2 ** 32 })).toThrow(RangeError);
    expect(() => encodeSwim({ type: 'nack', seqNo: -1 })).toThrow(RangeError);
    expect(() => encodePacket([], { crc: true })).toThrow(RangeError);
    expect(() => encodePacket(new Array<Uint8Array>(128).fill(new Uint8Array(1)), { crc: true })).toThrow(RangeError);
  });
});

describe('an address in bytes', () => {
  it.each([
    ['127.0.0.1', '7f000001'],
    ['::', '00000000000000000000000000000000'],
    ['::1', '00000000000000000000000000000001'],
    ['fe80::', 'fe800000000000000000000000000000'],
    ['2001:db8::1:0:0:1', '20010db8000000000001000000000001'],
    ['1:0:2::3:0', '00010000000200000000000000030000'],
    ['1:0:2:3:4:5:6:0', '00010000000200030004000500060000'],
  ])('%s', (ip, hex) => {
    expect(Buffer.from(bytesOfIp(ip)).toString('hex')).toBe(hex);
    expect(ipOfBytes(Buffer.from(hex, 'hex'))).toBe(ip);
  });

  it('of IPv4 within IPv6 is IPv4', () => {
    expect(ipOfBytes(bytesOfIp('::ffff:10.0.0.1'))).toBe('10.0.0.1');
  });

  it('is the same again, any of them but IPv4 within IPv6', () => {
    const word = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff }));
    const address = fc.array(word, { minLength: 8, maxLength: 8 });
    const isIpv4 = (words: readonly number[]): boolean => words.slice(0, 6).join() === '0,0,0,0,0,65535';
    fc.assert(
      fc.property(
        address.filter((words) => !isIpv4(words)),
        (words) => {
          const bytesOf = Uint8Array.from(words.flatMap((one) => [one >> 8, one & 0xff]));
          const ip = ipOfBytes(bytesOf);
          expect(isIPv6(ip)).toBe(true);
          expect(new URL(`http://[${ip}]`).hostname).toBe(`[${ip}]`);
          expect(bytesOfIp(ip)).toEqual(bytesOf);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('is refused when it is none', () => {
    for (const ip of ['', 'localhost', '1.2.3', 'fe80::1%eth0']) expect(() => bytesOfIp(ip)).toThrow(RangeError);
  });
});
