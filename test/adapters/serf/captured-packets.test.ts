import { describe, expect, it } from '@jest/globals';
import { decodePacket, encodePacket } from '../../../src/adapters/serf/wire/packet.js';
import { SerfWire } from '../../../src/adapters/serf/wire/serf-wire.js';
import { decodeStream, encodeStream } from '../../../src/adapters/serf/wire/stream.js';
import { encodeSwim } from '../../../src/adapters/serf/wire/swim-wire.js';
import type { SwimMessage } from '../../../src/domain/gossip/message.js';
import { MalformedGossipError } from '../../../src/domain/gossip/wire.js';
import { captured, lookIntoPacket, lookIntoStream, packets, streams, type Captured } from './captured.js';

const wire = new SerfWire();
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const parse = (from: string): Uint8Array => Uint8Array.from(Buffer.from(from, 'hex'));
const titled = (all: readonly Captured[]): [string, Captured][] =>
  all.map((one) => [`${one.kind} ${hex(one.bytes.subarray(0, 12))}`, one]);

/** Through the messages and back, also of what lies within them. */
function again(message: SwimMessage): Uint8Array {
  if (message.type === 'user') {
    const serf = wire.decodeSerf(message.payload);
    const relayed = serf.type === 'relay' ? { ...serf, message: wire.encodeSerf(wire.decodeSerf(serf.message)) } : serf;
    return encodeSwim({ type: 'user', payload: wire.encodeSerf(relayed) });
  }
  if (message.type === 'alive') return encodeSwim({ ...message, meta: wire.encodeTags(wire.decodeTags(message.meta)) });
  if (message.type === 'ack') {
    const coordinate = wire.decodeCoordinate(message.payload);
    return encodeSwim({ ...message, payload: coordinate ? wire.encodeCoordinate(coordinate) : new Uint8Array() });
  }
  return encodeSwim(message);
}

describe('what serf sent', () => {
  it.each(titled(packets))('is written again to the byte: %s', (_, { kind, bytes }) => {
    const parts = decodePacket(bytes).map(again);
    expect(hex(encodePacket(parts, { crc: kind.includes('hasCrc') }))).toBe(hex(bytes));
  });

  it.each(titled(streams))('over TCP is written again to the same: %s', (_, { kind, bytes }) => {
    const message = decodeStream(bytes);
    expect(lookIntoStream(encodeStream(message))).toEqual(lookIntoStream(bytes));
    if (!kind.endsWith('.plain')) expect(hex(encodeStream(message))).toBe(hex(bytes));
    if (message.type !== 'push-pull') return;
    const state = wire.decodePushPull(message.userState);
    expect(wire.decodePushPull(wire.encodePushPull(state))).toEqual(state);
  });

  it.each(titled(captured.filter(({ decoded }) => decoded)))('has the fields that Go read: %s', (_, one) => {
    const text = (field: string): string => Buffer.from(String(one.decoded?.[field]).slice(2), 'hex').toString();
    const [message] = decodePacket(one.bytes);
    const decoded = one.decoded ?? {};
    if (message?.type === 'alive')
      expect(message).toMatchObject({
        incarnation: decoded['Incarnation'],
        node: text('Node'),
        address: { ip: '127.0.0.1', port: decoded['Port'] },
        versions: { protocolMin: 1, protocolMax: 5, protocol: 2, delegateMin: 2, delegateMax: 5, delegate: 5 },
      });
    else if (message?.type === 'ping')
      expect(message).toEqual({
        type: 'ping',
        seqNo: decoded['SeqNo'],
        node: text('Node'),
        source: { ip: '127.0.0.1', port: decoded['SourcePort'], node: text('SourceNode') },
      });
    else if (message?.type === 'suspect' || message?.type === 'dead')
      expect(message).toMatchObject({ incarnation: decoded['Incarnation'], node: text('Node'), from: text('From') });
    else if (message?.type === 'user' && 'serfType' in decoded && 'LTime' in decoded)
      expect(wire.decodeSerf(message.payload)).toMatchObject({ lTime: decoded['LTime'] });
    else expect(lookIntoPacket(one.bytes)).toHaveLength(1);
  });

  it('holds a query, a relayed answer and the state of all', () => {
    const [query] = packets.filter(({ kind }) => kind === 'serf.query');
    expect(query && lookIntoPacket(query.bytes)).toEqual([
      {
        type: 'query',
        lTime: 1,
        id: 1774798720,
        address: { ip: '127.0.0.1', port: 7946 },
        sourceNode: 'a1',
        filters: [],
        wantsAck: true,
        noBroadcast: false,
        relayFactor: 0,
        timeoutMs: 3000,
        name: 'hello',
        payload: new Uint8Array(Buffer.from('world')),
      },
    ]);
    const [relay] = packets.filter(({ kind }) => kind === 'serf.relay');
    expect(relay && lookIntoPacket(relay.bytes)).toMatchObject([
      { destinationName: 'b1', message: { type: 'query-response', from: 'b1', isAck: true, id: 839534306 } },
    ]);
    const state = streams.filter(({ kind }) => kind === 'tcp.pushPull.plain').at(1);
    expect(state && lookIntoStream(state.bytes)).toMatchObject({
      join: false,
      members: [{ name: 'a2' }, { name: 'a1' }, { name: 'js1', state: 'alive' }],
      tags: [
        new Map(),
        new Map([['dc', 'x']]),
        new Map([
          ['role', 'log'],
          ['lang', 'ts'],
        ]),
      ],
      userState: { lTime: 3, events: [{ lTime: 1, events: [{ name: 'deployed' }] }, { lTime: 2 }], leftMembers: [] },
    });
  });

  it('reads a member that is older than tags', () => {
    expect(wire.decodeTags(parse('6c6f67'))).toEqual(new Map([['role', 'log']]));
    expect(hex(wire.encodeTags(new Map()))).toBe('ff80');
  });
});

/** Runs `decode` on it: a typed error or a result. */
function settle(decode: (bytes: Uint8Array) => unknown, bytes: Uint8Array): void {
  try {
    decode(bytes);
  } catch (error) {
    if (!(error instanceof MalformedGossipError))
      throw new Error(`not a typed error, for ${hex(bytes)}`, { cause: error });
  }
}

function* damaged(bytes: Uint8Array): Generator<Uint8Array> {
  for (let length = 0; length < bytes.length; length++) yield bytes.slice(0, length);
  for (let bit = 0; bit < 8 * bytes.length; bit++) {
    const flipped = bytes.slice();
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    yield flipped;
  }
}

describe('every flipped bit and every cut', () => {
  const unique = (all: readonly Captured[]): Captured[] => [
    ...new Map(all.map((one) => [hex(one.bytes), one])).values(),
  ];
  /** In processor time, which does not pass while other processes run. */
  const budgetMs = 10_000;
  const processorMs = (before: NodeJS.CpuUsage): number => {
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1_000;
  };

  it('of a packet is an error of its type or a message', () => {
    const before = process.cpuUsage();
    for (const { bytes } of unique(packets)) for (const one of damaged(bytes)) settle(lookIntoPacket, one);
    expect(processorMs(before)).toBeLessThan(budgetMs);
  });

  it('of a stream is an error of its type or a message', () => {
    const before = process.cpuUsage();
    for (const { bytes } of unique(streams)) for (const one of damaged(bytes)) settle(lookIntoStream, one);
    expect(processorMs(before)).toBeLessThan(budgetMs);
  });
});
