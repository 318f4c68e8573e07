import type { GossipAddress, PushPull, SwimMessage } from '../../src/domain/gossip/message.js';
import type { Output } from '../../src/domain/gossip/output.js';
import { SerfNode, type SerfNodeOptions } from '../../src/domain/gossip/serf-node.js';
import { lanTiming, type GossipTiming } from '../../src/domain/gossip/timing.js';
import type { MembershipWire } from '../../src/domain/gossip/wire.js';
import { MemoryWire } from './memory-wire.js';
import { randomOf } from './random.js';

/** How messages look on this network. */
export interface NetworkWire extends MembershipWire {
  decodeSwim(bytes: Uint8Array): SwimMessage;
  /** What arrives of a push/pull that is sent. */
  transmit(state: PushPull): PushPull;
}

interface NetworkOptions {
  readonly seed: number;
  /** Of a hundred packets. */
  readonly lostPercent?: number;
  readonly timing?: GossipTiming;
  readonly wire?: NetworkWire;
  /** Hosts that no packet reaches, only streams do. */
  readonly losesPacketsTo?: (host: Host) => boolean;
}

/** What happened to a member in the eyes of a host. */
interface Sighting {
  readonly at: number;
  readonly event: string;
  readonly member: string;
}

interface Task {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

/** In the test runner each look at a global is slow. */
const { max } = Math;
const never = Infinity;

const latencyMsMin = 1;
const latencyMsSpread = 20;

/** A node, where it runs, and what it told. */
export class Host {
  node: SerfNode | undefined;
  readonly sightings: Sighting[] = [];
  readonly told: Output[] = [];
  /** When the node is woken; Infinity: it is not. */
  wakesAt = never;

  constructor(
    readonly name: string,
    readonly address: GossipAddress,
  ) {}

  get running(): SerfNode {
    if (this.node === undefined) throw new Error(`${this.name} is down`);
    return this.node;
  }

  statusOf(name: string): string | undefined {
    return this.running.members().find((member) => member.name === name)?.status;
  }

  get aliveNames(): string[] {
    return this.running
      .members()
      .filter(({ status }) => status === 'alive')
      .map(({ name }) => name);
  }

  /** When `event` of `member` was first told after `since`. */
  firstSight(event: string, member: string, since: number): number | undefined {
    return this.sightings.find((each) => each.at >= since && each.event === event && each.member === member)?.at;
  }
}

/** Nodes on a network that loses packets and can be cut in two, in simulated time: milliseconds from 0. */
export class SimulatedNetwork {
  now = 0;
  readonly hosts: Host[] = [];
  readonly random: () => number;
  readonly wire: NetworkWire;
  readonly timing: GossipTiming;
  readonly #lostShare: number;
  readonly #losesPacketsTo: (host: Host) => boolean;
  #tasks: Task[] = [];
  #order = 0;
  #sideOf: ((host: Host) => number) | undefined;
  readonly #byAddress = new Map<string, Host>();
  readonly #packetsToNobody = new Map<string, number>();

  constructor(options: NetworkOptions) {
    const { seed, lostPercent = 0, timing = lanTiming, losesPacketsTo = () => false } = options;
    this.wire = options.wire ?? new MemoryWire();
    this.#losesPacketsTo = losesPacketsTo;
    this.random = randomOf(seed);
    this.timing = timing;
    this.#lostShare = lostPercent / 100;
  }

  /** A host whose node runs, and knows nobody. */
  add(name: string, options: Partial<SerfNodeOptions> = {}): Host {
    const number = this.hosts.length;
    const host = new Host(name, { ip: `10.0.${number >> 8}.${number & 255}`, port: 7946 });
    this.hosts.push(host);
    this.#byAddress.set(keyOf(host.address), host);
    this.start(host, options);
    return host;
  }

  start(host: Host, options: Partial<SerfNodeOptions> = {}): void {
    host.node = new SerfNode({
      name: host.name,
      address: host.address,
      tags: new Map([['role', 'log']]),
      timing: this.timing,
      wire: this.wire,
      random: this.random,
      now: this.now,
      ...options,
    });
    host.wakesAt = never;
    this.settle(host);
  }

  /** The node is gone without a word. */
  crash(host: Host): void {
    host.node = undefined;
    host.wakesAt = never;
  }

  /** A group of hosts that all know each other, as soon as time passes. */
  addGroup(count: number): void {
    for (let number = 0; number < count; number += 1) {
      const host = this.add(`n${number}`);
      const first = this.hosts[0];
      if (first !== undefined && first !== host) this.join(host, first);
    }
  }

  join(host: Host, other: Host): void {
    this.#pushPull(host, other.address, true, () => {
      host.node?.joined(this.now);
      this.settle(host);
    });
  }

  /** How many packets went to an address where there is no host. */
  packetsTo(address: GossipAddress): number {
    return this.#packetsToNobody.get(keyOf(address)) ?? 0;
  }

  /** From now on nothing passes between hosts of different sides; undefined: everything passes. */
  cut(sideOf: ((host: Host) => number) | undefined): void {
    this.#sideOf = sideOf;
  }

  /** Lets time pass up to `until`. */
  run(until: number): void {
    for (;;) {
      const task = this.#tasks[0];
      if (task === undefined || task.at > until) break;
      this.#dropFirst();
      this.now = task.at;
      task.run();
    }
    this.now = until;
  }

  /** Lets time pass until `condition`, looked at every `step`. False: it did not come true before `until`. */
  runUntil(condition: () => boolean, until: number, step = 100): boolean {
    while (!condition()) {
      if (this.now >= until) return false;
      this.run(Math.min(until, this.now + step));
    }
    return true;
  }

  /** To be called after each call of a node from outside: does what it asks for. */
  settle(host: Host): void {
    const { node } = host;
    if (node === undefined) return;
    for (const output of node.takeOutputs()) this.#do(host, output);
    const at = max(this.now, node.nextTickAt);
    if (at >= host.wakesAt || at === never) return;
    host.wakesAt = at;
    this.#at(at, () => this.#wake(host, node, at));
  }

  #wake(host: Host, node: SerfNode, at: number): void {
    if (host.node !== node || host.wakesAt !== at) return;
    host.wakesAt = never;
    node.tick(this.now);
    this.settle(host);
  }

  #do(host: Host, output: Output): void {
    switch (output.type) {
      case 'packet':
        this.#packet(host, output.to, output.parts);
        return;
      case 'push-pull':
        this.#pushPull(host, output.to, output.join, () => {});
        return;
      case 'stream-ping':
        this.#exchange(host, output.to, (other) => {
          if (other.running.answerStreamPing(output.ping) === undefined) return undefined;
          return () => host.running.streamPingAnswered(output.ping.seqNo);
        });
        return;
      case 'member':
        host.sightings.push({ at: this.now, event: output.event, member: output.member.name });
        return;
      default:
        host.told.push(output);
    }
  }

  #packet(host: Host, to: GossipAddress, parts: readonly Uint8Array[]): void {
    const other = this.#byAddress.get(keyOf(to));
    if (other === undefined) this.#packetsToNobody.set(keyOf(to), this.packetsTo(to) + 1);
    if (other === undefined || this.random() < this.#lostShare || this.#isCut(host, other)) return;
    if (this.#losesPacketsTo(other)) return;
    this.#at(this.now + this.#latency(), () => {
      for (const part of parts) other.node?.receive(this.wire.decodeSwim(part), host.address, this.now);
      this.settle(other);
    });
  }

  #pushPull(host: Host, to: GossipAddress, join: boolean, onDone: () => void): void {
    const mine = this.wire.transmit(host.running.pushPullState(join));
    this.#exchange(host, to, (other): (() => void) => {
      const theirs = this.wire.transmit(other.running.pushPullState(join));
      other.running.mergePushPull(mine, this.now);
      return () => {
        host.running.mergePushPull(theirs, this.now);
        onDone();
      };
    });
  }

  /** A stream loses nothing, but is late by a second and more where a packet of it is lost. */
  #exchange(host: Host, to: GossipAddress, serve: (other: Host) => (() => void) | undefined): void {
    const other = this.#byAddress.get(keyOf(to));
    const { node } = host;
    if (other === undefined) return;
    this.#at(this.now + this.#streamLatency() + this.#streamLatency(), () => {
      if (other.node === undefined || this.#isCut(host, other)) return;
      const answer = serve(other);
      this.settle(other);
      if (answer === undefined) return;
      this.#at(this.now + this.#streamLatency(), () => {
        if (host.node === undefined || host.node !== node || this.#isCut(host, other)) return;
        answer();
        this.settle(host);
      });
    });
  }

  #isCut(a: Host, b: Host): boolean {
    return this.#sideOf !== undefined && this.#sideOf(a) !== this.#sideOf(b);
  }

  #streamLatency(): number {
    let latency = this.#latency();
    for (let wait = 1000; this.random() < this.#lostShare; wait *= 2) latency += wait;
    return latency;
  }

  #latency(): number {
    return latencyMsMin + this.random() * latencyMsSpread;
  }

  #at(at: number, run: () => void): void {
    const tasks = this.#tasks;
    this.#order += 1;
    const task: Task = { at, order: this.#order, run };
    let place = tasks.length;
    tasks.push(task);
    while (place > 0) {
      const parentPlace = (place - 1) >> 1;
      const parent = tasks[parentPlace];
      if (parent === undefined || isBefore(parent, task)) break;
      tasks[place] = parent;
      place = parentPlace;
    }
    tasks[place] = task;
  }

  #dropFirst(): void {
    const tasks = this.#tasks;
    const task = tasks.pop();
    if (task === undefined || tasks.length === 0) return;
    let place = 0;
    for (;;) {
      let childPlace = 2 * place + 1;
      let child = tasks[childPlace];
      if (child === undefined) break;
      const right = tasks[childPlace + 1];
      if (right !== undefined && isBefore(right, child)) {
        child = right;
        childPlace += 1;
      }
      if (isBefore(task, child)) break;
      tasks[place] = child;
      place = childPlace;
    }
    tasks[place] = task;
  }
}

function isBefore(a: Task, b: Task): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

function keyOf({ ip, port }: GossipAddress): string {
  return `${ip} ${port}`;
}
