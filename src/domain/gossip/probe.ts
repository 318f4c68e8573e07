import { isGone, sameAddress, type SwimMember } from './member-list.js';
import type { Ack, GossipAddress, IndirectPing, Nack, Ping, PingSource } from './message.js';
import type { Packets } from './packets.js';
import type { Swim } from './swim.js';
import type { GossipTiming } from './timing.js';

/** Members up to these versions know neither TCP pings nor nacks. */
const streamPingProtocol = 3;
const nackProtocol = 4;
/** Pings for others that are under way at most. */
const favoursMax = 1024;
const seqNoCount = 2 ** 32;

interface Probe {
  readonly seqNo: number;
  readonly member: SwimMember;
  readonly incarnation: number;
  readonly sentAt: number;
  /** From then on others are asked; undefined: they were. */
  askOthersAt: number | undefined;
  readonly deadline: number;
  expectedNacks: number;
  nacks: number;
  answeredByStream: boolean;
}

/** A ping for another member (SWIM §3.1). */
interface Favour {
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
  /** What an ack carries: Serf's coordinate. */
  readonly ackPayload: () => Uint8Array;
  /** A member answered a direct ping. */
  readonly onRoundTrip: (member: SwimMember, ms: number, payload: Uint8Array) => void;
}

/**
 * Asks one member after the other whether it is there: directly, then by others and by TCP, and suspects it when none of
 * this was answered within the protocol period (SWIM §3.1, Lifeguard §IV-A). One at a time. And answers such questions,
 * but only to members: a forged sender gets nobody else an answer that is larger than the question.
 */
export class Prober {
  readonly #swim: Swim;
  readonly #packets: Packets;
  readonly #timing: GossipTiming;
  readonly #options: ProberOptions;
  readonly #source: PingSource;
  readonly #favours = new Map<number, Favour>();
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
    let next = this.#probe === undefined ? this.#probeAt : (this.#probe.askOthersAt ?? this.#probe.deadline);
    for (const { deadline } of this.#favours.values()) next = Math.min(next, deadline);
    return next;
  }

  tick(now: number): void {
    const probe = this.#probe;
    if (probe?.askOthersAt !== undefined && probe.askOthersAt <= now) this.#askOthers(probe);
    if (probe !== undefined && probe.deadline <= now) this.#conclude(probe, now);
    if (this.#probe === undefined && this.#probeAt <= now) this.#start(now);
    for (const [seqNo, favour] of this.#favours) if (favour.deadline <= now) this.#giveUp(seqNo, favour);
  }

  /** Answers a ping, if it is meant for this node. */
  answer(ping: Ping): Ack | undefined {
    if (ping.node !== '' && ping.node !== this.#swim.me.name) return undefined;
    return { type: 'ack', seqNo: ping.seqNo, payload: this.#options.ackPayload() };
  }

  receivePing(ping: Ping, from: GossipAddress): void {
    const ack = this.answer(ping);
    if (ack === undefined) return;
    const to = this.#memberAddress(ping.source, from);
    if (to !== undefined) this.#packets.sendToAddress(to, ack);
    // It may have joined so lately that this node has not heard of it. Without payload the ack is no larger than its ping.
    else if (ping.source !== undefined) this.#packets.sendAlone(from, { ...ack, payload: new Uint8Array() });
  }

  /** Pings a member for another one. */
  receiveIndirectPing(request: IndirectPing, from: GossipAddress, now: number): void {
    const origin = this.#memberAddress(request.source, from);
    const target = this.#swim.members.get(request.node);
    if (origin === undefined || target === undefined || !sameAddress(target.address, request.target)) return;
    if (this.#favours.size >= favoursMax) return;
    const seqNo = this.#nextSeqNo();
    const deadline = now + this.#timing.probeTimeoutMs;
    this.#favours.set(seqNo, { origin, originSeqNo: request.seqNo, nack: request.nack, deadline });
    this.#packets.send(target, this.#ping(seqNo, target.name));
  }

  receiveAck({ seqNo, payload }: Ack, now: number): void {
    const favour = this.#favours.get(seqNo);
    if (favour !== undefined) {
      this.#favours.delete(seqNo);
      this.#packets.sendToAddress(favour.origin, {
        type: 'ack',
        seqNo: favour.originSeqNo,
        payload: new Uint8Array(),
      });
      return;
    }
    const probe = this.#probe;
    if (probe?.seqNo !== seqNo || probe.deadline <= now) return;
    this.#probe = undefined;
    this.#swim.awareness.apply(-1);
    if (probe.askOthersAt !== undefined && probe.askOthersAt > now) {
      this.#options.onRoundTrip(probe.member, now - probe.sentAt, payload);
    }
  }

  /** A helper is there, but the member did not answer it. */
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
    const member = members.nextToProbe((each) => each !== me && !isGone(each), now - this.#timing.gossipToTheDeadMs);
    if (member === undefined) return;
    const seqNo = this.#nextSeqNo();
    this.#probe = {
      seqNo,
      member,
      incarnation: member.incarnation,
      sentAt: now,
      askOthersAt: now + this.#timing.probeTimeoutMs,
      deadline: now + awareness.scale(interval),
      expectedNacks: 0,
      nacks: 0,
      answeredByStream: false,
    };
    const ping = this.#ping(seqNo, member.name);
    if (member.state === 'alive') this.#packets.send(member, ping);
    // A suspect is told at once, so that it can refute.
    else this.#packets.sendAlone(member.address, ping, this.#suspicionOf(this.#probe));
  }

  #askOthers(probe: Probe): void {
    probe.askOthersAt = undefined;
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

  /** The period is over, and no ack came. */
  #conclude(probe: Probe, now: number): void {
    this.#probe = undefined;
    if (probe.answeredByStream) {
      this.#swim.awareness.apply(-1);
      return;
    }
    // Helpers that did not even say that they failed: then it may be this node that hears nothing.
    this.#swim.awareness.apply(probe.expectedNacks > 0 ? Math.max(0, probe.expectedNacks - probe.nacks) : 1);
    this.#swim.suspect(this.#suspicionOf(probe), now);
  }

  #giveUp(seqNo: number, { origin, originSeqNo, nack }: Favour): void {
    this.#favours.delete(seqNo);
    if (nack) this.#packets.sendToAddress(origin, { type: 'nack', seqNo: originSeqNo });
  }

  #suspicionOf({ incarnation, member }: Probe) {
    return { type: 'suspect', incarnation, node: member.name, from: this.#swim.me.name } as const;
  }

  /** Where an answer to this question may go. */
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
