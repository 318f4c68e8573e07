import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { Client, ServiceError } from '@grpc/grpc-js';
import { Metadata, status as grpcCodes } from '@grpc/grpc-js';
import type { ClusterSettings, SettingsChange } from '../../application/configuration/cluster-settings.js';
import type {
  Cluster,
  ClusterStatus,
  GossipView,
  MemberRole,
  MemberState,
  MemberStatus,
  ScrubStatus,
} from '../../application/ports/cluster.js';
import { MembershipError } from '../../application/ports/cluster.js';
import { OutcomeUnknownError, UnavailableError } from '../../application/errors.js';
import { InvalidInputError } from '../../domain/log/errors.js';
import { toIndex, toOffset, toTerm } from '../../domain/log/offsets.js';
import {
  ClusterService,
  type ClusterSettings as ClusterSettingsMessage,
  type ClusterStatus as ClusterStatusMessage,
  type GossipMember,
  GossipStatus as WireGossipStatus,
  type Member,
  MemberRole as Role,
  MemberState as State,
  type ScrubStatus as ScrubStatusMessage,
} from '../../gen/golog/v1/cluster_service_pb.js';
import { safeNumber } from './safe-number.js';

export interface RemoteClusterOptions {
  /** A status request without an answer for this long fails (default 2 s). */
  readonly statusMs?: number;
  /** A change without an answer for this long has an unknown outcome (default 60 s). */
  readonly changeMs?: number;
}

const { method } = ClusterService;

/**
 * The cluster as a peer sees it, administered through that peer over the given client, which the caller owns. Calls are
 * marked as forwarded, so the peer answers a status itself. Every failed status is an `UnavailableError`, so the caller
 * can answer with its own view. A change rejects with `UnavailableError` only if the peer said so or cannot have
 * received the call, and with `OutcomeUnknownError` if the connection broke during the call.
 */
export class RemoteCluster implements Cluster {
  readonly #metadata = new Metadata();
  readonly #statusMs: number;
  readonly #changeMs: number;

  constructor(
    private readonly client: Client,
    { statusMs = 2_000, changeMs = 60_000 }: RemoteClusterOptions = {},
  ) {
    this.#metadata.set('golog-forwarded', '1');
    this.#statusMs = statusMs;
    this.#changeMs = changeMs;
  }

  async status(options: { readonly signal: AbortSignal; readonly local?: boolean }): Promise<ClusterStatus> {
    const { signal, local = false } = options;
    try {
      const { cluster } = await this.#call(method.getCluster, { local }, signal, this.#statusMs);
      if (cluster === undefined) throw new UnavailableError('the peer sent an answer without a status');
      return clusterStatus(cluster);
    } catch (error) {
      const isUnanswered = error instanceof OutcomeUnknownError || error instanceof InvalidInputError;
      throw isUnanswered ? new UnavailableError(error.message, undefined, { cause: error }) : error;
    }
  }

  async addMember(member: { readonly name: string; readonly rpcAddr: string }, signal: AbortSignal): Promise<void> {
    await this.#call(method.addMember, member, signal, this.#changeMs);
  }

  async promoteMember(name: string, signal: AbortSignal): Promise<void> {
    await this.#call(method.promoteMember, { name }, signal, this.#changeMs);
  }

  async removeMember(name: string, signal: AbortSignal): Promise<void> {
    await this.#call(method.removeMember, { name }, signal, this.#changeMs);
  }

  async transferLeadership(name: string | undefined, signal: AbortSignal): Promise<string> {
    const request = name === undefined ? {} : { name };
    const { leader } = await this.#call(method.transferLeadership, request, signal, this.#changeMs);
    return leader;
  }

  async changeSettings(change: SettingsChange, signal: AbortSignal): Promise<ClusterSettings> {
    const { startOffset, ...others } = change;
    if (startOffset !== undefined) {
      const response = await this.#call(method.truncateLog, { before: BigInt(startOffset) }, signal, this.#changeMs);
      return { startOffset: known(() => safeNumber(response.startOffset)) };
    }
    let settings: ClusterSettings = {};
    for (const name of ['retentionBytes', 'retentionAgeMs', 'producersMax', 'producerExpiryMs'] as const) {
      const value = others[name];
      if (value === undefined) continue;
      const setting = { case: name, value: BigInt(value) };
      const response = await this.#call(method.setSetting, { setting }, signal, this.#changeMs);
      settings = known(() => clusterSettings(response.settings));
    }
    return settings;
  }

  #call<I extends DescMessage, O extends DescMessage>(
    { name, input, output }: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    signal: AbortSignal,
    timeoutMs: number,
  ): Promise<MessageShape<O>> {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted();
      const call = this.client.makeUnaryRequest(
        `/${ClusterService.typeName}/${name}`,
        (message: MessageShape<I>) => Buffer.from(toBinary(input, message)),
        (bytes: Buffer) => fromBinary(output, bytes),
        create(input, request),
        this.#metadata,
        { deadline: Date.now() + timeoutMs },
        (error, response) => {
          signal.removeEventListener('abort', cancel);
          if (error === null && response !== undefined) resolve(response);
          else reject(signal.aborted ? (signal.reason as Error) : domainError(error));
        },
      );
      const cancel = (): void => {
        call.cancel();
      };
      signal.addEventListener('abort', cancel);
    });
  }
}

/** Reads the answer to a change, which the peer has made: if it has a number that is too large, the outcome is unknown. */
function known<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new OutcomeUnknownError('the peer answered with a number that is too large', { cause });
  }
}

/** Maps the error of a call to the port's errors. */
function domainError(error: ServiceError | null): Error {
  if (error === null) return new OutcomeUnknownError('the peer ended the call without an answer');
  const { code, details, metadata } = error;
  switch (code) {
    case grpcCodes.FAILED_PRECONDITION:
      return new MembershipError(details, { cause: error });
    case grpcCodes.INVALID_ARGUMENT:
      return new InvalidInputError(details, { cause: error });
    case grpcCodes.ABORTED:
      return new OutcomeUnknownError(details, { cause: error });
    case grpcCodes.UNAVAILABLE:
      // An error from the peer itself has a rich status; one from a broken connection does not.
      if (metadata.get('grpc-status-details-bin').length > 0)
        return new UnavailableError(details, metadata.get('golog-leader')[0]?.toString());
      if (/^(No connection established|Name resolution failed)/.test(details))
        return new UnavailableError('the peer is not reachable');
      return new OutcomeUnknownError('the connection to the peer broke before it answered', { cause: error });
    case grpcCodes.UNIMPLEMENTED:
      return new UnavailableError('the peer does not serve ClusterService');
    case grpcCodes.DEADLINE_EXCEEDED:
    case grpcCodes.CANCELLED:
      return new OutcomeUnknownError('the peer did not answer in time', { cause: error });
    default:
      return new OutcomeUnknownError(`the peer failed: ${details}`, { cause: error });
  }
}

const roles: ReadonlyMap<Role, MemberRole> = new Map([
  [Role.LEADER, 'leader'],
  [Role.VOTER, 'voter'],
  [Role.LEARNER, 'learner'],
]);

const states: ReadonlyMap<State, MemberState> = new Map([
  [State.SELF, 'self'],
  [State.PROBING, 'probing'],
  [State.REPLICATING, 'replicating'],
  [State.CATCHING_UP, 'catching-up'],
  [State.UNREACHABLE, 'unreachable'],
]);

function memberStatus({ id, name, uuid, rpcAddr, role, state, ...known }: Member): MemberStatus {
  const { matchIndex, lagEntries, heardMsAgo, featureLevel } = known;
  return {
    id: safeNumber(id),
    name,
    uuid,
    rpcAddr,
    role: roles.get(role) ?? 'learner',
    state: states.get(state) ?? 'unknown',
    ...(matchIndex !== undefined && { matchIndex: toIndex(safeNumber(matchIndex)) }),
    ...(lagEntries !== undefined && { lagEntries: safeNumber(lagEntries) }),
    ...(heardMsAgo !== undefined && { heardMsAgo: safeNumber(heardMsAgo) }),
    ...(featureLevel !== undefined && { featureLevel: safeNumber(featureLevel) }),
  };
}

const gossipStatuses: ReadonlyMap<WireGossipStatus, GossipView['status']> = new Map([
  [WireGossipStatus.ALIVE, 'alive'],
  [WireGossipStatus.LEAVING, 'leaving'],
  [WireGossipStatus.LEFT, 'left'],
]);

function gossipView({ name, addr, status, tags }: GossipMember): GossipView {
  return { name, addr, status: gossipStatuses.get(status) ?? 'failed', tags };
}

/** A release without settings sends none: its cluster is at level 0. */
function clusterSettings(message: ClusterSettingsMessage | undefined): ClusterSettings {
  if (message === undefined) return {};
  const { retentionBytes, retentionAgeMs, ...rest } = message;
  return {
    ...(retentionBytes !== undefined && { retentionBytes: safeNumber(retentionBytes) }),
    ...(retentionAgeMs !== undefined && { retentionAgeMs: safeNumber(retentionAgeMs) }),
    producersMax: safeNumber(rest.producersMax),
    producerExpiryMs: safeNumber(rest.producerExpiryMs),
    featureLevel: safeNumber(rest.featureLevel),
    generation: safeNumber(rest.generation),
    startOffset: safeNumber(rest.startOffset),
  };
}

function clusterStatus({ leader, problem, gossip, scrub, ...message }: ClusterStatusMessage): ClusterStatus {
  return {
    clusterId: message.clusterId,
    answeredBy: message.answeredBy,
    term: toTerm(safeNumber(message.term)),
    ...(leader !== undefined && { leader }),
    commitIndex: toIndex(safeNumber(message.commitIndex)),
    lastIndex: toIndex(safeNumber(message.lastIndex)),
    highWatermark: toOffset(safeNumber(message.highWatermark)),
    members: message.members.map(memberStatus),
    settings: clusterSettings(message.settings),
    ...(problem !== undefined && { problem }),
    ...(scrub !== undefined && { scrub: scrubStatus(scrub) }),
    ...(gossip.length > 0 && { gossip: gossip.map(gossipView) }),
  };
}

function scrubStatus({ checkedBytes, totalBytes, bytesPerSecond, ...message }: ScrubStatusMessage): ScrubStatus {
  const { completedAtMs, repair, damaged } = message;
  return {
    checkedBytes: safeNumber(checkedBytes),
    totalBytes: safeNumber(totalBytes),
    bytesPerSecond: safeNumber(bytesPerSecond),
    ...(completedAtMs !== undefined && { completedAtMs: safeNumber(completedAtMs) }),
    damaged: damaged.map(({ fromOffset, toOffset: to, reason }) => ({
      from: toOffset(safeNumber(fromOffset)),
      to: toOffset(safeNumber(to)),
      reason,
    })),
    ...(repair !== undefined && { repair }),
  };
}
