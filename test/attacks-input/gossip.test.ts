import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { systemClock } from '../../src/adapters/clock/system-clock.js';
import { wrapCompressed } from '../../src/adapters/serf/wire/compression.js';
import { SerfGossip } from '../../src/adapters/serf/index.js';
import { Keyring } from '../../src/adapters/serf/keys/keyring.js';
import { decodePacket, encodePacket } from '../../src/adapters/serf/wire/packet.js';
import { encodeStream, StreamDecoder } from '../../src/adapters/serf/wire/stream.js';
import { encodeSwim } from '../../src/adapters/serf/wire/swim-wire.js';
import { localTiming } from '../../src/domain/gossip/timing.js';
import { MalformedGossipError } from '../../src/domain/gossip/wire.js';
import { eventually } from '../cluster/deadline.js';
import { RecordingLogger } from '../logging/recording-logger.js';

const key = 'AAECAwQFBgcICQoLDA0ODw==';
const keyring = new Keyring([key]);
const packetBytesMax = 65_535;
/** In processor time: a packet of 64 KiB takes about 10 ms. */
const packetMsMax = 2_000;

function compound(parts: readonly Uint8Array[]): Uint8Array {
  const head = Buffer.alloc(2 + 2 * parts.length);
  head.writeUInt8(7, 0);
  head.writeUInt8(parts.length, 1);
  parts.forEach((part, place) => head.writeUInt16BE(part.length, 2 + 2 * place));
  return Buffer.concat([head, ...parts]);
}

/** As many as fit, in compounds of compounds. */
function packed(part: Uint8Array, bytesMax: number): Uint8Array {
  const inner = compound(Array<Uint8Array>(Math.min(127, Math.floor((bytesMax - 2) / (part.length + 2)))).fill(part));
  const times = Math.min(127, Math.floor((bytesMax - 2) / (inner.length + 2)));
  return times < 2 ? inner : packed(inner, bytesMax);
}

function decoded(packet: Uint8Array): number | 'refused' {
  expect(packet.length).toBeLessThanOrEqual(packetBytesMax);
  const before = process.cpuUsage();
  try {
    return decodePacket(packet).length;
  } catch (error) {
    expect(error).toBeInstanceOf(MalformedGossipError);
    return 'refused';
  } finally {
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1_000).toBeLessThan(packetMsMax);
  }
}

describe('one packet', () => {
  const nack = encodeSwim({ type: 'nack', seqNo: 1 });

  it('is no more messages than it has bytes, in compounds of compounds', () => {
    const packet = packed(nack, packetBytesMax);
    const messages = decoded(packet);
    expect(messages).toBeGreaterThan(1_000);
    expect(messages).toBeLessThan(packet.length / nack.length);
  });

  it('does not grow by compression within compounds within compression', () => {
    const bomb = wrapCompressed(packed(nack, 60_000));
    expect(bomb.length).toBeLessThan(5_000);
    expect(decoded(bomb)).toBeGreaterThan(1_000);
    expect(decoded(packed(bomb, packetBytesMax))).toBe('refused');
    expect(decoded(wrapCompressed(packed(bomb, 60_000)))).toBe('refused');
  });

  it('of thousands of compressed messages takes no longer than one of its size may', () => {
    expect(decoded(packed(wrapCompressed(nack), packetBytesMax))).toBeGreaterThan(500);
  });

  it.each([0xff, 0xd0, 0xd1, 0xd2, 0xd3])('has no length below 0: the msgpack code %d', (code) => {
    const negative = Uint8Array.of(code, ...new Array<number>(8).fill(0xff));
    for (const field of ['UserMsgLen', 'UserStateLen', 'Nodes']) {
      const name = Uint8Array.of(0xa0 + field.length, ...Buffer.from(field));
      for (const type of [6, 8]) {
        const stream = Uint8Array.of(type, 0x81, ...name, ...negative);
        // A push/pull has no length of user messages: that field is passed over.
        if ((type === 8) === (field === 'UserMsgLen'))
          expect(() => new StreamDecoder().push(stream)).toThrow(MalformedGossipError);
      }
    }
  });
});

describe('what a member said before it left', () => {
  const open: SerfGossip[] = [];
  afterEach(() => Promise.all(open.splice(0).map((node) => node.close())));

  async function start(name: string): Promise<[SerfGossip, number]> {
    const node = new SerfGossip({
      ...{ name, bindAddr: '127.0.0.1:0', tags: new Map(), timing: localTiming, encryptKey: key },
      ...{ clock: systemClock, logger: new RecordingLogger() },
    });
    open.push(node);
    return [node, Number((await node.start()).split(':').at(-1))];
  }

  it('does not bring it back when it is said again, by UDP or TCP', async () => {
    const [a, portA] = await start('a');
    const [b, portB] = await start('b');
    await b.join([`127.0.0.1:${portA}`], new AbortController().signal);
    const statusOfB = (): string | undefined => a.members().find(({ name }) => name === 'b')?.status;
    await eventually('both to be there', () => (statusOfB() === 'alive' ? true : undefined));
    await b.leave();
    await b.close();
    await eventually('the goodbye', () => (statusOfB() === 'left' ? true : undefined));

    const versions = { protocolMin: 1, protocolMax: 5, protocol: 2, delegateMin: 2, delegateMax: 5, delegate: 5 };
    const address = { ip: '127.0.0.1', port: portB };
    const said = { incarnation: 1, address, meta: Uint8Array.of(0xff, 0x80), versions };
    const alive = (incarnation: number): Uint8Array =>
      encodePacket([encodeSwim({ type: 'alive', node: 'b', ...said, incarnation })], { crc: true, keyring });
    const member = { ...said, name: 'b', state: 'alive' as const };
    const userState = new Uint8Array();
    const pushPull = encodeStream({ type: 'push-pull', join: false, members: [member], userState }, keyring);
    const socket = createSocket('udp4');
    for (let times = 0; times < 20; times++) {
      socket.send(alive(1), portA, '127.0.0.1');
      const stream = connect(portA, '127.0.0.1').on('error', () => undefined);
      stream.end(pushPull);
      await once(stream.resume(), 'close');
      expect(statusOfB()).toBe('left');
    }
    // What it never said would have: the packets were taken.
    socket.send(alive(1_000), portA, '127.0.0.1');
    await eventually('one of a higher incarnation', () => (statusOfB() === 'left' ? undefined : true));
    socket.close();
  });
});
