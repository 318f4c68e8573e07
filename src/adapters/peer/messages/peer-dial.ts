import type { ChannelOptions, ClientDuplexStream, Metadata, StatusObject } from '@grpc/grpc-js';
import { Client, status } from '@grpc/grpc-js';
import type { Clock } from '../../../application/ports/clock.js';
import type { Logger } from '../../../application/ports/logger.js';
import { inClear, type PeerChannelCredentials, type PeerCredentials } from '../identity/peer-credentials.js';
import { contradictionIn, generationOf, identityMetadata, type PeerIdentity } from '../identity/peer-identity.js';
import { probe, type ProbeAnswer } from '../probe.js';

/**
 * The options of all channels to peers: each has its own connection, detects a dead peer within 4 s, and uses no proxy.
 */
export const peerChannelOptions: ChannelOptions = {
  'grpc.use_local_subchannel_pool': 1,
  'grpc.keepalive_time_ms': 2_000,
  'grpc.keepalive_timeout_ms': 2_000,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.max_send_message_length': -1,
  'grpc.max_receive_message_length': -1,
  // A message arrives at most once, and a write completes only when the connection has accepted it.
  'grpc.enable_retries': 0,
  'grpc.per_rpc_retry_buffer_size': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.enable_http_proxy': 0,
  'grpc.enable_channelz': 0,
};

/** The time from dialing to admission. */
const dialMs = 3_000;
const backOffMsMin = 50;
const backOffMsMax = 2_000;
/** The delay after a rejection that only an operator or a configuration change can resolve. */
const refusedBackOffMs = 10_000;

export interface PeerDialOptions {
  /** HOST:PORT. */
  readonly rpcAddr: string;
  readonly identity: PeerIdentity;
  /** Default: without TLS. */
  readonly credentials?: PeerCredentials;
  /** The expected name of the peer. */
  readonly peerName?: string;
  /** `/package.Service/Method` of a bidirectional stream. */
  readonly path: string;
  readonly clock: Clock;
  /** Returns a number in [0, 1). */
  readonly random: () => number;
  readonly logger: Logger;
  /** Called if the node there, which is of the same cluster, says that it has a later generation of the log. */
  readonly onSuperseded?: (generation: number) => void;
}

export interface PeerDialEvents {
  /** Called before each attempt. */
  probed(answer: ProbeAnswer): void;
  /** The peer has admitted this node: `write` works from now on. */
  opened(): void;
  received(bytes: Buffer): void;
  /** An attempt failed or an open connection ended; messages already written may not have arrived. */
  broken(): void;
}

const refusals: ReadonlySet<status> = new Set([
  status.FAILED_PRECONDITION,
  status.PERMISSION_DENIED,
  status.UNAUTHENTICATED,
]);

const passThrough = (bytes: Buffer): Buffer => bytes;

/**
 * One connection with one stream to a peer at one address, redialed whenever it ends, until it is closed. It is open once
 * the node that answers there has proved to be the peer.
 */
export class PeerDial {
  #state: 'dialing' | 'open' | 'waiting' | 'closed' = 'waiting';
  #client: Client | undefined;
  #credentials: PeerChannelCredentials | undefined;
  #stream: ClientDuplexStream<Buffer, Buffer> | undefined;
  #cancelWait: () => void = () => undefined;
  #failures = 0;
  #refusal: string | undefined;

  constructor(
    private readonly options: PeerDialOptions,
    private readonly events: PeerDialEvents,
  ) {
    this.#dial();
  }

  get rpcAddr(): string {
    return this.options.rpcAddr;
  }

  get state(): 'dialing' | 'open' | 'waiting' | 'closed' {
    return this.#state;
  }

  /** True if the open connection uses a certificate or CA that has been replaced: the peer may soon reject it. */
  get isOutdated(): boolean {
    return this.#state === 'open' && this.#credentials?.isOutdated === true;
  }

  /** Redials at once; unanswered messages may not have arrived. Call only while open. */
  renew(): void {
    this.#hangUp();
    this.#dial();
  }

  /** Calls `sent` once the connection has accepted the message, or never if it breaks first. Call only while open. */
  write(message: Buffer, sent: () => void): void {
    const stream = this.#stream;
    stream?.write(message, (error?: Error | null) => {
      if (!error && stream === this.#stream) sent();
    });
  }

  /** Redials at once if this waits to redial, because the peer was heard from. */
  wake(): void {
    if (this.#state !== 'waiting' || this.#refusal !== undefined) return;
    this.#cancelWait();
    this.#failures = 0;
    this.#dial();
  }

  close(): void {
    this.#state = 'closed';
    this.#hangUp();
  }

  /** Probes first: if an address drops packets silently, grpc-js would hold a socket for minutes, even after close. */
  #dial(): void {
    const { clock, rpcAddr } = this.options;
    this.#state = 'dialing';
    this.#cancelWait = probe(rpcAddr, dialMs, clock, (answer) => {
      this.events.probed(answer);
      if (answer === 'accepted') this.#call();
      else this.#broken();
    });
  }

  #call(): void {
    const { clock, rpcAddr, identity, path, credentials = inClear, peerName } = this.options;
    this.#credentials = credentials(peerName);
    const client = new Client(rpcAddr, this.#credentials, peerChannelOptions);
    const stream = client.makeBidiStreamRequest(path, passThrough, passThrough, identityMetadata(identity), {});
    this.#client = client;
    this.#stream = stream;
    this.#cancelWait = clock.after(dialMs, () => {
      this.#broken();
    });
    stream.once('metadata', (answer: Metadata) => {
      if (stream !== this.#stream) return;
      const reason = contradictionIn(answer, identity);
      if (reason !== undefined) {
        this.#broken({ code: status.FAILED_PRECONDITION, details: reason });
        return;
      }
      this.#cancelWait();
      this.#state = 'open';
      this.#failures = 0;
      this.#refusal = undefined;
      this.events.opened();
    });
    stream.on('data', (bytes: Buffer) => {
      if (stream === this.#stream) this.#receive(bytes);
    });
    stream.on('error', () => undefined);
    stream.once('status', (ended: StatusObject) => {
      if (stream === this.#stream) this.#broken(ended);
    });
  }

  #receive(bytes: Buffer): void {
    try {
      this.events.received(bytes);
    } catch (error) {
      const { logger, identity, path } = this.options;
      logger.error(
        'peer_message_malformed',
        { error, peerId: identity.to, path },
        'malformed response from a peer; resetting the link',
      );
      this.#broken();
    }
  }

  #broken(ended?: Pick<StatusObject, 'code' | 'details'> & Partial<Pick<StatusObject, 'metadata'>>): void {
    const { clock, random, logger, rpcAddr, identity, path } = this.options;
    this.#hangUp();
    this.#state = 'waiting';
    let delayMs = Math.min(backOffMsMin * 2 ** this.#failures++, backOffMsMax);
    if (ended !== undefined && refusals.has(ended.code)) {
      delayMs = refusedBackOffMs;
      if (this.#refusal !== ended.details)
        logger.warn(
          'peer_refused_connection',
          { peerId: identity.to, rpcAddr, path, reason: ended.details },
          'a peer refused this node',
        );
      this.#refusal = ended.details;
    } else this.#refusal = undefined;
    this.#cancelWait = clock.after(delayMs * (0.5 + random() / 2), () => {
      this.#dial();
    });
    this.events.broken();
    if (ended?.code !== status.FAILED_PRECONDITION || ended.metadata === undefined) return;
    const generation = generationOf(ended.metadata);
    if (generation > (identity.generation ?? 0)) this.options.onSuperseded?.(generation);
  }

  #hangUp(): void {
    this.#cancelWait();
    const stream = this.#stream;
    this.#stream = undefined;
    stream?.cancel();
    this.#client?.close();
    this.#client = undefined;
  }
}
