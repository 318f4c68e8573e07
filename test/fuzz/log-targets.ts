import { fromBinary } from '@bufbuild/protobuf';
import { crc32c } from '../../src/adapters/checksum/crc32c.js';
import { parseIdentity, formatIdentity, newIdentity } from '../../src/adapters/file-system/node-identity.js';
import { MemoryDirectory } from '../../src/adapters/memory/memory-directory.js';
import { entryOfBatch } from '../../src/application/raft/batch-entry.js';
import { UnknownFeatureLevelError } from '../../src/application/configuration/cluster-settings.js';
import { firstConfiguration } from '../../src/application/configuration/configuration.js';
import {
  ConfigurationFile,
  CorruptConfigurationError,
} from '../../src/application/configuration/configuration-file.js';
import {
  CorruptRangeError,
  ForeignLogError,
  InvalidInputError,
  MissingLogError,
  TooLargeError,
  UnsupportedFormatError,
} from '../../src/domain/log/errors.js';
import { HardStateFile } from '../../src/domain/log/hard-state-file.js';
import { encodeIndexFile, readIndexFile } from '../../src/domain/log/index-file.js';
import { Log } from '../../src/domain/log/log.js';
import { encodePrefix } from '../../src/domain/log/batch-prefix.js';
import { toEpochMs, toIndex, toOffset, toPosition, toTerm } from '../../src/domain/log/offsets.js';
import { decodeProducerChange, encodeProducerChange } from '../../src/domain/log/producer-change.js';
import { malformed } from '../../src/domain/log/wire-reader.js';
import {
  batchIsIntact,
  BatchKind,
  parseBatch,
  parseBatchHeader,
  producerOf,
  sealBatch,
  storedBytes,
  type RecordBatch,
} from '../../src/domain/log/record-batch.js';
import { decodeRecord, encodeRecord } from '../../src/domain/log/record.js';
import { forEachRecord, frameRecords, takeRecords } from '../../src/domain/log/records.js';
import { SparseIndex } from '../../src/domain/log/sparse-index.js';
import { decodeStoreHeader, encodeStoreHeader } from '../../src/domain/log/store-header.js';
import { confChangeV2, encodeConfChange } from '../../src/domain/raft/conf-change.js';
import { ConfigurationBase } from '../../src/application/configuration/configuration-base.js';
import { IncarnationFile } from '../../src/application/vouching/incarnation-file.js';
import { PeerNotes } from '../../src/application/vouching/peer-notes.js';
import { RecordBatchSchema } from '../../src/gen/golog/v1/log_service_pb.js';
import type { Chance } from '../simulation/chance.js';
import { expectEqual, expectSameBytes, Refusal, WrongValueError, type Target } from './target.js';

const logId = Uint8Array.from({ length: 16 }, (_, i) => i + 1);
const checksum = { crc32c, logId };
const limits = { recordBytesMax: 64 << 10, batchBytesMax: 128 << 10 };

function record(chance: Chance): Uint8Array {
  const value = new Uint8Array(chance.pick([0, 1, 100, 300])).fill(chance.below(256));
  const headers = new Map(
    chance.percent(40)
      ? [
          ['trace', Uint8Array.of(1)],
          ['__proto__', value],
        ]
      : [],
  );
  return encodeRecord({ value, ...(chance.percent(40) && { key: Uint8Array.of(7) }), headers });
}

const delimited = (tag: number, bytes: Uint8Array): Buffer => {
  const length = bytes.length < 128 ? [bytes.length] : [(bytes.length & 0x7f) | 0x80, bytes.length >> 7];
  return Buffer.concat([Uint8Array.of(tag, ...length), bytes]);
};

/** Builds a `golog.v1.AppendRequest`, sometimes with server fields or unknown ones. */
function appendRequest(chance: Chance): Uint8Array {
  const records = Array.from({ length: chance.between(1, 8) }, () => {
    const own = record(chance);
    return chance.percent(20) ? Buffer.concat([own, Uint8Array.of(0x10, 5, 0x98, 0x06, 1)]) : own;
  });
  const expected = chance.percent(30) ? [Uint8Array.of(0x10, 42)] : [];
  return Buffer.concat([...records.map((each) => delimited(0x0a, each)), ...expected]);
}

function takenRequest(input: Uint8Array): unknown {
  const { records } = takeRecords(input, limits);
  let found = 0;
  forEachRecord(records.payload, (start, end) => {
    found += 1;
    decodeRecord(records.payload.subarray(start, end));
  });
  expectEqual(found, records.count, 'records');
  if (records.payload.length > limits.batchBytesMax) throw new WrongValueError('a batch above its limit');
  // Any protobuf reader must be able to read the accepted records.
  expectEqual(fromBinary(RecordBatchSchema, records.payload).records.length, found, 'records for another reader');
  return records;
}

function batchAt(
  number: number,
  payloadOf: Uint8Array = encodeRecord({ value: new Uint8Array(18).fill(number) }),
  prefix?: Uint8Array,
): RecordBatch {
  return sealBatch(
    {
      kind: BatchKind.records,
      index: toIndex(number + 1),
      term: toTerm(1),
      baseOffset: toOffset(number),
      recordCount: 1,
      appendTimeMs: toEpochMs(1000 + number),
      prefix,
      payload: frameRecords([payloadOf], limits).payload,
    },
    checksum,
  );
}

const bytesOf = ({ header, payload }: RecordBatch): Uint8Array => Buffer.concat([header, payload]);

function changeBatch(chance: Chance): RecordBatch {
  const { type, data } = encodeConfChange(
    confChangeV2({ changes: [{ type: 'add-learner-node', nodeId: chance.between(1, 9) }] }),
  );
  const payload = Uint8Array.of(type === 'conf-change' ? 1 : 2, ...data);
  return sealBatch(
    {
      kind: BatchKind.configuration,
      index: toIndex(4),
      term: toTerm(2),
      baseOffset: toOffset(9),
      recordCount: 0,
      appendTimeMs: toEpochMs(1),
      payload,
    },
    checksum,
  );
}

function producerBatch(chance: Chance): RecordBatch {
  const id = chance.pick(['p', 'orders-7', 'é'.repeat(64)]);
  const epoch = chance.pick([0, 1, 300, Number.MAX_SAFE_INTEGER]);
  const prefix = encodePrefix({ id, epoch, sequence: chance.below(1000) });
  const later = chance.percent(20) ? Uint8Array.of(0x32, 2, 1, 2) : new Uint8Array(0);
  return batchAt(chance.below(20), record(chance), Buffer.concat([prefix, later]));
}

/** Updates the checksum to the current bytes. */
function resealedBatch(bytes: Uint8Array): Uint8Array {
  if (bytes.length < 52) return bytes;
  const sealed = Buffer.from(bytes);
  const length = Math.min(sealed.readUInt32BE(8), sealed.length - 52);
  const crc = crc32c(sealed.subarray(52, 52 + length), crc32c(sealed.subarray(0, 48), crc32c(logId)));
  sealed.writeUInt32BE(crc >>> 0, 48);
  return sealed;
}

function parsedBatch(input: Uint8Array): unknown {
  const batch = parseBatch(input, 0, input.length, checksum);
  if (typeof batch === 'string') throw new Refusal(batch);
  expectSameBytes(sealBatch(batch, checksum).header, batch.header, 'a batch sealed again');
  expectEqual(storedBytes(batch) <= input.length, true, 'a batch within its bytes');
  const header = parseBatchHeader(input, 0);
  if (typeof header === 'string' || !batchIsIntact(header, input, 0, checksum))
    throw new WrongValueError('a batch that recovery and readers judge differently');
  // Readers get the prefix as it is.
  if (batch.prefix !== undefined) {
    const { id = '' } = producerOf(batch) ?? {};
    const read = fromBinary(RecordBatchSchema, batch.prefix).producer?.id ?? '';
    // That reader drops a byte order mark.
    expectEqual(read, id.replace(/^\uFEFF/, ''), 'the id for another reader');
  }
  return entryOfBatch(batch);
}

/** Creates a directory with these files. */
async function directoryOf(files: ReadonlyMap<string, Uint8Array>): Promise<MemoryDirectory> {
  const directory = new MemoryDirectory();
  for (const [name, bytes] of files) await (await directory.create(name)).write(0, [bytes]);
  return directory;
}

async function filesOf(directory: MemoryDirectory): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  for (const name of await directory.list()) {
    const file = await directory.open(name);
    files.set(name, await file.read(0, await file.size()));
  }
  return files;
}

/** Returns the single file that `write` creates. */
async function fileOf(write: (directory: MemoryDirectory) => Promise<unknown>): Promise<[name: string, Uint8Array]> {
  const directory = new MemoryDirectory();
  await write(directory);
  const [file] = await filesOf(directory);
  if (file === undefined) throw new RangeError('expected write to create a file');
  return file;
}

const logOptions = { logId, crc32c, segmentBytesMax: 700, indexIntervalBytes: 150 };
const batches = Array.from({ length: 24 }, (_, number) => batchAt(number));

async function filledLog(): Promise<ReadonlyMap<string, Uint8Array>> {
  const directory = new MemoryDirectory();
  const log = await Log.open(directory, logOptions);
  for (const batch of batches) {
    await log.append([batch]);
    await log.sync();
  }
  await log.close();
  return filesOf(directory);
}

const logFiles = await filledLog();
const logFileNames = [...logFiles.keys()];

/** The first byte selects the file of the log that the other bytes replace. */
async function openedLog(input: Uint8Array): Promise<unknown> {
  const name = logFileNames[(input[0] ?? 0) % logFileNames.length] ?? '';
  const directory = await directoryOf(new Map([...logFiles, [name, input.slice(1)]]));
  const log = await Log.open(directory, logOptions);
  const read: RecordBatch[] = [];
  for (let offset = log.startOffset; offset < log.endOffset; offset = toOffset(offset + 1)) {
    try {
      read.push(...(await log.read(offset, { until: toOffset(1e6), bytesMax: 1 })));
    } catch (error) {
      if (!(error instanceof CorruptRangeError)) throw error;
    }
  }
  await log.close();
  for (const batch of read) {
    const written = batches[batch.baseOffset];
    if (written === undefined) throw new WrongValueError(`offset ${batch.baseOffset} was never written`);
    expectSameBytes(bytesOf(batch), bytesOf(written), `offset ${batch.baseOffset}`);
  }
  const { quarantined, torn } = log.recovery;
  if (quarantined.length > 0 || torn !== undefined || log.quarantined.length > 0) throw new Refusal('damaged');
  return log;
}

const [hardStateName, hardStateBytes] = await fileOf(async (directory) => {
  const file = await HardStateFile.open(directory, crc32c);
  await file.save({ term: toTerm(3), vote: 2, commit: toIndex(9) }, 4);
  await file.close();
});

function resealedHardState(bytes: Uint8Array): Uint8Array {
  const sealed = Buffer.from(bytes);
  for (const slot of [0, 4096])
    for (const at of [slot + 40, slot + 52])
      if (sealed.length >= at + 4) sealed.writeUInt32BE(crc32c(sealed.subarray(slot, at)) >>> 0, at);
  return sealed;
}

const members = [1, 2, 3].map((id) => ({ id, name: `n${id}`, uuid: `uuid-${id}`, rpcAddr: `127.0.0.1:840${id}` }));
const [snapshotName, snapshotBytes] = await fileOf(async (directory) => {
  const file = await ConfigurationFile.open(directory, crc32c);
  const history = members.map((member) => ({
    ...firstConfiguration(member),
    index: member.id,
    settings: { featureLevel: 1, retentionBytes: 4096 * member.id },
  }));
  await file.write({
    ...{ id: 1, contacts: members, history, damagedFrom: 4, repairing: { until: 9, cutFrom: 5 } },
    ...{ generation: 2, superseded: 3, recovery: 'finished' },
  });
});

const [incarnationName, incarnationBytes] = await fileOf(async (directory) => {
  await IncarnationFile.open(directory, crc32c, () => 0, false);
});
const [notesName, notesBytes] = await fileOf(async (directory) => {
  const notes = await PeerNotes.open(directory, crc32c);
  for (const id of [1, 2])
    notes.add(`uuid-${id}`, id, { incarnation: id, term: 7, durable: { term: 6, index: 2 ** 40 } });
  await notes.write();
});

const [configurationBaseName, configurationBaseBytes] = await fileOf(async (directory) => {
  const base = await ConfigurationBase.open(directory, crc32c);
  await base.raise(2 ** 40 + 5);
});

const [indexName, indexBytes] = await fileOf(async (directory) => {
  const index = new SparseIndex(toOffset(0), toIndex(1), 1);
  batches.forEach((batch, number) => index.note(batch, toPosition(52 + 100 * number)));
  const [base, end] = [0, 24].map((at) => ({ offset: toOffset(at), index: toIndex(at + 1), term: toTerm(1) }));
  if (base === undefined || end === undefined) throw new RangeError('expected two boundaries');
  const sealed = { base, end, storeLength: toPosition(2452), maxTimeMs: toEpochMs(1023) };
  await (await directory.create('0.index')).write(0, encodeIndexFile(sealed, index, checksum));
});

function resealedIndex(bytes: Uint8Array): Uint8Array {
  if (bytes.length < 100) return bytes;
  const sealed = Buffer.from(bytes);
  const footer = sealed.subarray(-100);
  footer.writeUInt32BE(crc32c(sealed.subarray(0, -100)) >>> 0, 92);
  footer.writeUInt32BE(crc32c(footer.subarray(0, 96)) >>> 0, 96);
  return sealed;
}

async function openedIndex(input: Uint8Array): Promise<unknown> {
  const directory = await directoryOf(new Map([[indexName, input]]));
  const read = await readIndexFile(directory, indexName, 1, checksum);
  if (typeof read === 'string') throw new Refusal(read);
  return read;
}

function resealedSnapshot(bytes: Uint8Array): Uint8Array {
  if (bytes.length < 12) return bytes;
  const sealed = Buffer.from(bytes);
  sealed.writeUInt32BE(crc32c(sealed.subarray(12)) >>> 0, 8);
  return sealed;
}

export const logTargets: readonly Target[] = [
  {
    name: 'append-request',
    valid: appendRequest,
    wrap: (bytes) => (bytes.length < 16_000 ? delimited(0x0a, bytes) : bytes),
    decode: takenRequest,
    refusals: [InvalidInputError, TooLargeError],
    // For the generated reader, which allocates an object per record.
    heldBytesForEach: 1024,
  },
  {
    name: 'batch',
    valid: (chance) =>
      bytesOf(
        chance.percent(30)
          ? changeBatch(chance)
          : chance.percent(40)
            ? producerBatch(chance)
            : batchAt(chance.below(20), record(chance)),
      ),
    reseal: resealedBatch,
    decode: parsedBatch,
    refusals: [InvalidInputError],
  },
  {
    name: 'producer-change',
    valid: (chance) => {
      const id = chance.pick(['p', 'orders-7', 'é'.repeat(64)]);
      const opened = { id, epoch: chance.pick([0, 1, Number.MAX_SAFE_INTEGER]), isEphemeral: chance.percent(50) };
      const forgotten = Array.from({ length: chance.below(4) }, (_, i) => `gone-${i}`);
      return encodeProducerChange({ opened: chance.percent(70) ? [opened] : [], forgotten });
    },
    decode: (input) => {
      const change = decodeProducerChange(input);
      if (change === malformed) throw new Refusal('malformed');
      expectEqual(
        JSON.stringify(decodeProducerChange(encodeProducerChange(change))),
        JSON.stringify(change),
        'a change encoded again',
      );
      return change;
    },
    refusals: [],
  },
  {
    name: 'store-header',
    valid: (chance) =>
      encodeStoreHeader({ offset: toOffset(chance.below(9)), index: toIndex(7), term: toTerm(2) }, checksum),
    reseal: (bytes) => {
      if (bytes.length < 52) return bytes;
      const sealed = Buffer.from(bytes);
      sealed.writeUInt32BE(crc32c(sealed.subarray(0, 48)) >>> 0, 48);
      return sealed;
    },
    decode: (input) => {
      const i = decodeStoreHeader(input, '0.store', checksum);
      if (i === undefined) throw new Refusal('damaged');
      for (const each of Object.values(i)) expectEqual(Number.isSafeInteger(each), true, 'a safe integer');
      return i;
    },
    refusals: [ForeignLogError, UnsupportedFormatError],
  },
  {
    name: 'log-files',
    valid: (chance) => {
      const which = chance.below(logFileNames.length);
      return Buffer.concat([Uint8Array.of(which), logFiles.get(logFileNames[which] ?? '') ?? new Uint8Array()]);
    },
    decode: openedLog,
    // Opening a log holds 0.3 to 0.7 MB; beside other test files, a collection that came late made it 4.5 MB.
    heldBytesMax: 8 << 20,
    refusals: [ForeignLogError, UnsupportedFormatError, MissingLogError],
  },
  { name: 'index', valid: () => indexBytes, reseal: resealedIndex, decode: openedIndex, refusals: [] },
  {
    name: 'hard-state',
    valid: () => hardStateBytes,
    reseal: resealedHardState,
    decode: async (input) => {
      const directory = await directoryOf(new Map([[hardStateName, input]]));
      const { current, configuration, loss } = await HardStateFile.open(directory, crc32c);
      for (const each of [current.term, current.vote, current.commit, configuration])
        expectEqual(Number.isSafeInteger(each) && each >= 0, true, 'a safe integer');
      if (loss !== undefined) throw new Refusal(loss);
      return current;
    },
    refusals: [UnsupportedFormatError],
  },
  {
    name: 'configuration-base',
    valid: () => configurationBaseBytes,
    reseal: (bytes) => {
      const sealed = Buffer.from(bytes);
      if (sealed.length === 20) sealed.writeUInt32BE(crc32c(sealed.subarray(0, 16)) >>> 0, 16);
      return sealed;
    },
    decode: async (input) => {
      const directory = await directoryOf(new Map([[configurationBaseName, input]]));
      const { index } = await ConfigurationBase.open(directory, crc32c);
      expectEqual(Number.isSafeInteger(index) && index >= 0, true, 'a safe integer');
      if (index === 0) throw new Refusal('not known');
      return index;
    },
    refusals: [],
  },
  {
    name: 'incarnation',
    valid: () => incarnationBytes,
    reseal: (bytes) => {
      const sealed = Buffer.from(bytes);
      if (sealed.length >= 4608) sealed.writeUInt32BE(crc32c(sealed.subarray(4100, 4608)) >>> 0, 4096);
      return sealed;
    },
    words: ['"incarnation":', '"starts":', '"identity":', '"inode":', 'null', '-1', '1e99', '{}', '[]'],
    decode: async (input) => {
      const directory = await directoryOf(new Map([[incarnationName, input]]));
      const file = await IncarnationFile.open(directory, crc32c, () => 0, true);
      expectEqual(Number.isSafeInteger(file.current) && file.current >= 1, true, 'an incarnation');
      if (file.doubt === 'incarnation lost') throw new Refusal(file.doubt);
      return file;
    },
    refusals: [],
  },
  {
    name: 'peer-notes',
    valid: () => notesBytes,
    reseal: resealedSnapshot,
    words: ['"incarnation":', '"durable":', '"term":', 'null', '-1', '1e99', '{}', '[]', '1.5'],
    decode: async (input) => {
      const notes = await PeerNotes.open(await directoryOf(new Map([[notesName, input]])), crc32c);
      if (notes.isDamaged) throw new Refusal('damaged');
      const note = notes.of('uuid-1', 1);
      if (note !== undefined) expectEqual(Number.isSafeInteger(note.durable.index), true, 'an index');
      return notes;
    },
    refusals: [],
  },
  {
    name: 'raft-snapshot',
    valid: () => snapshotBytes,
    reseal: resealedSnapshot,
    words: ['null', '"id"', '"history"', '"members"', '"confState"', '"voters":', 'true', '1.5', '[]', '{}'],
    decode: async (input) => {
      const file = await ConfigurationFile.open(await directoryOf(new Map([[snapshotName, input]])), crc32c);
      for (const { id, rpcAddr } of file.current.members)
        expectEqual(typeof id + typeof rpcAddr, 'numberstring', 'a member');
      for (const id of file.current.confState.voters) expectEqual(Number.isSafeInteger(id), true, 'an id');
      return file.stored;
    },
    refusals: [CorruptConfigurationError, UnknownFeatureLevelError],
  },
  {
    name: 'node-id',
    valid: () =>
      Buffer.from(
        formatIdentity({
          ...newIdentity(),
          nodeId: '0'.repeat(8) + '-0000-0000-0000-000000000000',
          logId: '1'.repeat(8) + '-0000-0000-0000-000000000000',
        }),
      ),
    words: ['"format"', '"nodeId"', 'null', 'true', '1e3'],
    decode: (input) => {
      const read = parseIdentity(Buffer.from(input).toString());
      if (read.kind !== 'found') throw new Refusal(read.kind);
      return read;
    },
    refusals: [],
  },
];
