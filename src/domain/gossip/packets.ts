import type { BroadcastQueue } from './broadcast-queue.js';
import type { SwimMember } from './member-list.js';
import type { GossipAddress, SwimMessage } from './message.js';
import type { Output } from './output.js';
import type { MembershipWire } from './wire.js';

/** What memberlist puts into one packet, all layers included. */
const packetBytesMax = 1400;
/** A compound's type and count. */
const compoundBytes = 2;
const compoundBytesPerPart = 2;
/** Since this version a member takes the CRC layer. */
const checksumProtocol = 5;

interface PacketsOptions {
  readonly wire: MembershipWire;
  /** What the layers below add. */
  readonly overheadBytes: number;
  /** What there is to tell, the most urgent first. */
  readonly queues: readonly BroadcastQueue[];
  /** How often a message is passed on. */
  readonly transmitLimit: () => number;
}

/** What goes out: packets, filled up with what is to be told to everybody. */
export class Packets {
  readonly #options: PacketsOptions;
  #outputs: Output[] = [];

  constructor(options: PacketsOptions) {
    this.#options = options;
  }

  push(output: Output): void {
    this.#outputs.push(output);
  }

  takeOutputs(): Output[] {
    const outputs = this.#outputs;
    if (outputs.length > 0) this.#outputs = [];
    return outputs;
  }

  get hasGossip(): boolean {
    return this.#options.queues.some((queue) => queue.length > 0);
  }

  /** Sends `message`, and with it as much gossip as fits. */
  send(to: SwimMember, message: SwimMessage): void {
    const own = this.#options.wire.encodeSwim(message);
    this.#packet(to.address, [own, ...this.#takeGossip(own.length + compoundBytesPerPart)], takesChecksum(to));
  }

  /** As `send`, to an address of a member. */
  sendToAddress(to: GossipAddress, message: SwimMessage): void {
    const own = this.#options.wire.encodeSwim(message);
    this.#packet(to, [own, ...this.#takeGossip(own.length + compoundBytesPerPart)], false);
  }

  /** Sends these messages, and nothing else. */
  sendAlone(to: GossipAddress, ...messages: readonly SwimMessage[]): void {
    this.#packet(
      to,
      messages.map((message) => this.#options.wire.encodeSwim(message)),
      false,
    );
  }

  /** Sends as much gossip as fits. False: there is none. */
  sendGossip(to: SwimMember): boolean {
    const parts = this.#takeGossip(0);
    if (parts.length === 0) return false;
    this.#packet(to.address, parts, takesChecksum(to));
    return true;
  }

  #takeGossip(usedBytes: number): Uint8Array[] {
    const { queues, overheadBytes, transmitLimit } = this.#options;
    let free = packetBytesMax - overheadBytes - compoundBytes - usedBytes;
    const taken: Uint8Array[] = [];
    for (const queue of queues) {
      if (queue.length === 0) continue;
      for (const message of queue.take(compoundBytesPerPart, free, transmitLimit())) {
        taken.push(message);
        free -= message.length + compoundBytesPerPart;
      }
    }
    return taken;
  }

  #packet(to: GossipAddress, parts: readonly Uint8Array[], checksum: boolean): void {
    this.#outputs.push({ type: 'packet', to, parts, checksum });
  }
}

function takesChecksum({ versions }: SwimMember): boolean {
  return versions.protocolMax >= checksumProtocol;
}
