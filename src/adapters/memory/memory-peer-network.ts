import { featureLevelKnown } from '../../application/configuration/cluster-settings.js';
import type { Cluster } from '../../application/ports/cluster.js';
import { OutcomeUnknownError, UnavailableError } from '../../application/errors.js';
import type { Clock } from '../../application/ports/clock.js';
import type { AppendReceipt, Producers, ProposeOptions } from '../../application/ports/consensus.js';
import type { EntryHandler, EntrySource } from '../../application/ports/entry-source.js';
import type { JoinHandler, JoinTransport } from '../../application/ports/join-transport.js';
import type { Peer, PeerReceiver, PeerTransport } from '../../application/ports/peer-transport.js';
import type { VouchHandler } from '../../application/ports/vouching.js';
import { unlessAborted } from '../../application/waiting/unless-aborted.js';
import { invariant } from '../../domain/log/invariant.js';
import { storedBytes, type Records } from '../../domain/log/record-batch.js';
import { message, noNode, type Message } from '../../domain/raft/message.js';

/** The limit on bytes that wait at one receiver; more is dropped, and the sender gets `unreachable`. */
const waitingBytesMax = 16 << 20;

interface Parcel {
  readonly from: MemoryPeerTransport;
  readonly bytes: number;
  readonly deliver: (receiver: PeerReceiver) => void;
  /** Called instead of `deliver` if the parcel does not arrive. */
  readonly lose: () => void;
}

/** A forwarded call without an answer. */
interface Call {
  readonly to: number;
  readonly lose: () => void;
}

const addressesOf = ({ rpcAddr, seenAt = [] }: Peer): readonly string[] => [rpcAddr, ...seenAt];

const pair = (a: number, b: number): string => (a < b ? `${a}-${b}` : `${b}-${a}`);

/**
 * Links between nodes of one process, for tests. Messages arrive through `clock.soon`, never within the call that sent
 * them, in order even across lanes. Links can be cut by pairs of Raft ids, and receivers stalled.
 */
export class MemoryPeerNetwork {
  readonly #members = new Map<string, MemoryPeerTransport>();
  readonly #joinHandlers = new Map<string, JoinHandler>();
  readonly #vouchHandlers = new Map<string, VouchHandler>();
  readonly #clusters = new Map<string, Cluster>();
  readonly #entries = new Map<string, EntryHandler>();
  readonly #cuts = new Set<string>();
  /** The feature levels of members of another release, by Raft id. */
  readonly offered = new Map<number, number>();

  constructor(private readonly clock: Clock) {}

  /**
   * Returns new links for a node at an address, replacing those of an earlier node. Nodes of other clusters cannot
   * reach it.
   */
  join(rpcAddr: string, clusterId: Uint8Array): MemoryPeerTransport {
    const member = new MemoryPeerTransport(this, this.clock, String(clusterId), rpcAddr);
    this.#members.set(rpcAddr, member);
    return member;
  }

  /**
   * Sets the handlers of join and vouch requests, `clusterOf` calls and entry sources at an address; an omitted one is removed.
   */
  serve(
    rpcAddr: string,
    services: {
      readonly joinHandler?: JoinHandler;
      readonly vouchHandler?: VouchHandler;
      readonly cluster?: Cluster;
      readonly entries?: EntryHandler;
    },
  ): void {
    this.#joinHandlers.delete(rpcAddr);
    this.#clusters.delete(rpcAddr);
    this.#entries.delete(rpcAddr);
    this.#vouchHandlers.delete(rpcAddr);
    if (services.vouchHandler) this.#vouchHandlers.set(rpcAddr, services.vouchHandler);
    if (services.entries) this.#entries.set(rpcAddr, services.entries);
    if (services.joinHandler) this.#joinHandlers.set(rpcAddr, services.joinHandler);
    if (services.cluster) this.#clusters.set(rpcAddr, services.cluster);
  }

  /** Calls the handlers. Cuts do not apply to join requests, since a joining node has no Raft id. */
  readonly joinTransport: JoinTransport = {
    ask: async (rpcAddr, joiner, signal) => {
      signal.throwIfAborted();
      await this.#soon();
      const handler = this.#joinHandlers.get(rpcAddr);
      if (handler === undefined) throw new UnavailableError(`no node answers at ${rpcAddr}`);
      return unlessAborted(signal, handler.admit(joiner));
    },
    vouch: async (rpcAddr, request, signal) => {
      signal.throwIfAborted();
      await this.#soon();
      const vouch = this.#vouchHandlers.get(rpcAddr)?.vouch(request);
      if (vouch === undefined || this.#cuts.has(pair(request.id, vouch.id)))
        throw new UnavailableError(`no node answers at ${rpcAddr}`);
      return vouch;
    },
  };

  /** Returns the entry source of the member with this Raft id. Cuts apply; errors are those of the handlers. */
  entrySource(self: number): EntrySource {
    const handlerAt = async (peer: Peer, signal: AbortSignal): Promise<EntryHandler> => {
      await this.#soon();
      signal.throwIfAborted();
      const rpcAddr = addressesOf(peer).find((each) => this.#members.get(each)?.isOpenAs(peer) === true);
      const handler = rpcAddr === undefined ? undefined : this.#entries.get(rpcAddr);
      if (handler === undefined || this.#cuts.has(pair(self, peer.id)))
        throw new UnavailableError(`no node answers at ${addressesOf(peer).join(', ')}`);
      return handler;
    };
    return {
      logEnd: async (peer, term, signal) => (await handlerAt(peer, signal)).logEnd(self, term),
      read: async function* (peer, from, until, signal) {
        for await (const batches of (await handlerAt(peer, signal)).read(from, until)) {
          yield batches;
          await handlerAt(peer, signal);
        }
      },
    };
  }

  /** Drops everything between the two from now on, in both directions, including messages in flight. */
  cut(a: number, b: number): void {
    this.#cuts.add(pair(a, b));
    for (const member of this.#members.values()) {
      if (member.self === a) member.loseCalls(b);
      if (member.self === b) member.loseCalls(a);
    }
  }

  /** Undoes every cut. */
  heal(): void {
    this.#cuts.clear();
  }

  /** Returns the receiver of a message from one member to another; undefined if it cannot arrive. */
  route(from: MemoryPeerTransport, to: Peer): MemoryPeerTransport | undefined {
    if (this.#members.get(from.rpcAddr) !== from || this.#cuts.has(pair(from.self, to.id))) return undefined;
    return addressesOf(to)
      .map((rpcAddr) => this.#members.get(rpcAddr))
      .find((member) => member?.accepts(from, to) === true);
  }

  /** Fails pending calls to a member that closed its links. */
  broken(id: number): void {
    for (const member of this.#members.values()) member.loseCalls(id);
  }

  clusterAt(rpcAddr: string): Cluster {
    const cluster = this.#clusters.get(rpcAddr);
    if (cluster === undefined) throw new UnavailableError(`no node answers at ${rpcAddr}`);
    return cluster.forwarded ?? cluster;
  }

  #soon(): Promise<void> {
    return new Promise((resolve) => {
      this.clock.soon(resolve);
    });
  }
}

/** One node's end of a `MemoryPeerNetwork`. */
export class MemoryPeerTransport implements PeerTransport {
  #self = 0;
  #uuid = '';
  #receiver: PeerReceiver | undefined;
  #peers = new Map<number, Peer>();
  /** The addresses of nodes that sent something, and those where peers were found, by Raft id. */
  readonly #heard = new Map<number, string>();
  readonly #found = new Map<number, string>();
  readonly #calls = new Set<Call>();
  readonly #inbox: Parcel[] = [];
  #inboxBytes = 0;
  #deliveryDue = false;
  #stalled = false;
  readonly #unreachable = new Set<number>();

  constructor(
    private readonly network: MemoryPeerNetwork,
    private readonly clock: Clock,
    private readonly clusterId: string,
    readonly rpcAddr: string,
  ) {}

  get self(): number {
    return this.#self;
  }

  start({ id, uuid = '' }: Peer, receiver: PeerReceiver): void {
    this.#self = id;
    this.#uuid = uuid;
    this.#receiver = receiver;
  }

  setPeers(peers: readonly Peer[]): void {
    for (const { id, rpcAddr } of peers) if (this.#peers.get(id)?.rpcAddr !== rpcAddr) this.#found.delete(id);
    this.#peers = new Map(peers.map((peer) => [peer.id, peer]));
  }

  send(messages: readonly Message[]): void {
    for (const each of messages) {
      invariant(
        each.type !== 'MsgApp' || each.entries.every(({ batch }) => batch !== undefined),
        'entries for peers must have their batches',
      );
      const parcel: Parcel = {
        from: this,
        bytes: sizeOf(each),
        deliver: (receiver) => {
          receiver.receive(received(each));
        },
        lose: () => {
          this.#reportUnreachable(each.to);
        },
      };
      if (!this.#post(each.to, parcel)) parcel.lose();
    }
  }

  append(to: number, records: Records, options: ProposeOptions): Promise<AppendReceipt> {
    return this.#call(to, records.payload.length, (receiver) => receiver.appendForwarded(records, options));
  }

  producersOf(to: number): Producers {
    return {
      openProducer: (opening) =>
        this.#call(to, opening.id.length, ({ producersForwarded }) => producersForwarded.openProducer(opening)),
      closeProducer: (id, epoch) =>
        this.#call(to, id.length, ({ producersForwarded }) => producersForwarded.closeProducer(id, epoch)),
    };
  }

  #call<T>(to: number, bytes: number, act: (receiver: PeerReceiver) => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const call: Call = {
        to,
        lose: () => {
          this.#calls.delete(call);
          reject(new OutcomeUnknownError(`the link to member ${to} broke during the call`));
        },
      };
      const settle = (act: () => void): void => {
        this.clock.soon(() => {
          if (this.#calls.delete(call)) act();
        });
      };
      const posted = this.#post(to, {
        from: this,
        bytes,
        deliver: (receiver) => {
          act(receiver).then(
            (value) => {
              settle(() => {
                resolve(value);
              });
            },
            (error: Error) => {
              settle(() => {
                reject(error);
              });
            },
          );
        },
        lose: call.lose,
      });
      if (posted) this.#calls.add(call);
      else reject(new UnavailableError(`member ${to} is not reachable`));
    });
  }

  clusterOf(to: number): Cluster {
    const member = this.#routeTo(to);
    if (member === undefined) throw new UnavailableError(`member ${to} is not reachable`);
    return this.network.clusterAt(member.rpcAddr);
  }

  /** Returns 0 or Infinity at once: reachability is known here. */
  unansweredMs(id: number, at: (rpcAddr: string) => boolean = () => true): number {
    const member = this.#routeTo(id);
    return member !== undefined && at(member.rpcAddr) ? 0 : Infinity;
  }

  featureLevelOf(id: number): number {
    return this.network.offered.get(id) ?? featureLevelKnown;
  }

  async close(): Promise<void> {
    this.#receiver = undefined;
    this.#peers.clear();
    this.#unreachable.clear();
    this.#inboxBytes = 0;
    for (const parcel of this.#inbox.splice(0)) parcel.lose();
    for (const call of this.#calls) call.lose();
    this.network.broken(this.#self);
  }

  /** Fails pending calls to a member. */
  loseCalls(to: number): void {
    for (const call of this.#calls) if (call.to === to) call.lose();
  }

  /** Returns whether this is that member, started, in the sender's cluster. */
  accepts(from: MemoryPeerTransport, as: Peer): boolean {
    return this.isOpenAs(as) && this.clusterId === from.clusterId;
  }

  isOpenAs({ id, uuid = '' }: Peer): boolean {
    const isOther = uuid !== '' && this.#uuid !== '' && uuid !== this.#uuid;
    return this.#receiver !== undefined && this.#self === id && !isOther;
  }

  /** Stops receiving until `resume`: messages wait, up to the limit. */
  stall(): void {
    this.#stalled = true;
  }

  resume(): void {
    this.#stalled = false;
    this.#deliverSoon();
  }

  /** Bytes that wait to be received. */
  get waitingBytes(): number {
    return this.#inboxBytes;
  }

  /** Returns whether the parcel is in flight. */
  #post(to: number, parcel: Parcel): boolean {
    const member = this.#routeTo(to);
    return member !== undefined && member.#admit(parcel);
  }

  #routeTo(id: number): MemoryPeerTransport | undefined {
    const peer = this.#peers.get(id);
    if (peer === undefined) return undefined;
    const known = [this.#found.get(id), this.#heard.get(id)].filter((each) => each !== undefined);
    const member = this.network.route(this, { ...peer, seenAt: [...(peer.seenAt ?? []), ...known] });
    if (member !== undefined) this.#found.set(id, member.rpcAddr);
    return member;
  }

  #admit(parcel: Parcel): boolean {
    if (this.#inbox.length > 0 && this.#inboxBytes + parcel.bytes > waitingBytesMax) return false;
    this.#inbox.push(parcel);
    this.#inboxBytes += parcel.bytes;
    this.#deliverSoon();
    return true;
  }

  #deliverSoon(): void {
    if (this.#deliveryDue) return;
    this.#deliveryDue = true;
    this.clock.soon(() => {
      this.#deliveryDue = false;
      if (!this.#stalled) this.#deliver();
    });
  }

  /** Delivers everything received so far; parcels that arrive meanwhile wait for the next turn. */
  #deliver(): void {
    for (const parcel of this.#inbox.splice(0)) {
      this.#inboxBytes = Math.max(0, this.#inboxBytes - parcel.bytes);
      const receiver = this.#receiver;
      const { self: id, rpcAddr } = parcel.from;
      this.#heard.set(id, rpcAddr);
      if (!this.#peers.has(id)) this.#peers.set(id, { id, rpcAddr });
      if (receiver !== undefined && parcel.from.#reaches(this)) parcel.deliver(receiver);
      else parcel.lose();
    }
  }

  #reaches(member: MemoryPeerTransport): boolean {
    return this.#routeTo(member.#self) === member;
  }

  #reportUnreachable(id: number): void {
    if (this.#receiver === undefined) return;
    if (this.#unreachable.size === 0)
      this.clock.soon(() => {
        const ids = [...this.#unreachable];
        this.#unreachable.clear();
        for (const each of ids) this.#receiver?.unreachable(each);
      });
    this.#unreachable.add(id);
  }
}

/** Returns the message with copied entries, since the core writes to the `batch` of its entries. */
function received(sent: Message): Message {
  const entries = sent.entries.map(({ term, index, type, data, batch }) => ({
    term,
    index,
    type,
    data,
    ...(batch && { batch }),
  }));
  return message({ ...sent, entries, vote: noNode, responses: [] });
}

function sizeOf({ entries, snapshot }: Message): number {
  let bytes = 64 + (snapshot?.data.length ?? 0);
  for (const { batch } of entries) if (batch) bytes += storedBytes(batch);
  return bytes;
}
