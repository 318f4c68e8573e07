import { isDeadOrLeft, sameAddress, type SwimMember } from './member-list.js';
import type { Ack, GossipAddress, IndirectPing, Nack, Ping, PingSource } from './message.js';
import type { Packets } from './packets.js';
import type { Swim } from './swim.js';
import type { GossipTiming } from './timing.js';

/** Members below these versions do not support TCP pings and nacks. */
const streamPingProtocol = 3;
const nackProtocol = 4;
/** The maximum number of relayed pings in flight. */
const relayedPingsMax = 1024;
const seqNoCount = 2 ** 32;

interface Probe {
  readonly seqNo: number;
  readonly member: SwimMember;
  readonly incarnation: number;
  readonly sentAt: number;
  /** The time at which to send indirect pings; undefined once they were sent. */
  indirectPingsAt: number | undefined;
  readonly deadline: number;
  expectedNacks: number;
  nacks: number;
  answeredByStream: boolean;
}

/** A ping on behalf of another member (SWIM §3.1). */
interface RelayedPing {
  readonly origin: GossipAddress;
  readonly originSeqNo: number;
  readonly nack: boolean;
  readonly deadline: number;
}

interface ProberOptions {
  readonly swim: Swim;
  readonly packets: Packets;
  readonly timing: GossipTiming;
  readonly random: () => number;
  /** Returns the payload of an ack: Serf's coordinate. */
  readonly ackPayload: () => Uint8Array;
  /** Called when a member answered a direct ping. */
  readonly onRoundTrip: (member: SwimMember, ms: number, payload: Uint8Array) => void;
}

/**
 * Probes one member at a time: with a ping, then with indirect pings and over TCP, and suspects the member when no
 * answer arrives within the protocol period (SWIM §3.1, Lifeguard §IV-A). Also answers pings, but only to members'
 * addresses: a forged sender cannot direct an answer larger than the ping to anyone else.
 */
export class Prober {
  readonly #swim: Swim;
  readonly #packets: Packets;
  readonly #timing: GossipTiming;
  readonly #options: ProberOptions;
  readonly #source: PingSource;
  readonly #relayedPings = new Map<number, RelayedPing>();
  #probe: Probe | undefined;
  #probeAt: number;
  #seqNo: number;

  constructor(options: ProberOptions, now: number) {
    this.#options = options;
    this.#swim = options.swim;
    this.#packets = options.packets;
    this.#timing = options.timing;
    this.#source = { ...options.swim.me.address, node: options.swim.me.name };
    this.#probeAt = now + options.random() * options.timing.probeIntervalMs;
    this.#seqNo = Math.floor(options.random() * seqNoCount);
  }

  get nextTickAt(): number {
    let next = this.#probe === undefined ? this.#probeAt : (this.#probe.indirectPingsAt ?? this.#probe.deadline);
    for (const { deadline } of this.#relayedPings.values()) next = Math.min(next, deadline);
    return next;
  }

  tick(now: number): void {
    const probe = this.#probe;
    if (probe?.indirectPingsAt !== undefined && probe.indirectPingsAt <= now) this.#sendIndirectPings(probe);
    if (probe !== undefined && probe.deadline <= now) this.#conclude(probe, now);
    if (this.#probe === undefined && this.#probeAt <= now) this.#start(now);
    for (const [seqNo, relayed] of this.#relayedPings) if (relayed.deadline <= now) this.#giveUp(seqNo, relayed);
  }

  /** Returns the ack of a ping, if it is meant for this node. */
  answer(ping: Ping): Ack | undefined {
    if (ping.node !== '' && ping.node !== this.#swim.me.name) return undefined;
    return { type: 'ack', seqNo: ping.seqNo, payload: this.#options.ackPayload() };
  }

  receivePing(ping: Ping, from: GossipAddress): void {
    const ack = this.answer(ping);
    if (ack === undefined) return;
    const to = this.#memberAddress(ping.source, from);
    if (to !== undefined) this.#packets.sendToAddress(to, ack);
    // The sender may be a member that this node does not know yet. Without payload, the ack is not larger than its
    // ping.
    else if (ping.source !== undefined) this.#packets.sendAlone(from, { ...ack, payload: new Uint8Array() });
  }

  /** Pings a member on behalf of another one. */
  receiveIndirectPing(request: IndirectPing, from: GossipAddress, now: number): void {
    const origin = this.#memberAddress(request.source, from);
    const target = this.#swim.members.get(request.node);
    if (origin === undefined || target === undefined || !sameAddress(target.address, request.target)) return;
    if (this.#relayedPings.size >= relayedPingsMax) return;
    const seqNo = this.#nextSeqNo();
    const deadline = now + this.#timing.probeTimeoutMs;
    this.#relayedPings.set(seqNo, { origin, originSeqNo: request.seqNo, nack: request.nack, deadline });
    this.#packets.send(target, this.#ping(seqNo, target.name));
  }

  receiveAck({ seqNo, payload }: Ack, now: number): void {
    const relayed = this.#relayedPings.get(seqNo);
    if (relayed !== undefined) {
      this.#relayedPings.delete(seqNo);
      this.#packets.sendToAddress(relayed.origin, {
        type: 'ack',
        seqNo: relayed.originSeqNo,
        payload: new Uint8Array(),
      });
      return;
    }
    const probe = this.#probe;
    if (probe?.seqNo !== seqNo || probe.deadline <= now) return;
    this.#probe = undefined;
    this.#swim.awareness.apply(-1);
    if (probe.indirectPingsAt !== undefined && probe.indirectPingsAt > now) {
      this.#options.onRoundTrip(probe.member, now - probe.sentAt, payload);
    }
  }

  /** Counts a helper that is reachable but got no answer from the member. */
  receiveNack({ seqNo }: Nack): void {
    if (this.#probe?.seqNo === seqNo) this.#probe.nacks += 1;
  }

  streamAnswered(seqNo: number): void {
    if (this.#probe?.seqNo === seqNo) this.#probe.answeredByStream = true;
  }

  #start(now: number): void {
    const interval = this.#timing.probeIntervalMs;
    this.#probeAt += interval * Math.max(1, Math.ceil((now - this.#probeAt) / interval));
    const { members, me, awareness } = this.#swim;
    const member = members.nextToProbe(
      (each) => each !== me && !isDeadOrLeft(each),
      now - this.#timing.gossipToTheDeadMs,
    );
    if (member === undefined) return;
    const seqNo = this.#nextSeqNo();
    this.#probe = {
      seqNo,
      member,
      incarnation: member.incarnation,
      sentAt: now,
      indirectPingsAt: now + this.#timing.probeTimeoutMs,
      deadline: now + awareness.scale(interval),
      expectedNacks: 0,
      nacks: 0,
      answeredByStream: false,
    };
    const ping = this.#ping(seqNo, member.name);
    if (member.state === 'alive') this.#packets.send(member, ping);
    // A suspect is notified at once, so that it can refute.
    else this.#packets.sendAlone(member.address, ping, this.#suspicionOf(this.#probe));
  }

  #sendIndirectPings(probe: Probe): void {
    probe.indirectPingsAt = undefined;
    const { me, members } = this.#swim;
    const { member, seqNo } = probe;
    const helpers = members.pick(
      this.#timing.indirectChecks,
      (each) => each !== me && each !== member && each.state === 'alive',
    );
    for (const helper of helpers) {
      const nack = helper.versions.protocolMax >= nackProtocol;
      if (nack) probe.expectedNacks += 1;
      this.#packets.send(helper, {
        type: 'indirect-ping',
        seqNo,
        target: member.address,
        node: member.name,
        nack,
        source: this.#source,
      });
    }
    if (member.versions.protocolMax < streamPingProtocol) return;
    const ping = this.#ping(seqNo, member.name);
    this.#packets.push({ type: 'stream-ping', to: member.address, ping, deadline: probe.deadline });
  }

  /** Ends a probe without ack at the end of its period. */
  #conclude(probe: Probe, now: number): void {
    this.#probe = undefined;
    if (probe.answeredByStream) {
      this.#swim.awareness.apply(-1);
      return;
    }
    // If helpers did not even send a nack, this node itself may be unable to receive.
    this.#swim.awareness.apply(probe.expectedNacks > 0 ? Math.max(0, probe.expectedNacks - probe.nacks) : 1);
    this.#swim.suspect(this.#suspicionOf(probe), now);
  }

  #giveUp(seqNo: number, { origin, originSeqNo, nack }: RelayedPing): void {
    this.#relayedPings.delete(seqNo);
    if (nack) this.#packets.sendToAddress(origin, { type: 'nack', seqNo: originSeqNo });
  }

  #suspicionOf({ incarnation, member }: Probe) {
    return { type: 'suspect', incarnation, node: member.name, from: this.#swim.me.name } as const;
  }

  /** Returns the address to which this request may be answered. */
  #memberAddress(source: PingSource | undefined, from: GossipAddress): GossipAddress | undefined {
    const { members } = this.#swim;
    const named = source === undefined ? undefined : members.get(source.node)?.address;
    if (source !== undefined && named !== undefined && sameAddress(named, source)) return named;
    return members.hasAddress(from) ? from : undefined;
  }

  #ping(seqNo: number, node: string): Ping {
    return { type: 'ping', seqNo, node, source: this.#source };
  }

  #nextSeqNo(): number {
    this.#seqNo = (this.#seqNo + 1) % seqNoCount;
    return this.#seqNo;
  }
}
