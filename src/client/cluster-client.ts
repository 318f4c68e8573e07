import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Client } from '@grpc/grpc-js';
import { setTimeout as pause } from 'node:timers/promises';
import {
  type ClusterSettings as ClusterSettingsMessage,
  ClusterService,
  GossipStatus,
  type ClusterStatus as ClusterStatusMessage,
  type Member,
  MemberRole,
  MemberState,
  type ScrubStatus as ScrubStatusMessage,
} from '../gen/golog/v1/cluster_service_pb.js';
import { Log } from '../gen/log/v1/log_pb.js';
import { fromServiceError, isTransient, UnreachableError } from './errors.js';
import { safeNumber, type Server } from './log-client.js';
import { channelCredentials, type ClientTls } from './tls.js';
import { MalformedResponseError } from './wire.js';
import { type CallKind, ServersInTurn } from './servers-in-turn.js';

/** A member of the cluster, as the server that answered sees it; unknown values are undefined. */
export interface MemberStatus {
  /** The Raft id, which is never reused. */
  readonly id: number;
  readonly name: string;
  /** UUID of the member's data directory; empty until it has joined. */
  readonly uuid: string;
  readonly rpcAddr: string;
  /** `leader`, `voter` or `learner`. */
  readonly role: string;
  /** `self`, `probing`, `replicating`, `catching-up`, `unreachable` or `unknown`. */
  readonly state: string;
  /** The last index known to be on the disk of the member. */
  readonly matchIndex: number | undefined;
  /** The number of entries between `matchIndex` and the last index of the leader. */
  readonly lagEntries: number | undefined;
  readonly heardMsAgo: number | undefined;
  /** The feature level that the release of the member offers. */
  readonly featureLevel: number | undefined;
}

/** What the members have agreed on; the same on every server. */
export interface ClusterSettings {
  /** The oldest segments are removed while the log is larger; undefined: no limit. */
  readonly retentionBytes: number | undefined;
  /** Segments whose newest record is older are removed; undefined: no limit. */
  readonly retentionAgeMs: number | undefined;
  /** The log remembers this many named producers at most. Has an effect from feature level 2 on, as has `producerExpiryMs`. */
  readonly producersMax: number;
  readonly producerExpiryMs: number;
  /** What may be written to the log and sent between members; 0 for a cluster of a release without levels. */
  readonly featureLevel: number;
  /** Counts the histories of the log: `golog recover` begins the next one. */
  readonly generation: number;
  /** The offset of the last `truncateLog`; 0: none. */
  readonly startOffset: number;
}

/** The settings that can be changed. */
export type SettingName = 'retentionBytes' | 'retentionAgeMs' | 'producersMax' | 'producerExpiryMs';

/** A node in gossip: a member, a replica, a joining node, or a Serf agent. */
export interface GossipMemberStatus {
  readonly name: string;
  /** The HOST:PORT of its gossip. */
  readonly addr: string;
  /** `alive`, `leaving`, `left` or `failed`. */
  readonly status: string;
  /** The tags of a golog node are `role`, `id`, `rpc_addr`, `http_addr`, `version`, `cluster`. */
  readonly tags: Readonly<Record<string, string>>;
}

/** How far a server is with reading its sealed segments through, and the damage that it has found and not repaired. */
export interface ScrubStatus {
  /** Bytes of the sealed segments that the current pass has read. */
  readonly checkedBytes: number;
  readonly totalBytes: number;
  readonly bytesPerSecond: number;
  /** When the last whole pass ended: milliseconds since 1970; undefined when there was none. */
  readonly completedAtMs: number | undefined;
  /** Ranges of offsets that the server does not serve, `to` exclusive; the first 16. */
  readonly damaged: readonly { readonly from: number; readonly to: number; readonly reason: string }[];
  /** The progress of the repair, or what prevents it. */
  readonly repair: string | undefined;
}

export interface ClusterStatus {
  readonly clusterId: string;
  /** The name of the node whose view this is. */
  readonly answeredBy: string;
  readonly term: number;
  readonly leader: string | undefined;
  readonly commitIndex: number;
  readonly lastIndex: number;
  readonly highWatermark: number;
  readonly members: readonly MemberStatus[];
  /** Undefined when the server is of a release without settings. */
  readonly settings: ClusterSettings | undefined;
  /** The reason why nothing commits; undefined when entries commit. */
  readonly problem: string | undefined;
  /** The log of the server that answers; undefined while it does not run Raft, and for an older release. */
  readonly scrub: ScrubStatus | undefined;
  /** The nodes in gossip; empty when the server runs without gossip. */
  readonly gossip: readonly GossipMemberStatus[];
}

export interface StatusOptions {
  /** Asks for the view of the server that answers instead of the view of the leader. */
  readonly local?: boolean;
  readonly signal?: AbortSignal;
}

export interface WatchOptions extends StatusOptions {
  /** Called when a server was lost, before the next one is tried. */
  readonly onLost?: (reason: unknown) => void;
}

const deadlineMs: Readonly<Record<CallKind, number>> = { read: 5_000, change: 60_000 };
/** The pause between two rounds over servers that do not serve a watch, and the time after which the watch fails. */
const watchPauseMs = 500;
const watchGiveUpMs = 30_000;
const channelOptions = {
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1_000,
  // A watch receives nothing while nothing changes, so only pings reveal a lost connection.
  'grpc.keepalive_time_ms': 5_000,
  'grpc.keepalive_timeout_ms': 3_000,
};

/** Administers a cluster through the first of several servers that answers; changes wait up to a minute. */
export class ClusterClient {
  readonly #servers: ServersInTurn;

  /** @param addresses at least one HOST:PORT; connects on the first call */
  constructor(addresses: readonly string[], tls?: ClientTls) {
    const credentials = channelCredentials(tls);
    const connect = (address: string): Client => new Client(address, credentials, channelOptions);
    this.#servers = new ServersInTurn(addresses, connect);
  }

  close(): void {
    this.#servers.close();
  }

  async servers(signal?: AbortSignal): Promise<Server[]> {
    const { servers } = await this.#unary('read', Log.method.getServers, {}, signal);
    return servers.map(({ id, rpcAddr, isLeader }) => ({ id, rpcAddr, isLeader }));
  }

  async status({ local = false, signal }: StatusOptions = {}): Promise<ClusterStatus> {
    return clusterStatus((await this.#unary('read', ClusterService.method.getCluster, { local }, signal)).cluster);
  }

  /**
   * Yields the status at once and on every change; continues at another server when one is lost: at one of those given,
   * or, unless the local view was asked for, at another member. Ends when the signal
   * aborts; throws when no server answers at the start, or for half a minute later on.
   */
  async *watch({ local = false, signal, onLost }: WatchOptions = {}): AsyncGenerator<ClusterStatus, void, void> {
    let answered = false;
    let lostMs: number | undefined;
    for (;;) {
      try {
        for await (const status of this.#watchOne(local, signal)) {
          answered = true;
          lostMs = undefined;
          // The view of another server would not be the one that was asked for.
          if (!local) this.#servers.learn(status.members.map(({ rpcAddr }) => rpcAddr));
          yield status;
        }
      } catch (error) {
        if (signal?.aborted === true) return;
        lostMs ??= performance.now();
        if (!answered || !isTransient(error) || performance.now() - lostMs > watchGiveUpMs) throw error;
        onLost?.(error);
      }
      await pause(watchPauseMs, undefined, { signal }).catch(() => undefined);
      if (signal?.aborted === true) return;
    }
  }

  /** Adds a node as a learner, which becomes a voter once it has caught up. */
  async addMember(name: string, rpcAddr: string, signal?: AbortSignal): Promise<void> {
    await this.#unary('change', ClusterService.method.addMember, { name, rpcAddr }, signal);
  }

  async promoteMember(name: string, signal?: AbortSignal): Promise<void> {
    await this.#unary('change', ClusterService.method.promoteMember, { name }, signal);
  }

  async removeMember(name: string, signal?: AbortSignal): Promise<void> {
    await this.#unary('change', ClusterService.method.removeMember, { name }, signal);
  }

  /** Transfers leadership to a voter, by default the most up-to-date one; resolves with the name of the new leader. */
  async transferLeadership(name?: string, signal?: AbortSignal): Promise<string> {
    const request = name === undefined ? {} : { name };
    return (await this.#unary('change', ClusterService.method.transferLeadership, request, signal)).leader;
  }

  /** Changes one setting; 0 removes a retention limit. Resolves with all settings when the change is committed. */
  async setSetting(name: SettingName, value: number, signal?: AbortSignal): Promise<ClusterSettings | undefined> {
    const setting = { case: name, value: BigInt(value) };
    return clusterSettings(
      (await this.#unary('change', ClusterService.method.setSetting, { setting }, signal)).settings,
    );
  }

  /** Moves the start of the log to an offset, on every node and for good. Resolves with the offset where it starts. */
  async truncateLog(before: number, signal?: AbortSignal): Promise<number> {
    const request = { before: BigInt(before) };
    return safeNumber((await this.#unary('change', ClusterService.method.truncateLog, request, signal)).startOffset);
  }

  /** Watches one server. */
  async *#watchOne(local: boolean, signal: AbortSignal | undefined): AsyncGenerator<ClusterStatus, void, void> {
    const { name, input, output } = ClusterService.method.watchCluster;
    const opened = await this.#servers.call('read', signal, async (client, address) => {
      const call = client.makeServerStreamRequest(
        `/${ClusterService.typeName}/${name}`,
        (request: MessageShape<typeof input>) => Buffer.from(toBinary(input, request)),
        (bytes: Buffer) => fromBinary(output, bytes),
        create(input, { local }),
      );
      const cancel = (): void => {
        call.cancel();
      };
      call.on('error', () => undefined);
      signal?.addEventListener('abort', cancel, { once: true });
      let silent = false;
      const timer = setTimeout(() => {
        silent = true;
        call.cancel();
      }, deadlineMs.read);
      const states = (call as AsyncIterable<MessageShape<typeof output>>)[Symbol.asyncIterator]();
      try {
        return { address, states, cancel, first: await states.next() };
      } catch (error) {
        signal?.removeEventListener('abort', cancel);
        if (silent) throw new UnreachableError(address, `no answer within ${deadlineMs.read / 1_000} s`);
        throw fromServiceError(error, address);
      } finally {
        clearTimeout(timer);
      }
    });
    try {
      for (let { first: next } = opened; next.done !== true; next = await opened.states.next())
        yield clusterStatus(next.value.cluster);
    } catch (error) {
      throw fromServiceError(error, opened.address);
    } finally {
      signal?.removeEventListener('abort', opened.cancel);
      opened.cancel();
    }
  }

  #unary<I extends DescMessage, O extends DescMessage>(
    kind: CallKind,
    { parent, name, input, output }: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    signal: AbortSignal | undefined,
  ): Promise<MessageShape<O>> {
    const attempt = (client: Client, address: string): Promise<MessageShape<O>> =>
      new Promise((resolve, reject) => {
        const call = client.makeUnaryRequest(
          `/${parent.typeName}/${name}`,
          (message: MessageShape<I>) => Buffer.from(toBinary(input, message)),
          (bytes: Buffer) => fromBinary(output, bytes),
          create(input, request),
          { deadline: Date.now() + deadlineMs[kind] },
          (error, response) => {
            signal?.removeEventListener('abort', cancel);
            if (error === null && response !== undefined) resolve(response);
            else reject(fromServiceError(error, address));
          },
        );
        const cancel = (): void => {
          call.cancel();
        };
        signal?.addEventListener('abort', cancel, { once: true });
      });
    return this.#servers.call(kind, signal, attempt);
  }
}

/** Converts `CATCHING_UP` to `catching-up`; a value that only a newer server knows becomes `unspecified`. */
const kebabCase = (name: string | undefined): string => (name ?? 'UNSPECIFIED').toLowerCase().replaceAll('_', '-');

const known = (value: bigint | undefined): number | undefined => (value === undefined ? undefined : safeNumber(value));

function memberStatus({ id, name, uuid, rpcAddr, role, state, ...rest }: Member): MemberStatus {
  return {
    id: safeNumber(id),
    name,
    uuid,
    rpcAddr,
    role: kebabCase(MemberRole[role]),
    state: kebabCase(MemberState[state]),
    matchIndex: known(rest.matchIndex),
    lagEntries: known(rest.lagEntries),
    heardMsAgo: known(rest.heardMsAgo),
    featureLevel: known(rest.featureLevel),
  };
}

function clusterSettings(message: ClusterSettingsMessage | undefined): ClusterSettings | undefined {
  if (message === undefined) return undefined;
  return {
    retentionBytes: known(message.retentionBytes),
    retentionAgeMs: known(message.retentionAgeMs),
    producersMax: safeNumber(message.producersMax),
    producerExpiryMs: safeNumber(message.producerExpiryMs),
    featureLevel: safeNumber(message.featureLevel),
    generation: safeNumber(message.generation),
    startOffset: safeNumber(message.startOffset),
  };
}

function scrubStatus(message: ScrubStatusMessage | undefined): ScrubStatus | undefined {
  if (message === undefined) return undefined;
  const { completedAtMs, repair } = message;
  return {
    checkedBytes: safeNumber(message.checkedBytes),
    totalBytes: safeNumber(message.totalBytes),
    bytesPerSecond: safeNumber(message.bytesPerSecond),
    completedAtMs: completedAtMs === undefined ? undefined : safeNumber(completedAtMs),
    damaged: message.damaged.map(({ fromOffset, toOffset, reason }) => ({
      from: safeNumber(fromOffset),
      to: safeNumber(toOffset),
      reason,
    })),
    repair,
  };
}

function clusterStatus(message: ClusterStatusMessage | undefined): ClusterStatus {
  if (message === undefined) throw new MalformedResponseError('the response has no cluster status');
  const { clusterId, answeredBy, leader, problem } = message;
  return {
    clusterId,
    answeredBy,
    term: safeNumber(message.term),
    leader,
    commitIndex: safeNumber(message.commitIndex),
    lastIndex: safeNumber(message.lastIndex),
    highWatermark: safeNumber(message.highWatermark),
    members: message.members.map(memberStatus),
    settings: clusterSettings(message.settings),
    problem,
    scrub: scrubStatus(message.scrub),
    gossip: message.gossip.map(({ name, addr, status, tags }) => ({
      name,
      addr,
      status: kebabCase(GossipStatus[status]),
      tags,
    })),
  };
}
