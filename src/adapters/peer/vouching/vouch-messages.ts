import { create, toBinary } from '@bufbuild/protobuf';
import { encodeConfiguration, parseConfiguration } from '../../../application/configuration/configuration-json.js';
import { isUuid, memberNameOrThrow, rpcAddrOrThrow } from '../../../application/configuration/member-names.js';
import {
  callersMax,
  type MemberNote,
  type PassedNote,
  type Vouch,
  type VouchRequest,
} from '../../../application/ports/vouching.js';
import { InvalidInputError } from '../../../domain/log/errors.js';
import {
  type MemberNote as MemberNoteMessage,
  MemberNoteSchema,
  VouchRequestSchema,
  VouchResponseSchema,
} from '../../../gen/golog/peer/v1/peer_service_pb.js';
import { peerMessage } from '../messages/peer-message.js';
import { safeNumber } from '../safe-number.js';

export function noteMessage({ id, incarnation, term, durable, clockMs, isDiskFull }: PassedNote): MemberNoteMessage {
  return create(MemberNoteSchema, {
    id: BigInt(id),
    incarnation: BigInt(incarnation),
    term: BigInt(term),
    durableTerm: BigInt(durable.term),
    durableIndex: BigInt(durable.index),
    ...(clockMs !== undefined && { clockMs: BigInt(clockMs) }),
    ...(isDiskFull && { diskFull: true }),
  });
}

/** Like the other decoders here, throws `InvalidInputError` for numbers above 2^53 and malformed identities. */
export function passedNoteOf(note: MemberNoteMessage): PassedNote {
  const { id, clockMs, diskFull } = note;
  return {
    id: safeNumber(id),
    ...memberNoteOf(note),
    ...(clockMs !== undefined && { clockMs: safeNumber(clockMs) }),
    ...(diskFull && { isDiskFull: true }),
  };
}

function memberNoteOf({ incarnation, term, durableTerm, durableIndex }: MemberNoteMessage): MemberNote {
  const durable = { term: safeNumber(durableTerm), index: safeNumber(durableIndex) };
  return { incarnation: safeNumber(incarnation), term: safeNumber(term), durable };
}

export function encodeVouchRequest({ id, generation, configurationIndex, ...request }: VouchRequest): Buffer {
  const message = create(VouchRequestSchema, {
    ...request,
    id: BigInt(id),
    generation: BigInt(generation),
    ...(configurationIndex !== undefined && { configurationIndex: BigInt(configurationIndex) }),
  });
  return Buffer.from(toBinary(VouchRequestSchema, message));
}

export function decodeVouchRequest(bytes: Uint8Array): VouchRequest {
  const { clusterId, uuid, name, id, rpcAddr, generation, configurationIndex } = peerMessage(VouchRequestSchema, bytes);
  return {
    clusterId,
    uuid: uuidOrThrow(uuid),
    name: memberNameOrThrow(name),
    id: safeNumber(id),
    rpcAddr: rpcAddrOrThrow(rpcAddr),
    generation: safeNumber(generation),
    ...(configurationIndex !== undefined && { configurationIndex: safeNumber(configurationIndex) }),
  };
}

export function encodeVouch({ uuid, id, term, last, note, aliveAt, laterId, configuration, callers }: Vouch): Buffer {
  const response = create(VouchResponseSchema, {
    uuid,
    id: BigInt(id),
    term: BigInt(term),
    lastTerm: BigInt(last.term),
    lastIndex: BigInt(last.index),
    ...(note && { note: noteMessage({ id: 0, ...note }) }),
    ...(aliveAt !== undefined && { aliveAt }),
    ...(laterId !== undefined && { laterId: BigInt(laterId) }),
    ...(configuration !== undefined && { configuration: encodeConfiguration(configuration) }),
    ...(callers && { callers: [...callers] }),
  });
  return Buffer.from(toBinary(VouchResponseSchema, response));
}

export function decodeVouch(bytes: Uint8Array): Vouch {
  const response = peerMessage(VouchResponseSchema, bytes);
  const { uuid, id, term, lastTerm, lastIndex, note, aliveAt, laterId, configuration, callers } = response;
  return {
    uuid: uuidOrThrow(uuid),
    id: safeNumber(id),
    term: safeNumber(term),
    last: { term: safeNumber(lastTerm), index: safeNumber(lastIndex) },
    ...(note && { note: memberNoteOf(note) }),
    ...(aliveAt !== undefined && { aliveAt: rpcAddrOrThrow(aliveAt) }),
    ...(laterId !== undefined && { laterId: safeNumber(laterId) }),
    ...(configuration.length > 0 && { configuration: parseConfiguration(configuration) }),
    ...(callers.length > 0 && { callers: callers.slice(0, callersMax).map(rpcAddrOrThrow) }),
  };
}

function uuidOrThrow(uuid: string): string {
  if (isUuid(uuid)) return uuid;
  throw new InvalidInputError('a peer sent an invalid UUID');
}
