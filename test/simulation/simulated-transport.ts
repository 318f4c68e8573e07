import type { Cluster } from '../../src/application/ports/cluster.js';
import { OutcomeUnknownError, UnavailableError } from '../../src/application/errors.js';
import type { AppendReceipt, Producers, ProposeOptions } from '../../src/application/ports/consensus.js';
import type { Joiner, JoinAnswer, JoinTransport } from '../../src/application/ports/join-transport.js';
import type { VouchAnswer, VouchRequest } from '../../src/application/ports/vouching.js';
import type { Peer, PeerReceiver, PeerTransport } from '../../src/application/ports/peer-transport.js';
import type { Records } from '../../src/domain/log/record-batch.js';
import type { Message } from '../../src/domain/raft/message.js';
import type { Listener, Network } from './network.js';

/** How often a waiting call checks whether its link still exists. */
const keepaliveMs = 2_000;

/** The links of one process. */
export class SimulatedTransport implements PeerTransport, JoinTransport {
  #peers = new Map<number, Peer>();
  #closed = false;
  #receiver: PeerReceiver | undefined;
  /** Former peers, which were removed. */
  readonly #removed = new Set<number>();
  readonly #reportedLost = new Set<number>();

  constructor(
    private readonly network: Network,
    private readonly own: Listener,
  ) {}

  start({ id: self }: Peer, receiver: PeerReceiver): void {
    this.own.self = self;
    this.own.receiver = receiver;
    this.#receiver = receiver;
  }

  setPeers(peers: readonly Peer[]): void {
    for (const id of this.#peers.keys()) this.#removed.add(id);
    this.#peers = new Map(peers.map((peer) => [peer.id, peer]));
    for (const id of this.#peers.keys()) this.#removed.delete(id);
  }

  send(messages: readonly Message[]): void {
    if (this.#closed) return;
    for (const message of messages) {
      const address = this.#addressOf(message.to);
      const onLost = (): void => this.#reportLost(message.to);
      if (address === undefined) onLost();
      else this.network.send(this.own, address, message, onLost);
    }
  }

  append(to: number, records: Records, options: ProposeOptions): Promise<AppendReceipt> {
    return this.appendAt(this.#addressOf(to), records, options);
  }

  appendAt(address: string | undefined, records: Records, options: ProposeOptions): Promise<AppendReceipt> {
    const copy = { payload: records.payload.slice(), count: records.count };
    return this.call(address, 'forwarded append', ({ receiver }) => receiver?.appendForwarded(copy, { ...options }));
  }

  producersOf(to: number): Producers {
    return this.producersAt(this.#addressOf(to));
  }

  producersAt(address: string | undefined): Producers {
    return {
      openProducer: (opening) =>
        this.call(address, 'forwarded opening', ({ receiver }) => receiver?.producersForwarded.openProducer(opening)),
      closeProducer: (id, epoch) =>
        this.call(address, 'forwarded closing', ({ receiver }) =>
          receiver?.producersForwarded.closeProducer(id, epoch),
        ),
    };
  }

  clusterOf(to: number): Cluster {
    return this.clusterAt(this.#addressOf(to));
  }

  clusterAt(address: string | undefined): Cluster {
    const call = <T>(what: string, act: (cluster: Cluster) => Promise<T>): Promise<T> =>
      this.call(address, what, ({ cluster }) => cluster && act(cluster.forwarded ?? cluster));
    return {
      status: (options) => call('status', (cluster) => cluster.status(options)),
      addMember: (member, signal) => call('add member', (cluster) => cluster.addMember(member, signal)),
      promoteMember: (name, signal) => call('promote member', (cluster) => cluster.promoteMember(name, signal)),
      removeMember: (name, signal) => call('remove member', (cluster) => cluster.removeMember(name, signal)),
      transferLeadership: (name, signal) =>
        call('transfer leadership', (cluster) => cluster.transferLeadership(name, signal)),
      changeSettings: (change, signal) => call('change settings', (cluster) => cluster.changeSettings(change, signal)),
    };
  }

  featureLevelOf(id: number): number | undefined {
    const address = this.#addressOf(id);
    return address === undefined ? undefined : this.network.listener(address)?.featureLevel;
  }

  async ask(rpcAddr: string, joiner: Joiner): Promise<JoinAnswer> {
    const { joins } = this.own;
    joins.unanswered += 1;
    try {
      const answer = await this.call<JoinAnswer>(rpcAddr, 'join', ({ joinHandler }) => joinHandler?.admit(joiner));
      joins.unanswered -= 1;
      return answer;
    } catch (error) {
      if (!(error instanceof OutcomeUnknownError)) joins.unanswered -= 1;
      throw error instanceof OutcomeUnknownError ? new UnavailableError(error.message) : error;
    }
  }

  async vouch(rpcAddr: string, request: VouchRequest): Promise<VouchAnswer> {
    try {
      return await this.call<VouchAnswer>(rpcAddr, 'vouch', ({ vouchHandler, featureLevel }) => {
        if (featureLevel === 0) return Promise.resolve('unsupported');
        const vouch = vouchHandler?.vouch(request);
        return vouch && Promise.resolve(vouch);
      });
    } catch (error) {
      throw error instanceof OutcomeUnknownError ? new UnavailableError(error.message) : error;
    }
  }

  /** Known at once here, with no memory of earlier times. */
  unansweredMs(id: number, at: (rpcAddr: string) => boolean = () => true): number {
    const peer = this.#peers.get(id);
    return peer !== undefined && this.#addressesOf(peer).some((each) => at(each) && this.answers(each, peer))
      ? 0
      : Infinity;
  }

  /** Returns the address at which the peer answers; its configured one if it answers at none. */
  addressOf(peer: Peer): string {
    return this.#addressesOf(peer).find((address) => this.answers(address, peer)) ?? peer.rpcAddr;
  }

  /** Whether the peer answers at an address and proves its identity. */
  answers(address: string, { id, uuid = '' }: Peer): boolean {
    const to = this.network.listener(address);
    if (to === undefined || to.self !== id || to.receiver === undefined) return false;
    const isCut = this.network.isCut(this.own.machine, to.machine) || this.network.isCut(to.machine, this.own.machine);
    return !isCut && (uuid === '' || uuid === to.uuid);
  }

  #addressesOf({ id, rpcAddr, seenAt = [] }: Peer): readonly string[] {
    const heard = this.own.heard.get(id);
    return [rpcAddr, ...seenAt, ...(heard === undefined ? [] : [heard])];
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#receiver === undefined || this.own.receiver !== this.#receiver) return;
    delete this.own.receiver;
    this.own.self = 0;
  }

  /** Returns the address of a peer, or of an unknown node that has sent this node something. */
  #addressOf(id: number): string | undefined {
    const peer = this.#peers.get(id);
    if (peer !== undefined) return this.addressOf(peer);
    return this.#removed.has(id) ? undefined : this.own.heard.get(id);
  }

  /** Reports losses at intervals, in this process, as a broken link does. */
  #reportLost(id: number): void {
    if (this.#reportedLost.has(id)) return;
    this.#reportedLost.add(id);
    this.own.process.schedule(this.network.delayMs(), `unreachable ${id}`, () => {
      this.#reportedLost.delete(id);
      if (!this.#closed) this.#receiver?.unreachable(id);
    });
  }

  /**
   * Makes a call to a process and back. Rejects with `UnavailableError` if the call cannot have started, otherwise with
   * an unknown outcome.
   */
  call<T>(address: string | undefined, what: string, act: (to: Listener) => Promise<T> | undefined): Promise<T> {
    const { network, own } = this;
    const to = address === undefined ? undefined : network.listener(address);
    if (address === undefined || to === undefined || this.#closed)
      return Promise.reject(new UnavailableError(`no link to ${address ?? 'that member'}`));
    return new Promise((resolve, reject) => {
      let stopWaiting: (() => void)[] = [];
      const settle = (how: () => void): void => {
        for (const stop of stopWaiting) stop();
        stopWaiting = [];
        own.process.enter(what, how);
      };
      const lost = (): void => settle(() => reject(new OutcomeUnknownError(`the link broke during ${what}`)));
      const answer = (from: Listener, how: () => void): void => {
        network.carry(from, own.address, 'calls', `answer to ${what}`, () => settle(how), lost);
      };
      const look = (): void => {
        if (network.isCut(own.machine, to.machine) || network.isCut(to.machine, own.machine)) lost();
        else stopWaiting.push(own.process.schedule(keepaliveMs, 'keepalive', look));
      };
      stopWaiting.push(own.process.schedule(keepaliveMs, 'keepalive', look));
      stopWaiting.push(to.process.whenEnded(() => own.process.schedule(network.delayMs(), 'reset', lost)));
      const begin = (there: Listener): void => {
        const begun = act(there);
        if (begun === undefined)
          answer(there, () => reject(new UnavailableError('this node does not serve this call yet')));
        else
          begun.then(
            (value) => answer(there, () => resolve(value)),
            (error: unknown) => answer(there, () => reject(error)),
          );
      };
      network.carry(own, address, 'calls', what, begin, lost);
    });
  }
}
