import { Client } from '@grpc/grpc-js';
import type { AppendReceipt, Producers, ProposeOptions } from '../../../application/ports/consensus.js';
import type { Peer } from '../../../application/ports/peer-transport.js';
import type { Records } from '../../../domain/log/record-batch.js';
import type { Message } from '../../../domain/raft/message.js';
import { PeerService } from '../../../gen/golog/peer/v1/peer_service_pb.js';
import { AppendCalls } from '../appends/append-calls.js';
import { MessageLane } from './message-lane.js';
import { inClear, type PeerCredentials } from '../identity/peer-credentials.js';
import type { PeerConnectionOptions } from './peer-connection.js';
import { peerChannelOptions } from './peer-dial.js';

const controlBytesMax = 1 << 20;
const bulkBytesMax = 24 << 20;

/**
 * The connections to one peer: one each for control messages, bulk messages and forwarded appends, so that none waits
 * for another, and one for administration on demand.
 */
export class PeerLink {
  readonly #control: MessageLane;
  readonly #bulk: MessageLane;
  readonly #appends: AppendCalls;
  readonly #credentials: PeerCredentials;
  #client: { readonly at: string; readonly client: Client } | undefined;

  /** @param lost called when messages to the peer were dropped or may not have arrived */
  constructor(
    public peer: Peer,
    options: Omit<PeerConnectionOptions, 'path' | 'peerName'>,
    lost: () => void,
  ) {
    const { typeName, method } = PeerService;
    const { name: peerName } = peer;
    const target = peerName === undefined ? {} : { peerName };
    this.#credentials = options.credentials ?? inClear;
    const lane = (name: string, bytesMax: number): MessageLane =>
      new MessageLane({ ...options, ...target, path: `/${typeName}/${name}`, bytesMax, lost });
    this.#control = lane(method.control.name, controlBytesMax);
    this.#bulk = lane(method.bulk.name, bulkBytesMax);
    this.#appends = new AppendCalls({ ...options, ...target });
  }

  /** Bytes that wait in all lanes to the peer. */
  get waitingBytes(): number {
    return this.#control.waitingBytes + this.#bulk.waitingBytes;
  }

  /** Implements `PeerTransport.unansweredMs`. */
  unansweredMs(at?: (rpcAddr: string) => boolean): number {
    return this.#control.unansweredMs(at);
  }

  /** Returns a client for the peer's other services, at the address where the peer is connected. */
  get client(): Client {
    const at = this.#control.openAt ?? this.#client?.at ?? this.peer.rpcAddr;
    if (this.#client?.at !== at) {
      this.#client?.client.close();
      this.#client = { at, client: new Client(at, this.#credentials(this.peer.name), peerChannelOptions) };
    }
    return this.#client.client;
  }

  /** See `PeerConnection.locate`. */
  locate(addresses: readonly string[]): void {
    this.#control.locate(addresses);
    this.#bulk.locate(addresses);
    this.#appends.locate(addresses);
  }

  /**
   * Sends the leader's append messages in the bulk lane even if they carry no entries. A message that overtook entries
   * would not match the follower's log, and the leader would return to probing.
   */
  send(message: Message): void {
    const isBulk = message.type === 'MsgApp' || message.type === 'MsgSnap';
    (isBulk ? this.#bulk : this.#control).push(message);
  }

  flush(): void {
    this.#control.flush();
    this.#bulk.flush();
  }

  append(records: Records, options: ProposeOptions): Promise<AppendReceipt> {
    return this.#appends.append(records, options);
  }

  get producers(): Producers {
    return this.#appends;
  }

  /** Redials at once if a connection waits to redial, because the peer is reachable. */
  wake(): void {
    this.#control.wake();
    this.#bulk.wake();
    this.#appends.wake();
  }

  close(): void {
    this.#control.close();
    this.#bulk.close();
    this.#appends.close();
    this.#client?.client.close();
  }
}
