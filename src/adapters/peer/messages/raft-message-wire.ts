import { create, toBinary } from '@bufbuild/protobuf';
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { entryOfBatch } from '../../../application/raft/batch-entry.js';
import type { PeerMessage } from '../../../application/ports/peer-transport.js';
import type { PassedNote } from '../../../application/ports/vouching.js';
import { parseTransfer } from '../../../application/configuration/configuration-json.js';
import { InvalidInputError } from '../../../domain/log/errors.js';
import { invariant } from '../../../domain/log/invariant.js';
import { storedBytes, type BatchChecksum } from '../../../domain/log/record-batch.js';
import { varintBytes, writeVarint } from '../../../domain/log/wire-reader.js';
import { entry, type Entry } from '../../../domain/raft/entry.js';
import { message, type MessageType } from '../../../domain/raft/message.js';
import type { Snapshot } from '../../../domain/raft/snapshot.js';
import {
  MemberNoteSchema,
  RaftMessageType,
  SnapshotSchema,
  type Snapshot as WireSnapshot,
} from '../../../gen/golog/peer/v1/peer_service_pb.js';
import { verifiedBatch } from '../entries/entry-wire.js';
import { noteMessage, passedNoteOf } from '../vouching/vouch-messages.js';
import { peerMessage } from './peer-message.js';
import { safeNumber } from '../safe-number.js';

/**
 * Encodes and decodes `ControlRequest` and `BulkRequest`, which have the same wire form. Written by hand: batches are
 * copied once, into the buffer to send, and read as views of the received buffer.
 */

const wireTypes: ReadonlyMap<MessageType, RaftMessageType> = new Map([
  ['MsgApp', RaftMessageType.APPEND],
  ['MsgAppResp', RaftMessageType.APPEND_RESPONSE],
  ['MsgVote', RaftMessageType.VOTE],
  ['MsgVoteResp', RaftMessageType.VOTE_RESPONSE],
  ['MsgSnap', RaftMessageType.SNAPSHOT],
  ['MsgHeartbeat', RaftMessageType.HEARTBEAT],
  ['MsgHeartbeatResp', RaftMessageType.HEARTBEAT_RESPONSE],
  ['MsgTransferLeader', RaftMessageType.TRANSFER_LEADER],
  ['MsgTimeoutNow', RaftMessageType.TIMEOUT_NOW],
  ['MsgReadIndex', RaftMessageType.READ_INDEX],
  ['MsgReadIndexResp', RaftMessageType.READ_INDEX_RESPONSE],
  ['MsgPreVote', RaftMessageType.PRE_VOTE],
  ['MsgPreVoteResp', RaftMessageType.PRE_VOTE_RESPONSE],
  ['MsgForgetLeader', RaftMessageType.FORGET_LEADER],
]);
const messageTypes = new Map([...wireTypes].map(([type, wireType]) => [wireType, type]));

const Field = {
  type: 1,
  to: 2,
  from: 3,
  term: 4,
  logTerm: 5,
  index: 6,
  commit: 7,
  reject: 8,
  rejectHint: 9,
  context: 10,
  snapshot: 11,
  batches: 12,
  readContexts: 13,
  notes: 14,
} as const;

/** Tags of field 1 of the requests and of `batches` of a message, both length-delimited. */
const messagesTag = (1 << 3) | WireType.LengthDelimited;
const batchesTag = (Field.batches << 3) | WireType.LengthDelimited;

/** The approximate size of the message on the wire, within a few dozen bytes. */
export function messageSize({ entries, snapshot }: PeerMessage): number {
  let bytes = 64 + (snapshot?.data.length ?? 0);
  for (const { batch, data } of entries) bytes += batch === undefined ? data.length : storedBytes(batch);
  return bytes;
}

/** Encodes a request with these messages, in this order. */
export function encodeMessages(messages: readonly PeerMessage[]): Buffer {
  let size = 0;
  const parts = messages.map(({ entries, ...fields }) => {
    const head = encodeHead(fields, entries);
    let length = head.length;
    for (const { batch } of entries) if (batch !== undefined) length += delimitedBytes(storedBytes(batch));
    size += delimitedBytes(length);
    return { head, entries, length };
  });
  const bytes = Buffer.allocUnsafe(size);
  let at = 0;
  for (const { head, entries, length } of parts) {
    bytes[at++] = messagesTag;
    at = writeVarint(bytes, at, length);
    bytes.set(head, at);
    at += head.length;
    for (const { batch } of entries) {
      if (batch === undefined) continue;
      bytes[at++] = batchesTag;
      at = writeVarint(bytes, at, storedBytes(batch));
      bytes.set(batch.header, at);
      at += batch.header.length;
      bytes.set(batch.payload, at);
      at += batch.payload.length;
    }
  }
  invariant(at === size, 'a frame must have its computed length');
  return bytes;
}

/** The size of a length-delimited field with a one-byte tag. */
function delimitedBytes(length: number): number {
  return 1 + varintBytes(length) + length;
}

function encodeHead(fields: Omit<PeerMessage, 'entries'>, entries: readonly Entry[]): Uint8Array {
  const writer = new BinaryWriter();
  const wireType = wireTypes.get(fields.type);
  invariant(wireType !== undefined, `${fields.type} must not leave its node`);
  writer.tag(Field.type, WireType.Varint).uint32(wireType);
  for (const name of ['to', 'from', 'term', 'logTerm', 'index', 'commit', 'rejectHint'] as const)
    if (fields[name] !== 0) writer.tag(Field[name], WireType.Varint).uint64(fields[name]);
  if (fields.reject) writer.tag(Field.reject, WireType.Varint).bool(true);
  if (fields.context !== undefined) writer.tag(Field.context, WireType.LengthDelimited).bytes(fields.context);
  if (fields.snapshot !== undefined)
    writer.tag(Field.snapshot, WireType.LengthDelimited).bytes(encodeSnapshot(fields.snapshot));
  for (const note of fields.notes ?? [])
    writer.tag(Field.notes, WireType.LengthDelimited).bytes(toBinary(MemberNoteSchema, noteMessage(note)));
  for (const { batch, data } of entries) {
    if (batch !== undefined) continue;
    invariant(fields.type !== 'MsgApp', 'entries for peers must have their batches');
    writer.tag(Field.readContexts, WireType.LengthDelimited).bytes(data);
  }
  return writer.finish();
}

function encodeSnapshot({ data, metadata: { index, term, confState } }: Snapshot): Uint8Array {
  return toBinary(
    SnapshotSchema,
    create(SnapshotSchema, {
      index: BigInt(index),
      term: BigInt(term),
      data,
      membership: {
        voters: confState.voters.map(BigInt),
        votersOutgoing: confState.votersOutgoing.map(BigInt),
        learners: confState.learners.map(BigInt),
        learnersNext: confState.learnersNext.map(BigInt),
        autoLeave: confState.autoLeave,
      },
    }),
  );
}

/**
 * Decodes the messages of a request as views of `request`. Verifies each batch's checksum and log id, and that the
 * entries of a message are consecutive. Throws `InvalidInputError` for the whole request if any check fails.
 */
export function decodeMessages(request: Uint8Array, checksum: BatchChecksum): PeerMessage[] {
  const bytes = new Uint8Array(request.buffer, request.byteOffset, request.byteLength);
  try {
    const reader = new BinaryReader(bytes);
    const messages: PeerMessage[] = [];
    while (reader.pos < reader.len) {
      const [field, wireType] = reader.tag();
      if (field === 1 && wireType === WireType.LengthDelimited) messages.push(decodeMessage(reader.bytes(), checksum));
      else reader.skip(wireType, field);
    }
    return messages;
  } catch (error) {
    if (error instanceof InvalidInputError) throw error;
    throw new InvalidInputError('a peer sent bytes that are not valid Raft messages', { cause: error });
  }
}

function decodeMessage(bytes: Uint8Array, checksum: BatchChecksum): PeerMessage {
  const reader = new BinaryReader(bytes);
  const numbers = { to: 0, from: 0, term: 0, logTerm: 0, index: 0, commit: 0, rejectHint: 0 };
  const entries: Entry[] = [];
  const notes: PassedNote[] = [];
  let type: MessageType | undefined;
  let reject = false;
  let context: Uint8Array | undefined;
  let snapshot: Snapshot | undefined;
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    switch (field) {
      case Field.type:
        type = messageTypes.get(reader.uint32());
        break;
      case Field.to:
        numbers.to = safeNumber(reader.uint64());
        break;
      case Field.from:
        numbers.from = safeNumber(reader.uint64());
        break;
      case Field.term:
        numbers.term = safeNumber(reader.uint64());
        break;
      case Field.logTerm:
        numbers.logTerm = safeNumber(reader.uint64());
        break;
      case Field.index:
        numbers.index = safeNumber(reader.uint64());
        break;
      case Field.commit:
        numbers.commit = safeNumber(reader.uint64());
        break;
      case Field.rejectHint:
        numbers.rejectHint = safeNumber(reader.uint64());
        break;
      case Field.reject:
        reject = reader.bool();
        break;
      case Field.context:
        context = reader.bytes();
        break;
      case Field.snapshot:
        snapshot = decodeSnapshot(peerMessage(SnapshotSchema, reader.bytes()));
        break;
      case Field.batches:
        entries.push(verifiedEntry(reader.bytes(), checksum));
        break;
      case Field.readContexts:
        entries.push(entry({ data: reader.bytes() }));
        break;
      case Field.notes:
        notes.push(passedNoteOf(peerMessage(MemberNoteSchema, reader.bytes())));
        break;
      default:
        reader.skip(wireType, field);
    }
  }
  if (type === undefined) throw new InvalidInputError('a peer sent a message of an unknown type');
  if ((type === 'MsgSnap') !== (snapshot !== undefined))
    throw new InvalidInputError(`${type} from a peer does not match its snapshot`);
  if (type === 'MsgApp') checkRun(entries, numbers.index);
  const decoded = message({ type, ...numbers, entries, reject, context, snapshot });
  return notes.length === 0 ? decoded : { ...decoded, notes };
}

function verifiedEntry(bytes: Uint8Array, checksum: BatchChecksum): Entry {
  const batch = verifiedBatch(bytes, 0, checksum);
  if (storedBytes(batch) !== bytes.length)
    throw new InvalidInputError(`batch ${batch.index} from a peer has extra bytes after its end`);
  return entryOfBatch(batch);
}

function checkRun(entries: readonly Entry[], before: number): void {
  for (const [i, each] of entries.entries())
    if (each.batch === undefined || each.index !== before + 1 + i)
      throw new InvalidInputError(
        `a peer sent entry ${each.index} as number ${i} after ${before}: entries must be consecutive`,
      );
}

function decodeSnapshot({ index, term, data, membership }: WireSnapshot): Snapshot {
  if (membership === undefined) throw new InvalidInputError('a peer sent a snapshot without a configuration');
  parseTransfer(data);
  const { voters, votersOutgoing, learners, learnersNext, autoLeave } = membership;
  const confState = {
    voters: voters.map(safeNumber),
    votersOutgoing: votersOutgoing.map(safeNumber),
    learners: learners.map(safeNumber),
    learnersNext: learnersNext.map(safeNumber),
    autoLeave,
  };
  return { data, metadata: { index: safeNumber(index), term: safeNumber(term), confState } };
}
