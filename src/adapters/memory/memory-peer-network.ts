import type { Cluster } from '../../application/ports/cluster.js';
import { OutcomeUnknownError, UnavailableError } from '../../application/errors.js';
import type { Clock } from '../../application/ports/clock.js';
import type { AppendReceipt, ProposeOptions } from '../../application/ports/consensus.js';
import type { EntryHandler, EntrySource } from '../../application/ports/entry-source.js';
import type { JoinHandler, JoinTransport } from '../../application/ports/join-transport.js';
import type { Peer, PeerReceiver, PeerTransport } from '../../application/ports/peer-transport.js';
import { unlessAborted } from '../../application/waiting/unless-aborted.js';
import { invariant } from '../../domain/log/invariant.js';
import { storedBytes, type Records } from '../../domain/log/record-batch.js';
import { message, noNode, type Message } from '../../domain/raft/message.js';

/** Most bytes that wait at one receiver; more is dropped, and the sender hears `unreachable`. */
const waitingBytesMax = 16 << 20;

interface Parcel {
  readonly from: MemoryPeerTransport;
  readonly bytes: number;
  readonly deliver: (receiver: PeerReceiver) => void;
  /** Called instead when it does not arrive. */
  readonly lose: () => void;
}

/** A forwarded append without its answer. */
interface Call {
  readonly to: number;
  readonly lose: () => void;
}

const addressesOf = ({ rpcAddr, seenAt = [] }: Peer): readonly string[] => [rpcAddr, ...seenAt];

const pair = (a: number, b: number): string => (a < b ? `${a}-${b}` : `${b}-${a}`);

/**
 * Links between nodes of one process, for tests. What one node sends to another arrives by `clock.soon`, never within
 * the call that sent it, in order even across lanes. Links can be cut, by pairs of Raft ids, and receivers stalled.
 */
export class MemoryPeerNetwork {
  readonly #members = new Map<string, MemoryPeerTransport>();
  readonly #desks = new Map<string, JoinHandler>();
  readonly #clusters = new Map<string, Cluster>();
  readonly #entries = new Map<string, EntryHandler>();
  readonly #cuts = new Set<string>();

  constructor(private readonly clock: Clock) {}

  /** The links of a node at an address, in place of those of an earlier one. Nodes of other clusters do not reach it. */
  join(rpcAddr: string, clusterId: Uint8Array): MemoryPeerTransport {
    const member = new MemoryPeerTransport(this, this.clock, String(clusterId), rpcAddr);
    this.#members.set(rpcAddr, member);
    return member;
  }

  /** Who answers joiners, calls of `clusterOf`, and entry sources at an address: none where left out. */
  serve(
    rpcAddr: string,
    services: { readonly desk?: JoinHandler; readonly cluster?: Cluster; readonly entries?: EntryHandler },
  ): void {
    this.#desks.delete(rpcAddr);
    this.#clusters.delete(rpcAddr);
    this.#entries.delete(rpcAddr);
    if (services.entries) this.#entries.set(rpcAddr, services.entries);
    if (services.desk) this.#desks.set(rpcAddr, services.desk);
    if (services.cluster) this.#clusters.set(rpcAddr, services.cluster);
  }

  /** Asks the desks. No cut applies: a joiner has no Raft id. */
  readonly joinTransport: JoinTransport = {
    ask: async (rpcAddr, joiner, signal) => {
      signal.throwIfAborted();
      await this.#soon();
      const desk = this.#desks.get(rpcAddr);
      if (desk === undefined) throw new UnavailableError(`nobody answers at ${rpcAddr}`);
      return unlessAborted(signal, desk.admit(joiner));
    },
  };

  /** What a member with this Raft id reads of the others' logs. Cuts apply; errors are those of the desks. */
  entrySource(self: number): EntrySource {
    const deskOf = async (peer: Peer, signal: AbortSignal): Promise<EntryHandler> => {
      await this.#soon();
      signal.throwIfAborted();
      const rpcAddr = addressesOf(peer).find((each) => this.#members.get(each)?.isOpenAs(peer) === true);
      const desk = rpcAddr === undefined ? undefined : this.#entries.get(rpcAddr);
      if (desk === undefined || this.#cuts.has(pair(self, peer.id)))
        throw new UnavailableError(`nobody answers at ${addressesOf(peer).join(', ')}`);
      return desk;
    };
    return {
      logEnd: async (peer, term, signal) => (await deskOf(peer, signal)).logEnd(self, term),
      read: async function* (peer, from, until, signal) {
        for await (const batches of (await deskOf(peer, signal)).read(from, until)) {
          yield batches;
          await deskOf(peer, signal);
        }
      },
    };
  }

  /** From now on nothing passes between the two, in either direction; what is on its way is lost. */
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

  /** Where a message of one member to another goes now; undefined where it does not pass. */
  route(from: MemoryPeerTransport, to: Peer): MemoryPeerTransport | undefined {
    if (this.#members.get(from.rpcAddr) !== from || this.#cuts.has(pair(from.self, to.id))) return undefined;
    return addressesOf(to)
      .map((rpcAddr) => this.#members.get(rpcAddr))
      .find((member) => member?.accepts(from, to) === true);
  }

  /** A member closed its links. */
  broken(id: number): void {
    for (const member of this.#members.values()) member.loseCalls(id);
  }

  clusterAt(rpcAddr: string): Cluster {
    const cluster = this.#clusters.get(rpcAddr);
    if (cluster === undefined) throw new UnavailableError(`nobody answers at ${rpcAddr}`);
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
  /** Where those live that sent something, and where peers were found, by Raft id. */
  readonly #heard = new Map<number, string>();
  readonly #found = new Map<number, string>();
  readonly #calls = new Set<Call>();
  readonly #inbox: Parcel[] = [];
  #inboxBytes = 0;
  #deliveryDue = false;
  #stalled = false;
  readonly #unreachable = new Set<number>();

  /** Made by `MemoryPeerNetwork.join`. */
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
        'entries for peers have their batches',
      );
      const parcel: Parcel = {
        from: this,
        bytes: sizeOf(each),
        deliver: (receiver) => {
          receiver.receive(received(each));
        },
        lose: () => {
          this.#tellUnreachable(each.to);
        },
      };
      if (!this.#post(each.to, parcel)) parcel.lose();
    }
  }

  async append(to: number, records: Records, options: ProposeOptions): Promise<AppendReceipt> {
    const { signal, ...rest } = options;
    signal?.throwIfAborted();
    const answer = new Promise<AppendReceipt>((resolve, reject) => {
      const call: Call = {
        to,
        lose: () => {
          this.#calls.delete(call);
          reject(new OutcomeUnknownError(`the link to member ${to} broke during an append`));
        },
      };
      const settle = (act: () => void): void => {
        this.clock.soon(() => {
          if (this.#calls.delete(call)) act();
        });
      };
      const posted = this.#post(to, {
        from: this,
        bytes: records.payload.length,
        deliver: (receiver) => {
          receiver.appendForwarded(records, rest).then(
            (receipt) => {
              settle(() => {
                resolve(receipt);
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
    return signal ? unlessAborted(signal, answer) : answer;
  }

  clusterOf(to: number): Cluster {
    const member = this.#routeTo(to);
    if (member === undefined) throw new UnavailableError(`member ${to} is not reachable`);
    return this.network.clusterAt(member.rpcAddr);
  }

  /** Known at once here, and since ever. */
  unansweredMs(id: number, at: (rpcAddr: string) => boolean = () => true): number {
    const member = this.#routeTo(id);
    return member !== undefined && at(member.rpcAddr) ? 0 : Infinity;
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

  /** The answers of a member will not come. */
  loseCalls(to: number): void {
    for (const call of this.#calls) if (call.to === to) call.lose();
  }

  /** Whether this is that member, started, of the sender's cluster. */
  accepts(from: MemoryPeerTransport, as: Peer): boolean {
    return this.isOpenAs(as) && this.clusterId === from.clusterId;
  }

  isOpenAs({ id, uuid = '' }: Peer): boolean {
    const isOther = uuid !== '' && this.#uuid !== '' && uuid !== this.#uuid;
    return this.#receiver !== undefined && this.#self === id && !isOther;
  }

  /** Takes nothing in until `resume`: what is sent waits, up to the bound. */
  stall(): void {
    this.#stalled = true;
  }

  resume(): void {
    this.#stalled = false;
    this.#deliverSoon();
  }

  /** Bytes that wait to be taken in. */
  get waitingBytes(): number {
    return this.#inboxBytes;
  }

  /** Whether the parcel is on its way. */
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

  /** What arrives while this delivers comes with the next turn. */
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

  #tellUnreachable(id: number): void {
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

/** The message as the other side holds it: no entry, of which the core writes the batch, belongs to both. */
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
