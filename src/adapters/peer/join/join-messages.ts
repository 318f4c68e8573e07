import type { MessageInitShape } from '@bufbuild/protobuf';
import { parseTransfer } from '../../../application/configuration/configuration-json.js';
import { isUuid, memberNameOrThrow, rpcAddrOrThrow } from '../../../application/configuration/member-names.js';
import type { JoinAnswer, Joiner, LeaderView } from '../../../application/ports/join-transport.js';
import type { Removal } from '../../../application/configuration/configuration.js';
import { InvalidInputError } from '../../../domain/log/errors.js';
import type { EntryId } from '../../../domain/raft/entry-id.js';
import { logIdBytes } from '../../../domain/log/record-batch.js';
import {
  type EntryId as EntryIdMessage,
  type Joiner as JoinerMessage,
  type JoinerSchema,
  type JoinResponse,
  type JoinResponse_Joined,
  type JoinResponse_JoinedSchema,
  type JoinResponseSchema,
  Removal as RemovalMessage,
} from '../../../gen/golog/peer/v1/peer_service_pb.js';
import { safeNumber } from '../safe-number.js';

const removals: Readonly<Record<Removal, RemovalMessage>> = {
  'on request': RemovalMessage.ON_REQUEST,
  'as dead': RemovalMessage.AS_DEAD,
  unknown: RemovalMessage.UNKNOWN,
};

/** More entries of a joiner are not compared. */
const committedMax = 16;

/** Throws `InvalidInputError` if the joiner is missing or could not be a member. */
export function joinerOf(message: JoinerMessage | undefined): Joiner {
  if (message === undefined) throw new InvalidInputError('the request has no joiner');
  const { name, uuid, rpcAddr, bootstrapExpect, clusterId, forgotAs, runsAs, featureLevel, generation, committed } =
    message;
  if (!isUuid(uuid)) throw new InvalidInputError('the UUID of the joiner is not valid');
  if (clusterId.length > 0) assertClusterId(clusterId);
  return {
    name: memberNameOrThrow(name),
    uuid,
    rpcAddr: rpcAddrOrThrow(rpcAddr),
    bootstrapExpect,
    ...(clusterId.length > 0 && { clusterId }),
    ...(forgotAs > 0n && { forgotAs: safeNumber(forgotAs) }),
    ...(runsAs > 0n && { runsAs: safeNumber(runsAs) }),
    ...(featureLevel > 0n && { featureLevel: safeNumber(featureLevel) }),
    ...(generation > 0n && { generation: safeNumber(generation) }),
    ...(committed.length > 0 && { committed: committed.slice(0, committedMax).map(entryIdOf) }),
  };
}

/** Returns the joiner in its wire form. */
export function joinerMessage({
  forgotAs,
  runsAs,
  featureLevel,
  generation,
  committed,
  ...joiner
}: Joiner): MessageInitShape<typeof JoinerSchema> {
  return {
    ...joiner,
    ...(forgotAs !== undefined && { forgotAs: BigInt(forgotAs) }),
    ...(runsAs !== undefined && { runsAs: BigInt(runsAs) }),
    ...(featureLevel !== undefined && { featureLevel: BigInt(featureLevel) }),
    ...(generation !== undefined && { generation: BigInt(generation) }),
    ...(committed && {
      committed: committed.map(({ index, term }) => ({ index: BigInt(index), term: BigInt(term) })),
    }),
  };
}

export function answerMessage(answer: JoinAnswer): NonNullable<MessageInitShape<typeof JoinResponseSchema>['answer']> {
  switch (answer.kind) {
    case 'joined': {
      const { clusterId, id, configuration, view } = answer;
      return { case: 'joined', value: { clusterId, id: BigInt(id), configuration, ...(view && viewFields(view)) } };
    }
    case 'waiting':
      return { case: 'waiting', value: joinerMessage(answer.joiner) };
    case 'retry': {
      const { kind: _, silentMs = 0, ...value } = answer;
      return { case: 'retry', value: { ...value, silentMs: BigInt(silentMs) } };
    }
    case 'refused': {
      const { reason, clusterId, removal, generation = 0 } = answer;
      const value = {
        reason,
        generation: BigInt(generation),
        ...(clusterId && { clusterId }),
        ...(removal && { removal: removals[removal] }),
      };
      return { case: 'refused', value };
    }
  }
}

/** Throws `InvalidInputError` if this release does not know the answer or its fields are invalid. */
export function answerOf({ answer }: JoinResponse): JoinAnswer {
  switch (answer.case) {
    case 'joined': {
      const { clusterId, id, configuration } = answer.value;
      assertClusterId(clusterId);
      parseTransfer(configuration);
      const view = viewOf(answer.value);
      return { kind: 'joined', clusterId, id: safeNumber(id), configuration, ...(view && { view }) };
    }
    case 'waiting':
      return { kind: 'waiting', joiner: joinerOf(answer.value) };
    case 'retry': {
      const { reason, leaderAddr, aliveAt, silentMs, clusterId } = answer.value;
      if (clusterId.length > 0) assertClusterId(clusterId);
      return {
        kind: 'retry',
        reason,
        ...(clusterId.length > 0 && { clusterId }),
        ...(leaderAddr !== undefined && { leaderAddr: rpcAddrOrThrow(leaderAddr) }),
        ...(aliveAt !== undefined && { aliveAt: rpcAddrOrThrow(aliveAt) }),
        ...(silentMs > 0n && { silentMs: safeNumber(silentMs) }),
      };
    }
    case 'refused': {
      const { reason, clusterId, removal, generation } = answer.value;
      if (clusterId.length > 0) assertClusterId(clusterId);
      const removed = (['on request', 'as dead', 'unknown'] as const).find((each) => removals[each] === removal);
      return {
        kind: 'refused',
        reason,
        ...(clusterId.length > 0 && { clusterId }),
        ...(removed && { removal: removed }),
        ...(generation > 0n && { generation: safeNumber(generation) }),
      };
    }
    case undefined:
      throw new InvalidInputError('the answer to a join request has an unknown kind');
  }
}

function viewFields({
  term,
  leaderId,
  acknowledged,
  votes,
}: LeaderView): MessageInitShape<typeof JoinResponse_JoinedSchema> {
  return {
    term: BigInt(term),
    leaderId: BigInt(leaderId),
    acknowledgedIndex: BigInt(acknowledged.index),
    acknowledgedTerm: BigInt(acknowledged.term),
    votes,
  };
}

/** Returns undefined if the leader's release does not send its view. */
function viewOf(joined: JoinResponse_Joined): LeaderView | undefined {
  const { term, leaderId, acknowledgedIndex, acknowledgedTerm, votes } = joined;
  if (term === 0n) return undefined;
  const acknowledged = { index: safeNumber(acknowledgedIndex), term: safeNumber(acknowledgedTerm) };
  return { term: safeNumber(term), leaderId: safeNumber(leaderId), acknowledged, votes };
}

function assertClusterId({ length }: Uint8Array): void {
  if (length !== logIdBytes) throw new InvalidInputError('a cluster id must have 16 bytes');
}

function entryIdOf({ index, term }: EntryIdMessage): EntryId {
  return { index: safeNumber(index), term: safeNumber(term) };
}
