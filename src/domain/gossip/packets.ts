import type { BroadcastQueue } from './broadcast-queue.js';
import type { SwimMember } from './member-list.js';
import type { GossipAddress, SwimMessage } from './message.js';
import type { Output } from './output.js';
import type { MembershipWire } from './wire.js';

/** memberlist's maximum packet size, including all layers. */
const packetBytesMax = 1400;
/** The type and count of a compound. */
const compoundBytes = 2;
const compoundBytesPerPart = 2;
/** Members from this version on accept the CRC layer. */
const checksumProtocol = 5;

interface PacketsOptions {
  readonly wire: MembershipWire;
  /** Bytes that the lower layers add. */
  readonly overheadBytes: number;
  /** The gossip queues, most urgent first. */
  readonly queues: readonly BroadcastQueue[];
  /** Returns how often a message is sent. */
  readonly transmitLimit: () => number;
}

/** The outgoing packets, filled up with gossip. */
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
    this.#packet(to.address, [own, ...this.#takeGossip(own.length + compoundBytesPerPart)], acceptsChecksum(to));
  }

  /** Sends like `send`, to a member's address. */
  sendToAddress(to: GossipAddress, message: SwimMessage): void {
    const own = this.#options.wire.encodeSwim(message);
    this.#packet(to, [own, ...this.#takeGossip(own.length + compoundBytesPerPart)], false);
  }

  /** Sends these messages without gossip. */
  sendAlone(to: GossipAddress, ...messages: readonly SwimMessage[]): void {
    this.#packet(
      to,
      messages.map((message) => this.#options.wire.encodeSwim(message)),
      false,
    );
  }

  /** Sends as much gossip as fits; returns false if there is none. */
  sendGossip(to: SwimMember): boolean {
    const parts = this.#takeGossip(0);
    if (parts.length === 0) return false;
    this.#packet(to.address, parts, acceptsChecksum(to));
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

function acceptsChecksum({ versions }: SwimMember): boolean {
  return versions.protocolMax >= checksumProtocol;
}
