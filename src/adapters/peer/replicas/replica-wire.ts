import type { MessageInitShape } from '@bufbuild/protobuf';
import { create, toBinary } from '@bufbuild/protobuf';
import { encodeSettings, parseSettings } from '../../../application/configuration/configuration-json.js';
import type { FollowFrom, SourceNews, SourceStatus } from '../../../application/ports/replica-uplink.js';
import { InvalidInputError } from '../../../domain/log/errors.js';
import { toIndex, toOffset, toTerm } from '../../../domain/log/offsets.js';
import type { BatchChecksum } from '../../../domain/log/record-batch.js';
import {
  FollowEntriesRequestSchema,
  FollowEntriesResponseSchema,
  type SourceStatus as SourceStatusMessage,
  type SourceStatusSchema,
} from '../../../gen/golog/peer/v1/peer_service_pb.js';
import { joinBatches, splitBatches } from '../entries/entry-wire.js';
import { peerMessage } from '../messages/peer-message.js';
import { safeNumber } from '../safe-number.js';

export function encodeFollowFrom({ index, term }: FollowFrom): Buffer {
  const request = create(FollowEntriesRequestSchema, { fromIndex: BigInt(index), previousTerm: BigInt(term) });
  return Buffer.from(toBinary(FollowEntriesRequestSchema, request));
}

/** Throws `InvalidInputError` for an index that no log has. */
export function decodeFollowFrom(bytes: Uint8Array): FollowFrom {
  const { fromIndex, previousTerm } = peerMessage(FollowEntriesRequestSchema, bytes);
  const index = safeNumber(fromIndex);
  if (index === 0) throw new InvalidInputError('invalid index 0: the first entry has index 1');
  return { index: toIndex(index), term: toTerm(safeNumber(previousTerm)) };
}

export function encodeNews({ batches, highWatermark, status }: SourceNews): Buffer {
  const response = create(FollowEntriesResponseSchema, {
    batches: joinBatches(batches),
    highWatermark: BigInt(highWatermark),
    ...(status && { status: statusMessage(status) }),
  });
  return Buffer.from(toBinary(FollowEntriesResponseSchema, response));
}

/** Throws `InvalidInputError` if a batch is damaged or belongs to another log. */
export function decodeNews(bytes: Uint8Array, checksum: BatchChecksum): SourceNews {
  const { batches, highWatermark, status } = peerMessage(FollowEntriesResponseSchema, bytes);
  return {
    batches: splitBatches(batches, checksum),
    highWatermark: toOffset(safeNumber(highWatermark)),
    ...(status && { status: statusOf(status) }),
  };
}

function statusMessage(status: SourceStatus): MessageInitShape<typeof SourceStatusSchema> {
  const { clusterId, start, id, leaderId, members, learners, settings } = status;
  return {
    clusterId,
    startIndex: BigInt(start.index),
    startOffset: BigInt(start.offset),
    startTerm: BigInt(start.term),
    id: BigInt(id),
    leaderId: BigInt(leaderId),
    members: members.map(({ id: each, name, uuid, rpcAddr }) => ({
      id: BigInt(each),
      name,
      uuid,
      rpcAddr,
      votes: !learners.includes(each),
    })),
    settings: encodeSettings(settings),
  };
}

function statusOf(message: SourceStatusMessage): SourceStatus {
  const members = message.members.map(({ id, name, uuid, rpcAddr }) => ({ id: safeNumber(id), name, uuid, rpcAddr }));
  return {
    clusterId: message.clusterId,
    start: {
      index: toIndex(safeNumber(message.startIndex)),
      offset: toOffset(safeNumber(message.startOffset)),
      term: toTerm(safeNumber(message.startTerm)),
    },
    id: safeNumber(message.id),
    leaderId: safeNumber(message.leaderId),
    members,
    learners: message.members.filter(({ votes }) => !votes).map(({ id }) => safeNumber(id)),
    // A release without settings sends none.
    settings: message.settings.length === 0 ? {} : parseSettings(message.settings),
  };
}
