import type { PeerMessage, PeerReceiver } from '../../src/application/ports/peer-transport.js';
import type { Cluster } from '../../src/application/ports/cluster.js';
import type { EntryHandler } from '../../src/application/ports/entry-source.js';
import type { JoinHandler } from '../../src/application/ports/join-transport.js';
import type { VouchHandler } from '../../src/application/ports/vouching.js';
import type { ReplicaHandler } from '../../src/application/ports/replica-uplink.js';
import type { BatchChecksum } from '../../src/domain/log/record-batch.js';
import type { Message } from '../../src/domain/raft/message.js';
import type { Chance } from './chance.js';
import { copyMessage, describeMessage } from './message-copy.js';
import type { SimulatedGossip } from './simulated-gossip.js';
import type { SimulatedProcess } from './simulated-process.js';
import type { World } from './world.js';

/** The current behavior of the network. */
export interface NetworkWeather {
  delayMsMin: number;
  delayMsMax: number;
  /** Percentage of messages that are lost, without the ones after them. */
  lostPercent: number;
  /** Percentage of messages at which the link breaks, and everything in flight in its lane is lost. */
  breakPercent: number;
  /** Percentage of messages that arrive a second time, later, as if sent again over a new link. */
  repeatPercent: number;
}

export const fairWeather: Readonly<NetworkWeather> = {
  delayMsMin: 0.2,
  delayMsMax: 3,
  lostPercent: 0,
  breakPercent: 0,
  repeatPercent: 0,
};

/** The requests of a node to join, since it last ran Raft. */
export interface JoinRequests {
  /** How many got no answer: they may have been granted, and its disk does not know it. */
  unanswered: number;
}

/** A process that listens at an address. */
export interface Listener {
  readonly machine: string;
  /** HOST:PORT. */
  readonly address: string;
  readonly process: SimulatedProcess;
  /** Raft id; 0 while it is in no cluster. */
  self: number;
  /** The UUID of its disk. */
  readonly uuid: string;
  /** What its release offers; at level 0 it takes no notes, and vouches for nobody. */
  readonly featureLevel: number;
  /** Addresses of the nodes that have sent it a message, by Raft id. */
  readonly heard: Map<number, string>;
  /** Its requests to join. */
  readonly joins: JoinRequests;
  receiver?: PeerReceiver;
  cluster?: Cluster;
  joinHandler?: JoinHandler;
  vouchHandler?: VouchHandler;
  entries?: EntryHandler;
  replicas?: ReplicaHandler;
  gossip?: SimulatedGossip;
}

interface Lane {
  /** The epoch of the connection: whatever was sent over an earlier one never arrives. */
  epoch: number;
  lastArrivalMs: number;
}

/** Changes an arriving message for a negative control; undefined drops the message. */
export type MessageFilter = (message: Message, from: string, to: string) => Message | undefined;

/** All links between machines, by name. */
export class Network {
  readonly weather: NetworkWeather = { ...fairWeather };
  /** Called with every message that arrives, before its receiver. */
  filter: MessageFilter = (message) => message;
  /** Called with every message that is sent. */
  onSend: (message: Message, from: string) => void = () => undefined;
  /** Called when a node gives its vote to the member with this id. */
  onVote: (voter: string, candidate: number) => void = () => undefined;
  readonly #listeners = new Map<string, Listener>();
  readonly #lanes = new Map<string, Lane>();
  readonly #cuts = new Set<string>();

  constructor(
    private readonly world: World,
    private readonly chance: Chance,
    private readonly checksum: BatchChecksum,
  ) {}

  listen(listener: Listener): void {
    this.#listeners.set(listener.address, listener);
  }

  /** Undefined if the process there has ended. */
  listener(address: string): Listener | undefined {
    const listener = this.#listeners.get(address);
    return listener?.process.alive === true ? listener : undefined;
  }

  /** Drops everything from one machine to the other from now on; the opposite direction is not affected. */
  cut(from: string, to: string): void {
    this.#cuts.add(`${from}>${to}`);
  }

  healCuts(): void {
    this.#cuts.clear();
  }

  healAll(): void {
    this.healCuts();
    Object.assign(this.weather, fairWeather);
  }

  isCut(from: string, to: string): boolean {
    return this.#cuts.has(`${from}>${to}`);
  }

  delayMs(): number {
    const { delayMsMin, delayMsMax } = this.weather;
    return delayMsMin + this.chance.fraction() * (delayMsMax - delayMsMin);
  }

  /**
   * Carries a Raft message to the process that listens at the address. Calls `onLost`, possibly late, if it does not
   * arrive.
   */
  send(from: Listener, address: string, message: Message, onLost: () => void): void {
    this.onSend(message, from.machine);
    if (message.type === 'MsgVoteResp' && !message.reject) this.onVote(from.machine, message.to);
    const copy = copyMessage(message, this.checksum);
    const lane = copy.type === 'MsgApp' || copy.type === 'MsgSnap' ? 'bulk' : 'control';
    const label = describeMessage(copy);
    const deliver = (to: Listener): void => {
      if (to.self !== copy.to) {
        onLost();
        return;
      }
      to.heard.set(copy.from, from.address);
      const received = this.filter(carriesNotes(from, to) ? copy : withoutNotes(copy), from.machine, to.machine);
      if (received !== undefined) to.receiver?.receive(received);
    };
    this.carry(from, address, lane, label, deliver, onLost);
  }

  /**
   * Runs `deliver` in the process that listens at the address, in the order of the lane; or calls `onLost`, in no
   * process, after a moment. Never both.
   */
  carry(
    from: Listener,
    address: string,
    laneName: string,
    label: string,
    deliver: (to: Listener) => void,
    onLost: () => void,
  ): void {
    const { world, chance, weather } = this;
    const to = this.listener(address);
    const lose = (): void => void world.schedule(this.delayMs(), `lost ${label}`, onLost);
    if (to === undefined || this.isCut(from.machine, to.machine)) {
      lose();
      return;
    }
    const lane = this.#lane(`${from.process.name}>${to.process.name} ${laneName}`);
    if (chance.percent(weather.breakPercent)) {
      lane.epoch += 1;
      world.note(`link ${from.machine}>${to.machine} ${laneName} breaks`);
    }
    if (chance.percent(weather.lostPercent)) {
      lose();
      return;
    }
    const { epoch } = lane;
    lane.lastArrivalMs = Math.max(lane.lastArrivalMs, world.nowMs + this.delayMs());
    const arrive = (): void => {
      if (lane.epoch !== epoch || !to.process.alive || this.isCut(from.machine, to.machine)) onLost();
      else to.process.enter(label, () => deliver(to));
    };
    const words = `${from.machine}>${to.machine} ${label}`;
    world.schedule(lane.lastArrivalMs - world.nowMs, words, arrive);
    if (laneName !== 'calls' && chance.percent(weather.repeatPercent)) {
      world.schedule(lane.lastArrivalMs - world.nowMs + chance.between(1, 2000), `again ${words}`, () => {
        if (to.process.alive && !this.isCut(from.machine, to.machine)) to.process.enter(label, () => deliver(to));
      });
    }
  }

  #lane(name: string): Lane {
    let lane = this.#lanes.get(name);
    if (lane === undefined) this.#lanes.set(name, (lane = { epoch: 0, lastArrivalMs: 0 }));
    return lane;
  }
}

/** Whether both ends know notes: see `NoteExchange`. */
function carriesNotes(from: Listener, to: Listener): boolean {
  return from.featureLevel > 0 && to.featureLevel > 0;
}

function withoutNotes({ notes: _, ...message }: PeerMessage): Message {
  return message;
}
