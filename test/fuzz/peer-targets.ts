import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { crc32c } from '../../src/adapters/checksum/crc32c.js';
import { decodeAnswers, decodeCalls, encodeAnswers, encodeCalls } from '../../src/adapters/peer/appends/append-wire.js';
import { decodeEntries, encodeEntries } from '../../src/adapters/peer/entries/entry-wire.js';
import { answerMessage, answerOf, joinerOf } from '../../src/adapters/peer/join/join-messages.js';
import { identityMetadata, identityOf } from '../../src/adapters/peer/identity/peer-identity.js';
import { peerMessage } from '../../src/adapters/peer/messages/peer-message.js';
import { decodeMessages, encodeMessages } from '../../src/adapters/peer/messages/raft-message-wire.js';
import {
  decodeFollowFrom,
  decodeNews,
  encodeFollowFrom,
  encodeNews,
} from '../../src/adapters/peer/replicas/replica-wire.js';
import { entryOfBatch } from '../../src/application/raft/batch-entry.js';
import { firstConfiguration } from '../../src/application/configuration/configuration.js';
import {
  encodeChangeContext,
  encodeTransfer,
  parseChangeContext,
  parseTransfer,
} from '../../src/application/configuration/configuration-json.js';
import {
  decodeVouch,
  decodeVouchRequest,
  encodeVouch,
  encodeVouchRequest,
} from '../../src/adapters/peer/vouching/vouch-messages.js';
import { UnavailableError } from '../../src/application/errors.js';
import type { PeerMessage } from '../../src/application/ports/peer-transport.js';
import type { JoinAnswer } from '../../src/application/ports/join-transport.js';
import type { Producer } from '../../src/domain/log/batch-prefix.js';
import { InvalidInputError } from '../../src/domain/log/errors.js';
import { toEpochMs, toIndex, toOffset, toTerm } from '../../src/domain/log/offsets.js';
import {
  ProducerFencedError,
  ProducerSequenceGapError,
  ProducersMaxError,
} from '../../src/domain/log/producer-errors.js';
import { BatchKind, sealBatch, type RecordBatch } from '../../src/domain/log/record-batch.js';
import { encodeRecord } from '../../src/domain/log/record.js';
import { defaultRecordLimits, frameRecords } from '../../src/domain/log/records.js';
import {
  confChangeV2,
  decodeConfChange,
  encodeConfChange,
  MalformedConfChangeError,
} from '../../src/domain/raft/conf-change.js';
import { confState } from '../../src/domain/raft/conf-state.js';
import { message } from '../../src/domain/raft/message.js';
import {
  BulkRequestSchema,
  JoinRequestSchema,
  JoinResponseSchema,
} from '../../src/gen/golog/peer/v1/peer_service_pb.js';
import type { Chance } from '../simulation/chance.js';
import { expectEqual, Refusal, type Target } from './target.js';

const checksum = { crc32c, logId: new Uint8Array(16).fill(7) };
const refusals = [InvalidInputError] as const;
const heldBytesForEach = 1024;
const uuid = '01234567-89ab-4cde-8f01-23456789abcd';
const member = { id: 1, name: 'n1', uuid, rpcAddr: '127.0.0.1:8400' };
const configuration = firstConfiguration(member);
const transfer = encodeTransfer({ configuration, offset: 9, contacts: [member], generation: 2 });
const settings = { featureLevel: 1, generation: 2, startOffset: 9, producersMax: 7 };
const context = encodeChangeContext({ members: [member, { ...member, id: 2, replaces: 1 }], settings });
const change = encodeConfChange(confChangeV2({ changes: [{ type: 'add-learner-node', nodeId: 2 }], context }));

function recordsOf(chance: Chance): ReturnType<typeof frameRecords> {
  const value = new Uint8Array(chance.pick([0, 5, 200])).fill(chance.below(256));
  return frameRecords(Array<Uint8Array>(chance.between(1, 4)).fill(encodeRecord({ value })), defaultRecordLimits);
}

function batchAt(index: number, chance: Chance): RecordBatch {
  const position = {
    index: toIndex(index),
    term: toTerm(2),
    baseOffset: toOffset(4 * index),
    appendTimeMs: toEpochMs(5),
  };
  if (chance.percent(30))
    return sealBatch(
      { ...position, kind: BatchKind.configuration, recordCount: 0, payload: Uint8Array.of(2, ...change.data) },
      checksum,
    );
  const { payload, count } = recordsOf(chance);
  return sealBatch({ ...position, kind: BatchKind.records, recordCount: count, payload }, checksum);
}

function producerBy(chance: Chance): Producer {
  return { id: chance.pick(['p', 'ö'.repeat(64)]), epoch: chance.pick([0, 2 ** 53 - 1]), sequence: chance.below(300) };
}

/** Checks that what a peer sends of a producer can be stored. */
function expectInRange({ id, epoch, sequence = 0 }: Pick<Producer, 'id' | 'epoch'> & { sequence?: number }): void {
  const bytes = Buffer.byteLength(id);
  expectEqual(bytes >= 1 && bytes <= 128, true, 'the bytes of an id');
  expectEqual(Number.isSafeInteger(epoch) && Number.isSafeInteger(sequence), true, 'an epoch and a sequence');
}

const run = (chance: Chance): RecordBatch[] =>
  Array.from({ length: chance.between(0, 4) }, (_, position) => batchAt(5 + position, chance));

function raftMessage(chance: Chance): PeerMessage {
  const metadata = { index: 4, term: 1, confState: confState({ voters: [1, 2], learners: [2 ** 40] }) };
  const head = { from: 1, to: 2, term: chance.pick([1, 7, 2 ** 40]) };
  return chance.pick<() => PeerMessage>([
    () => message({ ...head, type: 'MsgApp', logTerm: 2, index: 4, commit: 3, entries: run(chance).map(entryOfBatch) }),
    () => message({ ...head, type: 'MsgAppResp', index: 900, reject: true, rejectHint: 3 }),
    () => ({
      ...message({ ...head, type: 'MsgHeartbeat', commit: 3, context: Uint8Array.of(1, 2) }),
      notes: [
        { id: 2, incarnation: 4, term: 7, durable: { term: 6, index: 2 ** 40 }, clockMs: 1_700_000_000_000 },
        { id: 3, incarnation: 1, term: 7, durable: { term: 6, index: 1 } },
      ],
    }),
    () => message({ ...head, type: 'MsgVote', index: 4, logTerm: 2 }),
    () => message({ ...head, type: 'MsgSnap', snapshot: { data: transfer, metadata } }),
  ])();
}

const answers: readonly JoinAnswer[] = [
  { kind: 'joined', clusterId: checksum.logId, id: 3, configuration: transfer },
  { kind: 'waiting', joiner: { name: 'n2', uuid, rpcAddr: 'n2:8400', bootstrapExpect: 3 } },
  { kind: 'retry', reason: 'not the leader', leaderAddr: '10.0.0.1:8400' },
  { kind: 'refused', reason: 'the name is taken' },
  { kind: 'refused', reason: 'the cluster was recovered', clusterId: checksum.logId, generation: 2 },
];

const numbers = ['to', 'from', 'term', 'logTerm', 'index', 'commit', 'rejectHint'] as const;

/** Checks that the generated code decodes the hand-written encoding like the hand-written decoder. */
function messagesTwice(input: Uint8Array): unknown {
  const messages = decodeMessages(input, checksum);
  const again = encodeMessages(messages);
  const [other, others] = [decodeMessages(again, checksum), fromBinary(BulkRequestSchema, again).messages];
  expectEqual(others.length, messages.length, 'messages');
  messages.forEach((each, position) => {
    for (const name of numbers) {
      expectEqual(other[position]?.[name], each[name], name);
      expectEqual(Number(others[position]?.[name]), each[name], name);
    }
    expectEqual(others[position]?.reject, each.reject, 'reject');
  });
  return messages;
}

export const peerTargets: readonly Target[] = [
  {
    name: 'raft-messages',
    valid: (chance) => encodeMessages(Array.from({ length: chance.between(1, 4) }, () => raftMessage(chance))),
    decode: messagesTwice,
    refusals,
    heldBytesForEach,
  },
  {
    name: 'vouch-request',
    valid: () =>
      encodeVouchRequest({
        clusterId: checksum.logId,
        uuid,
        name: 'n1',
        id: 1,
        rpcAddr: '127.0.0.1:8400',
        generation: 1,
        configurationIndex: 7,
      }),
    decode: decodeVouchRequest,
    refusals,
    heldBytesForEach,
  },
  {
    name: 'vouch',
    valid: () => {
      const note = { incarnation: 4, term: 7, durable: { term: 6, index: 2 ** 40 } };
      const configuration = firstConfiguration({ id: 1, name: 'n1', uuid, rpcAddr: '127.0.0.1:8400' });
      const own = { uuid, id: 2, term: 7, last: { term: 6, index: 12 } };
      return encodeVouch({ ...own, note, aliveAt: '127.0.0.1:8400', configuration });
    },
    decode: decodeVouch,
    refusals,
    heldBytesForEach,
  },
  {
    name: 'forwarded-appends',
    valid: (chance) =>
      encodeCalls([
        { id: chance.below(300), records: recordsOf(chance), options: {} },
        { id: 2, records: recordsOf(chance), options: { expectedOffset: toOffset(chance.below(300)) } },
        { id: 3, records: recordsOf(chance), options: { producer: producerBy(chance) } },
        { id: 4, opening: { ...producerBy(chance), isEphemeral: chance.percent(50) } },
        { id: 5, opening: { id: '', isEphemeral: true } },
        { id: 6, closing: producerBy(chance) },
      ]),
    decode: (input) => {
      const calls = decodeCalls(input);
      if (calls.every((each) => 'error' in each)) throw new Refusal('all of them');
      for (const each of calls) if ('options' in each && each.options.producer) expectInRange(each.options.producer);
      for (const each of calls) if ('closing' in each) expectInRange(each.closing);
      return calls;
    },
    refusals,
    heldBytesForEach,
  },
  {
    name: 'append-answers',
    valid: (chance) =>
      encodeAnswers([
        {
          id: chance.below(300),
          outcome: {
            receipt: {
              baseOffset: toOffset(41),
              recordCount: 1,
              term: toTerm(3),
              index: toIndex(9),
              syncedOn: ['n1', 'n2'],
            },
          },
        },
        { id: 2, outcome: { error: new UnavailableError('no', 'n2:8400') } },
        { id: 3, outcome: { opened: { id: 'p', epoch: 2, last: { sequence: 7, baseOffset: toOffset(41) } } } },
        { id: 4, outcome: { isClosed: true } },
        { id: 5, outcome: { error: new ProducerFencedError('p', 1, chance.below(300)) } },
        { id: 6, outcome: { error: new ProducerSequenceGapError(producerBy(chance), 4) } },
        { id: 7, outcome: { error: new ProducersMaxError(true, 50_000) } },
      ]),
    decode: decodeAnswers,
    refusals,
    heldBytesForEach,
  },
  {
    name: 'entries',
    valid: (chance) => encodeEntries(run(chance)),
    decode: (input) => decodeEntries(input, checksum),
    refusals,
  },
  {
    name: 'replica-news',
    valid: (chance) =>
      encodeNews({
        batches: run(chance),
        highWatermark: toOffset(40),
        status: {
          clusterId: checksum.logId,
          id: 1,
          leaderId: 1,
          members: [member],
          learners: [1],
          settings: { ...settings, retentionAgeMs: 60_000 },
          start: { index: toIndex(1), offset: toOffset(0), term: toTerm(0) },
        },
      }),
    decode: (input) => decodeNews(input, checksum),
    refusals,
    heldBytesForEach,
  },
  {
    name: 'replica-request',
    valid: (chance) => encodeFollowFrom({ index: toIndex(chance.between(1, 900)), term: toTerm(3) }),
    decode: decodeFollowFrom,
    refusals,
  },
  {
    name: 'join-request',
    valid: () => {
      const joiner = {
        name: 'n3',
        uuid,
        rpcAddr: '10.0.0.3:8400',
        bootstrapExpect: 3,
        featureLevel: 1n,
        generation: 2n,
      };
      return toBinary(JoinRequestSchema, create(JoinRequestSchema, { joiner }));
    },
    decode: (input) => {
      const joiner = joinerOf(peerMessage(JoinRequestSchema, input).joiner);
      expectEqual(/^[A-Za-z0-9][\w.-]{0,127}$/.test(joiner.name), true, 'a name by the allow-list');
      return joiner;
    },
    refusals,
  },
  {
    name: 'join-answer',
    valid: (chance) =>
      toBinary(JoinResponseSchema, create(JoinResponseSchema, { answer: answerMessage(chance.pick(answers)) })),
    decode: (input) => answerOf(peerMessage(JoinResponseSchema, input)),
    refusals,
  },
  {
    name: 'peer-identity',
    valid: () => Buffer.from('1,2,127.0.0.1:8400,n1'),
    words: ['0', '-1', '1.5', '0x1', '1e3', '../', ':8400', 'n1', '9007199254740993', '[::1]:8400'],
    decode: (input) => {
      // HTTP/2 allows no other characters.
      const text = Buffer.from(input)
        .toString('latin1')
        .replace(/[^ -~]/g, '');
      const [from = '', to = '', rpcAddr = '', name = ''] = text.split(',');
      const metadata = identityMetadata({ ...member, clusterId: checksum.logId, from: 1, to: 2 });
      for (const [key, value] of Object.entries({ from, to, addr: rpcAddr, name })) metadata.set(`golog-${key}`, value);
      const identity = identityOf(metadata);
      if (identity === undefined) throw new Refusal('no identity');
      expectEqual(Number.isSafeInteger(identity.from), true, 'an id');
      expectEqual(/^([A-Za-z0-9][\w.-]{0,127})?$/.test(identity.name), true, 'a name by the allow-list');
      return identity;
    },
    refusals: [],
  },
  {
    name: 'membership-change',
    valid: () => change.data,
    decode: (input) => decodeConfChange('conf-change-v2', input),
    refusals: [MalformedConfChangeError],
  },
  {
    name: 'membership-json',
    valid: (chance) => (chance.percent(50) ? transfer : context),
    words: ['null', '"id"', '"members"', '"confState"', '"voters":', 'true', '1.5', '[]', '{}'],
    decode: (input) => {
      try {
        return parseTransfer(input);
      } catch (error) {
        if (!(error instanceof InvalidInputError)) throw error;
        return parseChangeContext(input);
      }
    },
    refusals,
  },
];
