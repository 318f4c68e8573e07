import { describe, expect, it } from '@jest/globals';
import type {
  GossipAddress,
  ProtocolVersions,
  PushPull,
  SerfMessage,
  SwimMessage,
  SwimState,
} from '../../src/domain/gossip/message.js';
import { PushPullRefusedError } from '../../src/domain/gossip/push-pull.js';
import { MalformedGossipError } from '../../src/domain/gossip/wire.js';
import { randomOf, seeds } from './random.js';
import { SimulatedNetwork, type Host } from './simulated-network.js';

const minute = 60_000;
const stranger: GossipAddress = { ip: '192.0.2.66', port: 53 };
const liarAddress: GossipAddress = { ip: '192.0.2.99', port: 7946 };
const membersMax = 4096;

/** An attacker that has the key, knows the members and sends arbitrary messages. */
class Liar {
  readonly #random: () => number;
  readonly #network: SimulatedNetwork;
  readonly #sent: SwimMessage[] = [];

  constructor(network: SimulatedNetwork, seed: number) {
    this.#network = network;
    this.#random = randomOf(seed);
  }

  /** Returns a new message or repeats an earlier one. */
  nextMessage(): SwimMessage {
    const again = this.#sent[Math.floor(this.#random() * 3 * this.#sent.length)];
    if (again !== undefined) return again;
    const message = this.#invent();
    if (this.#sent.length < 1000) this.#sent.push(message);
    return message;
  }

  pushPull(): PushPull {
    const { wire } = this.#network;
    return {
      join: this.#random() < 0.5,
      members: Array.from({ length: 20 }, () => ({
        name: this.#name(),
        address: this.#memberAddress(),
        meta: this.#bytes(600),
        incarnation: this.#number(),
        state: this.#one<SwimState>(['alive', 'suspect', 'dead', 'left']),
        versions: this.#versions(),
      })),
      userState: this.#one([
        new Uint8Array(),
        this.#bytes(100),
        wire.encodePushPull({
          lTime: this.#time(),
          statusLTimes: new Map(Array.from({ length: 20 }, () => [this.#name(), this.#time()])),
          leftMembers: Array.from({ length: 5 }, () => this.#name()),
          eventLTime: this.#time(),
          events: Array.from({ length: 20 }, () => ({
            lTime: this.#time(),
            events: [{ name: this.#name(), payload: this.#bytes(1000) }],
          })),
          queryLTime: this.#time(),
        }),
      ]),
    };
  }

  get sender(): GossipAddress {
    return this.#one([this.#one(this.#network.hosts).address, liarAddress]);
  }

  #invent(): SwimMessage {
    const [node, from, incarnation] = [this.#name(), this.#name(), this.#number()];
    const source = this.#one([undefined, { ...this.#address(), node: from }]);
    const asked = { seqNo: this.#number(), node, ...(source === undefined ? {} : { source }) };
    return this.#one<() => SwimMessage>([
      () => ({ type: 'ping', ...asked }),
      () => ({ type: 'indirect-ping', ...asked, target: this.#address(), nack: true }),
      () => ({ type: 'ack', seqNo: this.#number(), payload: this.#bytes(100) }),
      () => ({ type: 'nack', seqNo: this.#number() }),
      () => ({ type: 'suspect', incarnation, node, from }),
      () => ({ type: 'dead', incarnation, node, from: this.#one([node, from]) }),
      () => ({
        type: 'alive',
        incarnation,
        node,
        address: this.#memberAddress(),
        meta: this.#bytes(600),
        versions: this.#versions(),
      }),
      () => ({ type: 'user', payload: this.#bytes(50) }),
      () => ({ type: 'user', payload: this.#network.wire.encodeSerf(this.#serf(node)) }),
      () => ({ type: 'user', payload: this.#network.wire.encodeSerf(this.#serf(node)) }),
    ])();
  }

  #serf(node: string): SerfMessage {
    const [lTime, id, payload] = [this.#time(), this.#number(), this.#bytes(2000)];
    const answer = { type: 'query-response', lTime, id, from: node, isAck: false, payload } as const;
    return this.#one<SerfMessage>([
      { type: 'leave', lTime, node, prune: this.#random() < 0.5 },
      { type: 'join', lTime, node },
      { type: 'user-event', lTime, name: node, payload, coalesce: false },
      {
        type: 'query',
        lTime,
        id,
        address: this.#address(),
        sourceNode: node,
        filters: this.#one([[], [{ type: 'tag', tag: 'role', expression: '(a+)+$' }]]),
        wantsAck: true,
        noBroadcast: false,
        relayFactor: 255,
        timeoutMs: this.#number(),
        name: this.#one(['load', '_serf_conflict', '_serf_ping', '_serf_list-keys']),
        payload,
      },
      answer,
      {
        type: 'relay',
        destination: this.#address(),
        destinationName: node,
        message: this.#one([payload, this.#network.wire.encodeSerf(answer)]),
      },
    ]);
  }

  #name(): string {
    const known = this.#one(this.#network.hosts).name;
    return this.#one([known, known, `invented${this.#number()}`, '__proto__', '', '\u001b[2J', 'x'.repeat(300)]);
  }

  #address(): GossipAddress {
    return this.#one([this.#one(this.#network.hosts).address, stranger, { ip: '::', port: 0 }]);
  }

  /** Returns a claimed address of a member. */
  #memberAddress(): GossipAddress {
    return this.#one([this.#one(this.#network.hosts).address, { ip: '10.66.0.1', port: 7946 }, { ip: '::', port: 0 }]);
  }

  #number(): number {
    return this.#one([0, 1, 2, 5, 1000, Math.floor(this.#random() * 2 ** 32), 2 ** 31, 2 ** 32 - 1]);
  }

  #time(): number {
    return this.#one([0, 1, 3, 20, 600, Math.floor(this.#random() * 2 ** 32), 2 ** 52, Number.MAX_SAFE_INTEGER]);
  }

  #bytes(lengthMax: number): Uint8Array {
    return new Uint8Array(Math.floor(this.#random() * lengthMax)).fill(Math.floor(this.#random() * 256));
  }

  #versions(): ProtocolVersions {
    const [low, high] = [this.#one([0, 1, 1, 9]), this.#one([0, 5, 5, 255])];
    return {
      protocolMin: low,
      protocolMax: high,
      protocol: 2,
      delegateMin: 2,
      delegateMax: 5,
      delegate: this.#one([4, 5]),
    };
  }

  #one<T>(choices: readonly T[]): T {
    return choices[Math.floor(this.#random() * choices.length)];
  }
}

/** Delivers hostile input to `host`; only typed errors are allowed. */
function tolerate(network: SimulatedNetwork, host: Host, deliver: () => void): void {
  try {
    deliver();
  } catch (error) {
    if (!(error instanceof MalformedGossipError) && !(error instanceof PushPullRefusedError)) throw error;
  }
  network.settle(host);
}

describe('a group of ten with a liar that holds the key', () => {
  it.each(seeds([1, 3]))('does not break or answer strangers, and recovers: MEMBERSHIP_SEED=%i', (seed) => {
    const network = new SimulatedNetwork({ seed, lostPercent: 1 });
    network.addGroup(10);
    network.run(20_000);
    const names = network.hosts.map(({ name }) => name);
    const liar = new Liar(network, seed + 1000);
    for (let round = 0; round < 400; round += 1) {
      for (const host of network.hosts) {
        for (let count = 0; count < 4; count += 1) {
          tolerate(network, host, () => host.running.receive(liar.nextMessage(), liar.sender, network.now));
        }
        tolerate(network, host, () => host.running.mergePushPull(liar.pushPull(), network.now));
      }
      network.run(network.now + 50);
    }
    expect(network.packetsTo(stranger)).toBe(0);
    for (const host of network.hosts) {
      expect(host.running.members().length).toBeLessThanOrEqual(membersMax);
      expect(Object.values(host.running.lamportTimes).every(Number.isSafeInteger)).toBe(true);
    }
    // Once it stops, all live members count as alive, and the invented ones do not.
    const isWhole = () => network.hosts.every((host) => host.aliveNames.toSorted().join() === names.toSorted().join());
    expect(network.runUntil(isWhole, network.now + 20 * minute, 1000)).toBe(true);
  });

  it('caps ten thousand invented members, and still accepts a real one', () => {
    const network = new SimulatedNetwork({ seed: 1 });
    network.addGroup(3);
    network.run(5000);
    const [host, other] = network.hosts;
    if (host === undefined || other === undefined) throw new Error('no group');
    const { versions } = host.running.members()[0] ?? {};
    if (versions === undefined) throw new Error('no member');
    for (let number = 0; number < 10_000; number += 1) {
      const address = { ip: `10.9.${number >> 8}.${number & 255}`, port: 7946 };
      const node = `invented${number}`;
      host.running.receive(
        { type: 'alive', incarnation: 1, node, address, meta: new Uint8Array(), versions },
        stranger,
        network.now,
      );
    }
    network.settle(host);
    expect(host.running.members()).toHaveLength(membersMax);
    host.running.receive({ type: 'dead', incarnation: 1, node: 'invented7', from: 'n1' }, stranger, network.now);
    network.settle(host);
    const real = network.add('real');
    network.join(real, host);
    network.runUntil(() => host.statusOf('real') === 'alive', network.now + 5000);
    expect(host.statusOf('real')).toBe('alive');
    expect(host.running.members()).toHaveLength(membersMax);
  });

  it('bounds the memory for a flood of events, queries and intents', () => {
    const network = new SimulatedNetwork({ seed: 1 });
    const host = network.add('host');
    const before = process.memoryUsage().arrayBuffers;
    for (let number = 0; number < 60_000; number += 1) {
      const lTime = 1 + (number % 40);
      const payload = new Uint8Array(9000);
      const flood: SerfMessage[] = [
        { type: 'user-event', lTime, name: `${number}`, payload, coalesce: false },
        { type: 'join', lTime, node: `nobody${number}` },
      ];
      const message = flood[number % 2];
      const swim: SwimMessage = { type: 'user', payload: network.wire.encodeSerf(message) };
      host.running.receive(swim, stranger, network.now);
      host.running.takeOutputs();
    }
    const { events } = network.wire.decodePushPull(host.running.pushPullState(false).userState);
    const bytes = events.flatMap((each) => each.events).reduce((sum, { payload }) => sum + payload.length, 0);
    expect(bytes).toBeLessThanOrEqual(40 * 32 * 1024);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(600e6);
  });
});

it('a ping with a forged source never causes an answer larger than itself to a stranger', () => {
  const network = new SimulatedNetwork({ seed: 1 });
  network.addGroup(3);
  network.run(5000);
  const [host, other] = network.hosts;
  if (host === undefined || other === undefined) throw new Error('no group');
  host.running.takeOutputs();
  host.running.userEvent('news', new Uint8Array(200), false, network.now);
  const deliver = (message: SwimMessage, from: GossipAddress) => {
    host.running.receive(message, from, network.now);
    return host.running.takeOutputs().flatMap((output) => (output.type === 'packet' ? [output] : []));
  };
  const source = { ...stranger, node: 'stranger' };
  const ping = { type: 'ping', seqNo: 1, node: 'n0', source } as const;
  // The ack goes to the packet's sender, without gossip.
  const [ack, ...more] = deliver(ping, liarAddress);
  expect({ to: ack?.to, parts: ack?.parts.length, more }).toEqual({
    to: liarAddress,
    parts: 1,
    more: [],
  });
  expect(ack?.parts[0]?.length).toBeLessThanOrEqual(network.wire.encodeSwim(ping).length);
  const request = { type: 'indirect-ping', seqNo: 1, nack: true } as const;
  expect(deliver({ ...request, node: 'n1', target: stranger }, other.address)).toEqual([]);
  expect(deliver({ ...request, node: 'n1', target: other.address, source }, stranger)).toEqual([]);
  expect(
    deliver({ ...request, node: 'n1', target: other.address }, network.hosts[2]?.address ?? stranger),
  ).toHaveLength(1);
});
