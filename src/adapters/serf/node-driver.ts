import type { Clock } from '../../application/ports/clock.js';
import type { Logger } from '../../application/ports/logger.js';
import type { GossipAddress, SwimMessage } from '../../domain/gossip/message.js';
import type { Member, Output, ReceivedQuery } from '../../domain/gossip/output.js';
import { PushPullRefusedError } from '../../domain/gossip/push-pull.js';
import { GossipTooLargeError } from '../../domain/gossip/serf-errors.js';
import type { SerfNode } from '../../domain/gossip/serf-node.js';
import { MalformedGossipError, type MembershipWire } from '../../domain/gossip/wire.js';
import { exchange } from './exchange.js';
import { formatAddress } from './host-port.js';
import { answerKeyQuery, isKeyQuery, type KeyChange } from './keys/key-queries.js';
import type { KeyringStore } from './keys/keyring-store.js';
import type { OncePerMinute } from './once-per-minute.js';
import { OpenQueries } from './open-queries.js';
import { decodePacket, encodePacket } from './wire/packet.js';
import type { Snapshot } from './snapshot.js';
import type { Sockets } from './sockets.js';
import type { StreamMessage } from './wire/stream.js';

/** The interval at which to look for changes that cause no event. */
const pollIntervalMs = 500;

/** Returns monotonic time in milliseconds. */
export const now = (): number => performance.now();

export const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

export interface NodeDriverOptions {
  readonly node: SerfNode;
  readonly sockets: Sockets;
  readonly keys: KeyringStore;
  readonly snapshot: Snapshot | undefined;
  readonly wire: MembershipWire;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly complaints: OncePerMinute;
  readonly streamTimeoutMs: number;
  /** After it aborts, the driver does nothing. */
  readonly signal: AbortSignal;
  readonly onMembers: () => void;
  readonly onLeft: () => void;
  readonly onUserEvent: ((name: string, payload: Uint8Array) => void) | undefined;
  readonly onQuery: ((name: string, payload: Uint8Array) => Uint8Array | undefined) | undefined;
}

/** Passes network input to a `SerfNode`, calls its ticks on time, and performs its output. */
export class NodeDriver {
  readonly queries = new OpenQueries();
  readonly #options: NodeDriverOptions;
  readonly #node: SerfNode;
  #tickAt = Infinity;
  #nextPollAt = 0;
  /** The names of the members that are leaving, joined. */
  #leaving = '';
  #cancelTick: (() => void) | undefined;

  constructor(options: NodeDriverOptions) {
    this.#options = options;
    this.#node = options.node;
  }

  /** Cancels all timers and open queries. */
  stop(): void {
    this.#cancelTick?.();
    this.#cancelTick = undefined;
    this.queries.close();
    this.#noteTimes();
  }

  receive(packet: Uint8Array, from: GossipAddress): void {
    try {
      for (const message of decodePacket(packet, this.#options.keys.keyring)) this.#receiveMessage(message, from);
    } catch (error) {
      this.#complain(error, formatAddress(from));
    }
    this.pump();
  }

  /** Returns the answer to a message received over TCP. */
  answer(message: StreamMessage, from: string): StreamMessage | undefined {
    switch (message.type) {
      case 'push-pull': {
        const state: StreamMessage = { type: 'push-pull', ...this.#node.pushPullState(message.join) };
        try {
          this.#node.mergePushPull(message, now());
        } catch (error) {
          this.#complain(error, from);
          return { type: 'error', message: reasonOf(error) };
        }
        this.pump();
        return state;
      }
      case 'ping':
        return this.#node.answerStreamPing(message);
      case 'user':
        this.#receiveMessage(message, { ip: from, port: 0 });
        this.pump();
        return undefined;
      case 'ack':
      case 'error':
        return undefined;
    }
  }

  /** Rejects with `UnavailableError`, `PushPullRefusedError` or `MalformedGossipError`. */
  async pushPull(to: GossipAddress, join: boolean, signal: AbortSignal): Promise<void> {
    const state = (): StreamMessage => ({ type: 'push-pull', ...this.#node.pushPullState(join) });
    const answer = await this.#exchange(to, state, signal, this.#options.streamTimeoutMs);
    if (answer.type !== 'push-pull')
      throw new MalformedGossipError(`${formatAddress(to)} answered with ${answer.type}: expected push-pull`);
    this.#node.mergePushPull(answer, now(), join);
    this.pump();
  }

  /** Call this after anything that may have produced output of the node. */
  pump(): void {
    if (this.#options.signal.aborted) return;
    let changed = false;
    for (const output of this.#node.takeOutputs()) {
      this.#execute(output);
      changed ||= output.type === 'member';
    }
    this.#arm();
    if (changed || this.#isNewStatus()) this.#options.onMembers();
  }

  /** Polls for members that start or cancel leaving, since Serf has no event for that. */
  #isNewStatus(): boolean {
    if (now() < this.#nextPollAt) return false;
    this.#nextPollAt = now() + pollIntervalMs;
    const leaving = this.#node
      .members()
      .filter(({ status }) => status === 'leaving')
      .map(({ name }) => name)
      .join();
    const isNew = leaving !== this.#leaving;
    this.#leaving = leaving;
    return isNew;
  }

  #arm(): void {
    const at = this.#node.nextTickAt;
    if (at === this.#tickAt && this.#cancelTick !== undefined) return;
    this.#cancelTick?.();
    this.#tickAt = at;
    this.#cancelTick = undefined;
    if (at === Infinity) return;
    this.#cancelTick = this.#options.clock.after(Math.max(0, at - now()), () => {
      this.#cancelTick = undefined;
      this.#node.tick(now());
      this.pump();
    });
  }

  /** Reports a message that Serf cannot decode, so that the rest of its packet is still processed. */
  #receiveMessage(message: SwimMessage, from: GossipAddress): void {
    try {
      this.#node.receive(message, from, now());
    } catch (error) {
      this.#complain(error, formatAddress(from));
    }
  }

  #complain(error: unknown, from: string): void {
    if (!(error instanceof MalformedGossipError) && !(error instanceof PushPullRefusedError)) throw error;
    this.#options.complaints.tell(
      'gossip_rejected',
      { address: from, reason: error.message },
      'rejected a gossip message',
    );
  }

  #exchange(
    to: GossipAddress,
    message: () => StreamMessage,
    signal: AbortSignal,
    timeoutMs: number,
  ): Promise<StreamMessage> {
    const { clock, keys } = this.#options;
    return exchange(to, message, { clock, keyring: keys.keyring, timeoutMs, signal });
  }

  #execute(output: Output): void {
    const { sockets, keys, logger, complaints, signal, onUserEvent, onLeft } = this.#options;
    switch (output.type) {
      case 'packet': {
        const packet = encodePacket(output.parts, { crc: true, keyring: keys.keyring });
        sockets.send(packet, output.to);
        return;
      }
      case 'push-pull':
        this.pushPull(output.to, output.join, signal).catch((error: unknown) => {
          logger.debug(
            'gossip_exchange_failed',
            { member: output.node, reason: reasonOf(error) },
            'state exchange with a member failed',
          );
        });
        return;
      case 'stream-ping':
        void this.#streamPing(output);
        return;
      case 'member':
        this.#noteMember(output.event, output.member);
        return;
      case 'user-event':
        this.#noteTimes();
        onUserEvent?.(output.name, output.payload);
        return;
      case 'query':
        this.#noteTimes();
        void this.#respond(output.query);
        return;
      case 'query-ack':
        this.queries.acked(output.key, output.from);
        return;
      case 'query-response':
        this.queries.answered(output.key, output.from, output.payload);
        return;
      case 'query-end':
        this.queries.end(output.key);
        return;
      case 'name-conflict':
        complaints.tell(
          'member_name_conflict',
          {
            member: output.member.name,
            address: formatAddress(output.member.address),
            otherAddress: formatAddress(output.other),
          },
          'two nodes claim the same name',
        );
        return;
      case 'left':
        onLeft();
    }
  }

  async #streamPing({ to, ping, deadline }: Extract<Output, { type: 'stream-ping' }>): Promise<void> {
    const { logger, signal } = this.#options;
    try {
      const answer = await this.#exchange(to, () => ping, signal, Math.max(0, deadline - now()));
      if (answer.type !== 'ack' || answer.seqNo !== ping.seqNo) return;
      this.#node.streamPingAnswered(ping.seqNo);
      this.pump();
    } catch (error) {
      logger.debug('gossip_ping_failed', { reason: reasonOf(error) }, 'a ping over TCP failed');
    }
  }

  async #respond(query: ReceivedQuery): Promise<void> {
    const { wire, keys, signal, logger, onQuery } = this.#options;
    const payload = isKeyQuery(query.name)
      ? await answerKeyQuery(query, wire, keys, (change) => this.#auditKeyChange(change, query))
      : onQuery?.(query.name, query.payload);
    if (payload === undefined || signal.aborted) return;
    try {
      this.#node.respond(query, payload, now());
      this.pump();
    } catch (error) {
      if (!(error instanceof GossipTooLargeError)) throw error;
      logger.warn(
        'query_response_too_large',
        { query: query.name, reason: error.message },
        'a query response is too large to send',
      );
    }
  }

  /** Any holder of a gossip key may change the keyring of all nodes, and the sender's name is only its claim. */
  #auditKeyChange(change: KeyChange, { sourceNode, address }: ReceivedQuery): void {
    this.#options.logger.info(
      'gossip_key_changed',
      { audit: 'gossip', ...change, member: sourceNode, address: formatAddress(address) },
      'a gossip query asked for a change of the keyring',
    );
  }

  #noteMember(event: 'join' | 'leave' | 'failed' | 'update' | 'reap', { name, address }: Member): void {
    const { snapshot } = this.#options;
    if (event === 'join' || event === 'update') snapshot?.noteAlive(name, formatAddress(address));
    else snapshot?.noteGone(name);
    this.#noteTimes();
  }

  #noteTimes(): void {
    // The node's times are those of the next message.
    const { member, event, query } = this.#node.lamportTimes;
    this.#options.snapshot?.noteTimes({ member: member - 1, event: event - 1, query: query - 1 });
  }
}
