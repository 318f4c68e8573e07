import type { GossipAddress, PushPull, SwimMessage } from '../../src/domain/gossip/message.js';
import type { Output } from '../../src/domain/gossip/output.js';
import { SerfNode, type SerfNodeOptions } from '../../src/domain/gossip/serf-node.js';
import { lanTiming, type GossipTiming } from '../../src/domain/gossip/timing.js';
import type { MembershipWire } from '../../src/domain/gossip/wire.js';
import { MemoryWire } from './memory-wire.js';
import { randomOf } from './random.js';

/** The wire format of the simulated network. */
export interface NetworkWire extends MembershipWire {
  decodeSwim(bytes: Uint8Array): SwimMessage;
  /** Returns the push/pull as the receiver decodes it. */
  transmit(state: PushPull): PushPull;
}

interface NetworkOptions {
  readonly seed: number;
  /** The percentage of lost packets. */
  readonly lostPercent?: number;
  readonly timing?: GossipTiming;
  readonly wire?: NetworkWire;
  /** Selects hosts that only streams reach, not packets. */
  readonly losesPacketsTo?: (host: Host) => boolean;
}

/** A member event that a host reported. */
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

/** Global lookups are slow in the test runner. */
const { max } = Math;
const never = Infinity;

const latencyMsMin = 1;
const latencyMsSpread = 20;

/** A host with its node, its address and the node's notifications. */
export class Host {
  node: SerfNode | undefined;
  readonly sightings: Sighting[] = [];
  readonly notifications: Output[] = [];
  /** The time at which the node is woken; Infinity if never. */
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

  /** Returns the time at which `event` of `member` was first reported after `since`. */
  firstSight(event: string, member: string, since: number): number | undefined {
    return this.sightings.find((each) => each.at >= since && each.event === event && each.member === member)?.at;
  }
}

/** Nodes on a network that loses packets and can be partitioned, in simulated time: milliseconds from 0. */
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

  /** Adds a host with a running node that knows no other member. */
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

  /** Stops the node abruptly. */
  crash(host: Host): void {
    host.node = undefined;
    host.wakesAt = never;
  }

  /** Adds a group of hosts that all join the first one. */
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

  /** Returns the number of packets sent to an address without a host. */
  packetsTo(address: GossipAddress): number {
    return this.#packetsToNobody.get(keyOf(address)) ?? 0;
  }

  /** Blocks all traffic between hosts of different sides; undefined removes the partition. */
  cut(sideOf: ((host: Host) => number) | undefined): void {
    this.#sideOf = sideOf;
  }

  /** Advances the time to `until`. */
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

  /** Advances the time until `condition`, checked every `step`, holds; returns false if it does not before `until`. */
  runUntil(condition: () => boolean, until: number, step = 100): boolean {
    while (!condition()) {
      if (this.now >= until) return false;
      this.run(Math.min(until, this.now + step));
    }
    return true;
  }

  /** Does the work that a node's outputs describe. Call it after each direct call of a node. */
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
        host.notifications.push(output);
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

  /** Simulates a stream: it loses nothing, but a lost packet delays it by a second or more. */
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
    let i = tasks.length;
    tasks.push(task);
    while (i > 0) {
      const parentIndex = (i - 1) >> 1;
      const parent = tasks[parentIndex];
      if (parent === undefined || isBefore(parent, task)) break;
      tasks[i] = parent;
      i = parentIndex;
    }
    tasks[i] = task;
  }

  #dropFirst(): void {
    const tasks = this.#tasks;
    const task = tasks.pop();
    if (task === undefined || tasks.length === 0) return;
    let i = 0;
    for (;;) {
      let childIndex = 2 * i + 1;
      let child = tasks[childIndex];
      if (child === undefined) break;
      const right = tasks[childIndex + 1];
      if (right !== undefined && isBefore(right, child)) {
        child = right;
        childIndex += 1;
      }
      if (isBefore(task, child)) break;
      tasks[i] = child;
      i = childIndex;
    }
    tasks[i] = task;
  }
}

function isBefore(a: Task, b: Task): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

function keyOf({ ip, port }: GossipAddress): string {
  return `${ip} ${port}`;
}
