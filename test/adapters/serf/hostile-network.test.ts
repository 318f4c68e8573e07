import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type Socket, connect, createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { afterEach, describe, expect, it } from '@jest/globals';
import { systemClock } from '../../../src/adapters/clock/system-clock.js';
import { seededRandom } from '../../../src/adapters/memory/seeded-random.js';
import { SerfGossip, type SerfGossipOptions } from '../../../src/adapters/serf/index.js';
import { encodePacket } from '../../../src/adapters/serf/wire/packet.js';
import { decodeStream, encodeStream } from '../../../src/adapters/serf/wire/stream.js';
import { encodeSwim } from '../../../src/adapters/serf/wire/swim-wire.js';
import { localTiming } from '../../../src/domain/gossip/timing.js';
import { eventually } from '../../cluster/deadline.js';
import { packets, streams } from './captured.js';
import { RecordingLogger } from '../../logging/recording-logger.js';

const signal = new AbortController().signal;
const key = 'AAECAwQFBgcICQoLDA0ODw==';

describe('a node among strangers', () => {
  const open: SerfGossip[] = [];
  const logger = new RecordingLogger();

  afterEach(async () => {
    await Promise.all(open.splice(0).map((node) => node.close()));
    logger.lines.length = 0;
  });

  const start = async (name: string, options: Partial<SerfGossipOptions> = {}): Promise<[SerfGossip, string]> => {
    const node = new SerfGossip({
      name,
      bindAddr: '127.0.0.1:0',
      tags: new Map(),
      timing: { ...localTiming, streamTimeoutMs: 20_000 },
      clock: systemClock,
      logger,
      ...options,
    });
    open.push(node);
    return [node, await node.start()];
  };
  const portOf = (addr: string): number => Number(addr.split(':').at(-1));
  const namesSeenBy = (node: SerfGossip): string =>
    node
      .members()
      .map(({ name }) => name)
      .join();
  const connected = async (addr: string): Promise<Socket> => {
    const socket = connect(portOf(addr), '127.0.0.1').on('error', () => undefined);
    await once(socket, 'connect');
    return socket;
  };

  it('endures whatever comes by UDP, and warns of it once', async () => {
    const [a, addrA] = await start('a');
    const [b] = await start('b');
    const seed = Date.now() % 1_000_000;
    const random = seededRandom(seed);
    const socket = createSocket('udp4');
    for (let i = 0; i < 3000; i++) {
      const { bytes } = packets[i % packets.length] ?? { bytes: new Uint8Array() };
      const packet = i % 3 === 0 ? Uint8Array.from({ length: i % 200 }, () => 256 * random()) : bytes.slice();
      // Damaged, so that none of the captured members is taken for real.
      packet[Math.floor(random() * packet.length)] = 256 * random();
      if (packet.length > 0) packet[0] = packet[0] === 4 || packet[0] === 12 || packet[0] === 7 ? 99 : (packet[0] ?? 0);
      socket.send(packet, portOf(addrA), '127.0.0.1');
      if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    expect([seed, await b.join([addrA], signal)]).toEqual([seed, 1]);
    await eventually('both to see both', () => (namesSeenBy(a) === 'a,b' ? true : undefined));
    expect(logger.events('warn').length).toBeLessThanOrEqual(2);
    socket.close();
  });

  it('ends streams that are malformed with an error, and those that do not go on', async () => {
    const [a, addrA] = await start('a', { timing: { ...localTiming, streamTimeoutMs: 500 } });
    const malformed = await connected(addrA);
    const answer: Buffer[] = [];
    malformed.on('data', (piece: Buffer) => answer.push(piece)).end(Uint8Array.of(0xff, 1, 2));
    await once(malformed, 'close');
    expect(decodeStream(Buffer.concat(answer))).toMatchObject({ type: 'error' });

    const slow = await connected(addrA);
    slow.write(streams[0]?.bytes.subarray(0, 100) ?? '');
    await once(slow.resume(), 'close');
    expect(namesSeenBy(a)).toBe('a');
  });

  it('answers a ping by TCP, and takes only so many connections from one address', async () => {
    const [, addrA] = await start('a');
    const sockets = await Promise.all(Array.from({ length: 32 }, () => connected(addrA)));
    const oneMore = await connected(addrA);
    await once(oneMore.resume(), 'close');
    const [first] = sockets;
    first?.write(encodeStream({ type: 'ping', seqNo: 5, node: 'a' }));
    const [answer] = (await once(first ?? oneMore, 'data')) as [Buffer];
    expect(decodeStream(answer)).toEqual({ type: 'ack', seqNo: 5, payload: new Uint8Array() });
    for (const socket of sockets) socket.destroy();
  });

  it('takes nothing that is not encrypted when it has a key', async () => {
    const [a, addrA] = await start('a', { encryptKey: key });
    const versions = { protocolMin: 1, protocolMax: 5, protocol: 2, delegateMin: 2, delegateMax: 5, delegate: 5 };
    const address = { ip: '127.0.0.1', port: 9 };
    const stranger = { incarnation: 1, address, meta: Uint8Array.of(0xff, 0x80), versions };
    const alive = encodeSwim({ type: 'alive', node: 'stranger', ...stranger });
    const socket = createSocket('udp4');
    socket.send(encodePacket([alive], { crc: true }), portOf(addrA), '127.0.0.1');
    await eventually('the warning', () => logger.lines.find(({ event }) => event === 'gossip_rejected'));
    socket.close();
    const stream = await connected(addrA);
    const member = { ...stranger, name: 'stranger', state: 'alive' as const };
    stream.end(encodeStream({ type: 'push-pull', join: true, members: [member], userState: new Uint8Array() }));
    await once(stream.resume(), 'close');
    expect(namesSeenBy(a)).toBe('a');
  });

  it('does not start where a port is in use, and finds one that is free for both', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    await expect(start('a', { bindAddr: `127.0.0.1:${port}` })).rejects.toMatchObject({ code: 'EADDRINUSE' });
    server.close();
    await once(server, 'close');
    const socket = createSocket('udp4').bind(0, '127.0.0.1');
    await once(socket, 'listening');
    const bindAddr = `127.0.0.1:${socket.address().port}`;
    await expect(start('a', { bindAddr })).rejects.toMatchObject({ code: 'EADDRINUSE' });
    socket.close();
  });

  it('joins all addresses of a name', async () => {
    const [, addrA] = await start('a');
    const [b] = await start('b');
    expect(await b.join([`localhost:${portOf(addrA)}`, addrA], signal)).toBe(1);
    await expect(b.join(['no-such-host.invalid:1'], signal)).rejects.toThrow('no member answers');
    await expect(b.join(['nonsense'], signal)).rejects.toThrow('expected HOST:PORT');
  });

  const hasIpv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1'));
  (hasIpv6 ? it : it.skip)('speaks IPv6, and both on one socket', async () => {
    const [a, addrA] = await start('a', { bindAddr: '[::1]:0' });
    expect(addrA).toMatch(/^\[::1\]:\d+$/);
    const [b] = await start('b', { bindAddr: '[::]:0', advertiseAddr: '[::1]:0' });
    const [c, addrC] = await start('c');
    expect(await b.join([addrA, addrC], signal)).toBe(2);
    // Not all of them have answered b: c hears of a by gossip.
    for (const node of [a, b, c]) await eventually('all', () => (namesSeenBy(node) === 'a,b,c' ? true : undefined));
  });
});
