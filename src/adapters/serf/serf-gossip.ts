import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { UnavailableError } from '../../application/errors.js';
import type { Clock } from '../../application/ports/clock.js';
import { type Gossip, type GossipMember, OwnAddressError } from '../../application/ports/gossip.js';
import type { Logger } from '../../application/ports/logger.js';
import { unlessAborted } from '../../application/waiting/unless-aborted.js';
import type { GossipAddress } from '../../domain/gossip/message.js';
import type { QueryParameters } from '../../domain/gossip/output.js';
import { SerfNode } from '../../domain/gossip/serf-node.js';
import { lanTiming, type GossipTiming } from '../../domain/gossip/timing.js';
import { encryptionOverheadBytes } from './keys/encryption.js';
import { addressesOf, formatAddress, parseHostPort, reachableIp } from './host-port.js';
import { KeyringStore } from './keys/keyring-store.js';
import { NodeDriver, now, reasonOf } from './node-driver.js';
import { OncePerMinute } from './once-per-minute.js';
import type { QueryAnswers } from './open-queries.js';
import { SerfWire } from './wire/serf-wire.js';
import { Snapshot } from './snapshot.js';
import { Sockets } from './sockets.js';

/** The time limit of `leave`, even if the leave message is still being sent. */
const leaveMsMax = 3000;

export interface SerfGossipOptions {
  /** This node's name: unique in the cluster, 1 to 128 bytes without control characters. */
  readonly name: string;
  /** HOST:PORT to listen on, over UDP and TCP; port 0 picks a port that is free for both. */
  readonly bindAddr: string;
  /** HOST:PORT that others send to, if it differs. Port 0: the listening port. */
  readonly advertiseAddr?: string;
  readonly tags: ReadonlyMap<string, string>;
  /** Default: for a local network. */
  readonly timing?: GossipTiming;
  /** A base64 key of 16, 24 or 32 bytes that encrypts everything. An existing keyring file takes precedence. */
  readonly encryptKey?: string;
  /** Serf's keyring file: created if missing, and rewritten when keys are rotated. */
  readonly keyringPath?: string;
  /** The file that stores the known members for the next start. */
  readonly snapshotPath?: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /**
   * Returns whether a member with these tags belongs to this node's cluster (default: all do). Other members are
   * ignored, and a push/pull that contains one is rejected.
   */
  readonly accepts?: (own: ReadonlyMap<string, string>, other: ReadonlyMap<string, string>) => boolean;
  /** Called for each user event from any member. */
  readonly onUserEvent?: (name: string, payload: Uint8Array) => void;
  /** Returns the answer to a query; undefined: no answer. */
  readonly onQuery?: (name: string, payload: Uint8Array) => Uint8Array | undefined;
}

const wire = new SerfWire();

/** The parts of a started node. */
interface Parts {
  readonly address: GossipAddress;
  readonly node: SerfNode;
  readonly driver: NodeDriver;
}

/** A member of a Serf cluster, over UDP and TCP. */
export class SerfGossip implements Gossip {
  readonly #options: SerfGossipOptions;
  readonly #timing: GossipTiming;
  readonly #complaints: OncePerMinute;
  readonly #listeners = new Set<() => void>();
  readonly #closing = new AbortController();
  #former: readonly string[] = [];
  #tags: ReadonlyMap<string, string>;
  #keys: KeyringStore | undefined;
  #snapshot: Snapshot | undefined;
  #sockets: Sockets | undefined;
  #parts: Parts | undefined;
  #starting: Promise<string> | undefined;
  #leaving: Promise<void> | undefined;
  #endLeaving = (): void => undefined;

  /** Throws `RangeError` if the encoded tags exceed 512 bytes. */
  constructor(options: SerfGossipOptions) {
    wire.encodeTags(options.tags);
    this.#options = options;
    this.#timing = options.timing ?? lanTiming;
    this.#tags = options.tags;
    this.#complaints = new OncePerMinute(now, options.logger);
  }

  /** Also rejects with `MalformedGossipError` for invalid keys. */
  start(): Promise<string> {
    this.#starting ??= this.#start();
    return this.#starting;
  }

  async #start(): Promise<string> {
    this.#closing.signal.throwIfAborted();
    const { bindAddr, clock, snapshotPath, keyringPath, encryptKey } = this.#options;
    for (const path of [keyringPath, snapshotPath])
      if (path !== undefined) await mkdir(dirname(path), { recursive: true });
    const keys = await KeyringStore.open(keyringPath, encryptKey);
    this.#keys = keys;
    if (encryptKey !== undefined && !keys.has(encryptKey))
      this.#options.logger.warn(
        'gossip_key_not_in_keyring',
        { path: keyringPath },
        'the given gossip key is not in the keyring of the data directory, which takes precedence: install the key with a key query, or remove the keyring file',
      );
    if (snapshotPath !== undefined)
      this.#snapshot = await Snapshot.open(snapshotPath, clock, (error) => {
        this.#complaints.tell(
          'gossip_snapshot_not_written',
          { error, path: snapshotPath },
          'could not write the gossip snapshot',
        );
      });
    this.#former = [...(this.#snapshot?.alive ?? [])]
      .filter(([name]) => name !== this.#options.name)
      .map(([, addr]) => addr);
    const { host, port } = parseHostPort(bindAddr);
    this.#sockets = await Sockets.open(host, port, {
      clock,
      keyring: keys.keyring,
      timeoutMs: this.#timing.streamTimeoutMs,
      answer: (message, from) => this.#parts?.driver.answer(message, from),
      onMalformed: (error, from) => {
        this.#complaints.tell(
          'gossip_stream_malformed',
          { address: from, reason: error.message },
          'malformed gossip stream',
        );
      },
      onPacket: (packet, from) => {
        this.#parts?.driver.receive(packet, from);
      },
    });
    const address = await this.#advertised(this.#sockets.address);
    this.#closing.signal.throwIfAborted();
    this.#parts = this.#assemble(this.#sockets, keys, address);
    this.#parts.driver.pump();
    return formatAddress(address);
  }

  get former(): readonly string[] {
    return this.#former;
  }

  members(): readonly GossipMember[] {
    return (this.#parts?.node.members() ?? []).map(({ name, address, tags, status }) => ({
      name,
      addr: formatAddress(address),
      tags,
      status,
    }));
  }

  async join(addrs: readonly string[], signal: AbortSignal): Promise<number> {
    const stop = AbortSignal.any([signal, this.#closing.signal]);
    stop.throwIfAborted();
    const found = await unlessAborted(stop, Promise.allSettled(addrs.map(addressesOf)));
    const { address: self, node, driver } = this.#started();
    const own = formatAddress(self);
    const others = new Map(
      found
        .flatMap((result) => (result.status === 'fulfilled' ? result.value : []))
        .map((address) => [formatAddress(address), address] as const)
        .filter(([text]) => text !== own),
    );
    const isOwn =
      others.size === 0 &&
      addrs.length > 0 &&
      found.every((each) => each.status === 'fulfilled' && each.value.length > 0);
    if (isOwn) throw new OwnAddressError(`${addrs.join(', ')}: it is the address of this node`);
    const outcomes = await Promise.allSettled([...others.values()].map((to) => driver.pushPull(to, true, stop)));
    stop.throwIfAborted();
    const answered = outcomes.filter(({ status }) => status === 'fulfilled').length;
    if (answered === 0) {
      const reasons = [...found, ...outcomes].flatMap((result) =>
        result.status === 'rejected' ? [reasonOf(result.reason)] : [],
      );
      throw new UnavailableError(`no member answers at ${addrs.join(', ')}: ${reasons.join('; ')}`);
    }
    node.joined(now());
    driver.pump();
    return answered;
  }

  setTags(tags: ReadonlyMap<string, string>): void {
    wire.encodeTags(tags);
    this.#tags = new Map(tags);
    this.#parts?.node.setTags(this.#tags, now());
    this.#parts?.driver.pump();
  }

  onChange(listener: () => void): () => void {
    const one = (): void => {
      listener();
    };
    this.#listeners.add(one);
    return () => void this.#listeners.delete(one);
  }

  /**
   * Sends an event to all members, including this one. Throws `GossipTooLargeError` if it exceeds 512 encoded bytes.
   */
  sendUserEvent(name: string, payload: Uint8Array): void {
    const { node, driver } = this.#started();
    node.userEvent(name, payload, false, now());
    driver.pump();
  }

  /**
   * Sends a query to all members, including this one; resolves when the time for answers is over. Throws
   * `GossipTooLargeError` if it exceeds 1024 encoded bytes.
   */
  query(parameters: QueryParameters): Promise<QueryAnswers> {
    const { node, driver } = this.#started();
    const answers = driver.queries.open(node.query(parameters, now()));
    driver.pump();
    return answers;
  }

  leave(): Promise<void> {
    if (this.#parts === undefined || this.#closing.signal.aborted) return Promise.resolve();
    this.#leaving ??= this.#leave(this.#parts);
    return this.#leaving;
  }

  #leave({ node, driver }: Parts): Promise<void> {
    return new Promise((resolve) => {
      const cancelDeadline = this.#options.clock.after(leaveMsMax, resolve);
      this.#endLeaving = () => {
        cancelDeadline();
        resolve();
      };
      node.leave(now());
      driver.pump();
    });
  }

  async close(): Promise<void> {
    this.#closing.abort(new UnavailableError('gossip is closed'));
    await this.#starting?.catch(() => undefined);
    this.#endLeaving();
    this.#parts?.driver.stop();
    await this.#sockets?.close();
    await this.#keys?.close();
    await this.#snapshot?.close();
  }

  #started(): Parts {
    if (this.#parts === undefined || this.#closing.signal.aborted) throw new UnavailableError('gossip is not running');
    return this.#parts;
  }

  async #advertised(listening: GossipAddress): Promise<GossipAddress> {
    const { advertiseAddr } = this.#options;
    if (advertiseAddr === undefined) return { ip: reachableIp(listening.ip), port: listening.port };
    const [address] = await addressesOf(advertiseAddr);
    return { ip: address?.ip ?? listening.ip, port: address?.port || listening.port };
  }

  #assemble(sockets: Sockets, keys: KeyringStore, address: GossipAddress): Parts {
    const { name, clock, logger, accepts, onUserEvent, onQuery } = this.#options;
    const node = new SerfNode({
      name,
      address,
      tags: this.#tags,
      timing: this.#timing,
      wire,
      random: Math.random,
      now: now(),
      ...(accepts && { accepts: ({ tags }) => accepts(this.#tags, tags) }),
      ...(keys.keyring && { packetOverheadBytes: encryptionOverheadBytes }),
      ...(this.#snapshot && { lamportTimes: this.#snapshot.times }),
    });
    const driver = new NodeDriver({
      node,
      sockets,
      keys,
      snapshot: this.#snapshot,
      wire,
      clock,
      logger,
      complaints: this.#complaints,
      streamTimeoutMs: this.#timing.streamTimeoutMs,
      signal: this.#closing.signal,
      onMembers: () => {
        for (const listener of [...this.#listeners]) listener();
      },
      onLeft: () => {
        this.#endLeaving();
      },
      onUserEvent,
      onQuery,
    });
    return { address, node, driver };
  }
}
