import { UnavailableError } from '../../application/errors.js';
import type { Clock } from '../../application/ports/clock.js';
import type { Gossip, GossipMember } from '../../application/ports/gossip.js';
import type { Logger } from '../../application/ports/logger.js';
import type { GossipAddress, PushPull, SwimMessage } from '../../domain/membership/message.js';
import type { Member, Output, QueryParameters, ReceivedQuery } from '../../domain/membership/output.js';
import { PushPullRefusedError } from '../../domain/membership/push-pull.js';
import { SerfNode } from '../../domain/membership/serf-node.js';
import { GossipTooLargeError } from '../../domain/membership/serf-errors.js';
import { lanTiming, type GossipTiming } from '../../domain/membership/timing.js';
import { MalformedGossipError } from '../../domain/membership/wire.js';
import { encryptionOverheadBytes } from './encryption.js';
import { exchange } from './exchange.js';
import { addressesOf, formatAddress, parseHostPort, reachableIp } from './host-port.js';
import { answerKeyQuery, isKeyQuery } from './key-queries.js';
import { readKeyring, writeKeyring } from './keyring-file.js';
import { Keyring } from './keyring.js';
import { OncePerMinute } from './once-per-minute.js';
import { decodePacket, encodePacket } from './packet.js';
import { OpenQueries, type QueryAnswers } from './open-queries.js';
import { rejoin } from './rejoin.js';
import { SerfWire } from './serf-wire.js';
import { Snapshot } from './snapshot.js';
import { Sockets } from './sockets.js';
import type { StreamMessage } from './stream.js';

export interface SerfGossipOptions {
  /** Of this node: one of the cluster, 1 to 128 bytes without control characters. */
  readonly name: string;
  /** HOST:PORT to listen on, for UDP and TCP; port 0 finds one that is free for both. */
  readonly bindAddr: string;
  /** HOST:PORT for the others to send to, where it differs. Port 0: the port that is listened on. */
  readonly advertiseAddr?: string;
  readonly tags: ReadonlyMap<string, string>;
  /** Where left out, for a local network. */
  readonly timing?: GossipTiming;
  /** In base64, of 16, 24 or 32 bytes: everything is encrypted. A keyring file that is there already counts instead. */
  readonly encryptKey?: string;
  /** Serf's keyring file: it is written when there is none, and when the keys are rotated. */
  readonly keyringPath?: string;
  /** Whom to look for after a restart. */
  readonly snapshotPath?: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** A user event that some member sent. */
  readonly onUserEvent?: (name: string, payload: Uint8Array) => void;
  /** What to answer a query of some member; undefined: nothing. */
  readonly onQuery?: (name: string, payload: Uint8Array) => Uint8Array | undefined;
}

const wire = new SerfWire();
/** On a clock that never goes back. */
const now = (): number => performance.now();

/** A member of a Serf cluster, over UDP and TCP. */
export class SerfGossip implements Gossip {
  readonly #options: SerfGossipOptions;
  readonly #timing: GossipTiming;
  readonly #complaints: OncePerMinute;
  readonly #listeners = new Set<() => void>();
  readonly #queries = new OpenQueries();
  readonly #closing = new AbortController();
  #tags: ReadonlyMap<string, string>;
  #keyring: Keyring | undefined;
  #saving: Promise<void> = Promise.resolve();
  #snapshot: Snapshot | undefined;
  #sockets: Sockets | undefined;
  #node: SerfNode | undefined;
  #address: GossipAddress | undefined;
  #tickAt = Infinity;
  #cancelTick: (() => void) | undefined;
  #starting: Promise<string> | undefined;
  #leaving: { readonly promise: Promise<void>; readonly done: () => void } | undefined;

  /** Throws `RangeError` when the tags exceed 512 bytes, encoded. */
  constructor(options: SerfGossipOptions) {
    wire.encodeTags(options.tags);
    this.#options = options;
    this.#timing = options.timing ?? lanTiming;
    this.#tags = options.tags;
    this.#complaints = new OncePerMinute(now, options.logger);
  }

  start(): Promise<string> {
    this.#starting ??= this.#start();
    return this.#starting;
  }

  async #start(): Promise<string> {
    const { bindAddr, name, clock, snapshotPath } = this.#options;
    this.#keyring = await this.#loadKeyring();
    if (snapshotPath !== undefined)
      this.#snapshot = await Snapshot.open(snapshotPath, clock, (error) => {
        this.#complaints.tell({ err: error, path: snapshotPath }, 'the snapshot of the members cannot be written');
      });
    const { host, port } = parseHostPort(bindAddr);
    this.#sockets = await Sockets.open(host, port, {
      clock,
      keyring: this.#keyring,
      timeoutMs: this.#timing.streamTimeoutMs,
      answer: (message, from) => this.#answer(message, from),
      onMalformed: (error, from) => {
        this.#complaints.tell({ from, reason: error.message }, 'a stream of gossip is malformed');
      },
      onPacket: (packet, from) => {
        this.#receive(packet, from);
      },
    });
    if (this.#closing.signal.aborted) {
      await this.#sockets.close();
      throw new UnavailableError('the gossip was closed');
    }
    const address = await this.#advertised(this.#sockets.address);
    this.#address = address;
    this.#node = new SerfNode({
      name,
      address,
      tags: this.#tags,
      timing: this.#timing,
      wire,
      random: Math.random,
      now: now(),
      ...(this.#keyring && { packetOverheadBytes: encryptionOverheadBytes }),
      ...(this.#snapshot && { lamportTimes: this.#snapshot.times }),
    });
    const known = [...(this.#snapshot?.alive ?? [])].filter(([other]) => other !== name).map(([, addr]) => addr);
    this.#pump();
    if (known.length > 0) this.#rejoin(known);
    return formatAddress(address);
  }

  members(): readonly GossipMember[] {
    return (this.#node?.members() ?? []).map(({ name, address, tags, status }) => ({
      name,
      addr: formatAddress(address),
      tags,
      status,
    }));
  }

  async join(addrs: readonly string[], signal: AbortSignal): Promise<number> {
    const stop = AbortSignal.any([signal, this.#closing.signal]);
    stop.throwIfAborted();
    const found = await Promise.allSettled(addrs.map(addressesOf));
    const own = this.#address && formatAddress(this.#address);
    const others = new Map(
      found
        .flatMap((result) => (result.status === 'fulfilled' ? result.value : []))
        .map((address) => [formatAddress(address), address] as const)
        .filter(([text]) => text !== own),
    );
    const outcomes = await Promise.allSettled([...others.values()].map((to) => this.#pushPull(to, true, stop)));
    stop.throwIfAborted();
    const answered = outcomes.filter(({ status }) => status === 'fulfilled').length;
    if (answered === 0) {
      const reasons = [...found, ...outcomes].flatMap((result) =>
        result.status === 'rejected' ? [reasonOf(result.reason)] : [],
      );
      throw new UnavailableError(
        `no member answers at ${addrs.join(', ')}: ${reasons.join('; ') || 'it is this node'}`,
      );
    }
    this.#node?.joined(now());
    this.#pump();
    return answered;
  }

  setTags(tags: ReadonlyMap<string, string>): void {
    wire.encodeTags(tags);
    this.#tags = new Map(tags);
    this.#node?.setTags(this.#tags, now());
    this.#pump();
  }

  onChange(listener: () => void): () => void {
    const one = (): void => {
      listener();
    };
    this.#listeners.add(one);
    return () => void this.#listeners.delete(one);
  }

  /** Tells all members, this one too. Throws `GossipTooLargeError` beyond 512 bytes, encoded. */
  sendUserEvent(name: string, payload: Uint8Array): void {
    this.#started().userEvent(name, payload, false, now());
    this.#pump();
  }

  /**
   * Asks all members, this one too; resolves when the time for answers is over. Throws `GossipTooLargeError` beyond
   * 1024 bytes, encoded.
   */
  query(parameters: QueryParameters): Promise<QueryAnswers> {
    const answers = this.#queries.open(this.#started().query(parameters, now()));
    this.#pump();
    return answers;
  }

  leave(): Promise<void> {
    const node = this.#node;
    if (node === undefined || this.#closing.signal.aborted) return Promise.resolve();
    if (this.#leaving === undefined) {
      let done = (): void => undefined;
      const promise = new Promise<void>((resolve) => {
        done = resolve;
      });
      this.#leaving = { promise, done };
      this.#snapshot?.noteLeave();
      node.leave(now());
      this.#pump();
    }
    return this.#leaving.promise;
  }

  async close(): Promise<void> {
    this.#closing.abort(new UnavailableError('the gossip was closed'));
    await this.#starting?.catch(() => undefined);
    this.#cancelTick?.();
    this.#cancelTick = undefined;
    this.#leaving?.done();
    this.#queries.close();
    await this.#sockets?.close();
    await this.#saving;
    if (this.#node) this.#noteTimes(this.#node);
    await this.#snapshot?.close();
    this.#snapshot = undefined;
  }

  #started(): SerfNode {
    if (this.#node === undefined || this.#closing.signal.aborted) throw new UnavailableError('the gossip is not open');
    return this.#node;
  }

  async #loadKeyring(): Promise<Keyring | undefined> {
    const { encryptKey, keyringPath } = this.#options;
    const found = keyringPath === undefined ? undefined : await readKeyring(keyringPath);
    if (found !== undefined || encryptKey === undefined) return found;
    const keyring = new Keyring([encryptKey]);
    if (keyringPath !== undefined) await writeKeyring(keyringPath, keyring);
    return keyring;
  }

  async #advertised(listening: GossipAddress): Promise<GossipAddress> {
    const { advertiseAddr } = this.#options;
    if (advertiseAddr === undefined) return { ip: reachableIp(listening.ip), port: listening.port };
    const [address] = await addressesOf(advertiseAddr);
    return { ip: address?.ip ?? listening.ip, port: address?.port || listening.port };
  }

  #rejoin(addrs: readonly string[]): void {
    rejoin({
      addrs,
      clock: this.#options.clock,
      random: Math.random,
      signal: this.#closing.signal,
      isAlone: () => !this.members().some(({ name, status }) => name !== this.#options.name && status === 'alive'),
      join: (addr) => this.join([addr], this.#closing.signal),
    });
  }

  #receive(packet: Uint8Array, from: GossipAddress): void {
    const node = this.#node;
    if (node === undefined) return;
    try {
      for (const message of decodePacket(packet, this.#keyring)) this.#take(node, message, from);
    } catch (error) {
      this.#complain(error, formatAddress(from));
    }
    this.#pump();
  }

  /** What Serf cannot read in one message is no reason to pass over those that came with it. */
  #take(node: SerfNode, message: SwimMessage, from: GossipAddress): void {
    try {
      node.receive(message, from, now());
    } catch (error) {
      this.#complain(error, formatAddress(from));
    }
  }

  #complain(error: unknown, from: string): void {
    if (!(error instanceof MalformedGossipError) && !(error instanceof PushPullRefusedError)) throw error;
    this.#complaints.tell({ from, reason: error.message }, 'gossip was refused');
  }

  #answer(message: StreamMessage, from: string): StreamMessage | undefined {
    const node = this.#node;
    if (node === undefined) return undefined;
    switch (message.type) {
      case 'push-pull': {
        const state: StreamMessage = { type: 'push-pull', ...node.pushPullState(message.join) };
        try {
          node.mergePushPull(message, now());
        } catch (error) {
          this.#complain(error, from);
        }
        this.#pump();
        return state;
      }
      case 'ping':
        return node.answerStreamPing(message);
      case 'user':
        this.#take(node, message, { ip: from, port: 0 });
        this.#pump();
        return undefined;
      case 'ack':
      case 'error':
        return undefined;
    }
  }

  /** Rejects with `UnavailableError`, `PushPullRefusedError` or `MalformedGossipError`. */
  async #pushPull(to: GossipAddress, join: boolean, signal: AbortSignal): Promise<void> {
    const node = this.#started();
    const answer = await this.#exchange(to, () => ({ type: 'push-pull', ...node.pushPullState(join) }), signal);
    if (answer.type !== 'push-pull') throw new MalformedGossipError(`${formatAddress(to)} answers with ${answer.type}`);
    const state: PushPull = answer;
    node.mergePushPull(state, now(), join);
    this.#pump();
  }

  #exchange(
    to: GossipAddress,
    message: () => StreamMessage,
    signal: AbortSignal,
    timeoutMs = this.#timing.streamTimeoutMs,
  ): Promise<StreamMessage> {
    return exchange(to, message, { clock: this.#options.clock, keyring: this.#keyring, timeoutMs, signal });
  }

  /** Does what the node wants done, and wakes it when it wants to be woken. */
  #pump(): void {
    const node = this.#node;
    if (node === undefined || this.#closing.signal.aborted) return;
    let changed = false;
    for (const output of node.takeOutputs()) {
      this.#execute(output, node);
      changed ||= output.type === 'member';
    }
    this.#arm(node);
    if (changed) for (const listener of [...this.#listeners]) listener();
  }

  #arm(node: SerfNode): void {
    const at = node.nextTickAt;
    if (at === this.#tickAt && this.#cancelTick !== undefined) return;
    this.#cancelTick?.();
    this.#tickAt = at;
    this.#cancelTick = undefined;
    if (at === Infinity) return;
    this.#cancelTick = this.#options.clock.after(Math.max(0, at - now()), () => {
      this.#cancelTick = undefined;
      node.tick(now());
      this.#pump();
    });
  }

  #execute(output: Output, node: SerfNode): void {
    switch (output.type) {
      case 'packet': {
        const packet = encodePacket(output.parts, { crc: true, keyring: this.#keyring });
        this.#sockets?.send(packet, output.to);
        return;
      }
      case 'push-pull':
        this.#pushPull(output.to, output.join, this.#closing.signal).catch((error: unknown) => {
          this.#options.logger.debug({ node: output.node, reason: reasonOf(error) }, 'no exchange with a member');
        });
        return;
      case 'stream-ping':
        void this.#streamPing(node, output);
        return;
      case 'member':
        this.#noteMember(output.event, output.member);
        return;
      case 'user-event':
        this.#noteTimes(node);
        this.#options.onUserEvent?.(output.name, output.payload);
        return;
      case 'query':
        this.#noteTimes(node);
        void this.#respond(node, output.query);
        return;
      case 'query-ack':
        this.#queries.acked(output.key, output.from);
        return;
      case 'query-response':
        this.#queries.answered(output.key, output.from, output.payload);
        return;
      case 'query-end':
        this.#queries.end(output.key);
        return;
      case 'name-conflict':
        this.#complaints.tell(
          { node: output.member.name, addr: formatAddress(output.member.address), other: formatAddress(output.other) },
          'two nodes claim one name',
        );
        return;
      case 'left':
        this.#leaving?.done();
    }
  }

  async #streamPing(node: SerfNode, { to, ping, deadline }: Extract<Output, { type: 'stream-ping' }>): Promise<void> {
    try {
      const timeoutMs = Math.max(0, deadline - now());
      const answer = await this.#exchange(to, () => ping, this.#closing.signal, timeoutMs);
      if (answer.type !== 'ack' || answer.seqNo !== ping.seqNo) return;
      node.streamPingAnswered(ping.seqNo);
      this.#pump();
    } catch (error) {
      this.#options.logger.debug({ reason: reasonOf(error) }, 'no answer to a ping by TCP');
    }
  }

  async #respond(node: SerfNode, query: ReceivedQuery): Promise<void> {
    const payload = isKeyQuery(query.name)
      ? await answerKeyQuery(query, wire, this.#keyring, (keyring) => this.#save(keyring))
      : this.#options.onQuery?.(query.name, query.payload);
    if (payload === undefined || this.#closing.signal.aborted) return;
    try {
      node.respond(query, payload, now());
      this.#pump();
    } catch (error) {
      if (!(error instanceof GossipTooLargeError)) throw error;
      this.#options.logger.warn({ query: query.name, reason: error.message }, 'an answer is too large');
    }
  }

  /** One after the other; the last is what stays. */
  #save(keyring: Keyring): Promise<void> {
    const path = this.#options.keyringPath;
    if (path === undefined) return Promise.resolve();
    const saved = this.#saving.then(() => writeKeyring(path, keyring));
    this.#saving = saved.catch((error: unknown) => {
      this.#options.logger.error({ err: error, path }, 'the keyring file cannot be written');
    });
    return saved;
  }

  #noteMember(event: 'join' | 'leave' | 'failed' | 'update' | 'reap', { name, address }: Member): void {
    if (event === 'join' || event === 'update') this.#snapshot?.noteAlive(name, formatAddress(address));
    else this.#snapshot?.noteGone(name);
    if (this.#node) this.#noteTimes(this.#node);
  }

  #noteTimes({ lamportTimes: { member, event, query } }: SerfNode): void {
    // The node's are of what comes next.
    this.#snapshot?.noteTimes({ member: member - 1, event: event - 1, query: query - 1 });
  }
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
