import { fromJsonString, toBinary } from '@bufbuild/protobuf';
import { InvalidInputError, TooManyRecordsError } from '../../domain/log/errors.js';
import { batchRecordsMax } from '../../domain/log/records.js';
import { varintBytes, writeVarint } from '../../domain/log/wire-reader.js';
import { AppendRequestSchema } from '../../gen/golog/v1/log_service_pb.js';
import { ProduceRequestSchema, type Record, RecordSchema } from '../../gen/log/v1/log_pb.js';
import { checkJson, decodeJson, utf8Text } from './json-message.js';
import { elementsOf, findList } from './json-scan.js';

// Requests that append, made of JSON into the binary encoding, of which both ports take the records. `JSON.parse` and
// the generated code would make objects of 65,536 records in one go, for half a second: here it is record by record.

const ignoring = { ignoreUnknownFields: true };
const recordsTag = 0x0a;

/** Throws `InvalidInputError` that says where it is, for what `JSON.parse` and the generated code throw. */
function parsed<Result>(what: string, parse: () => Result): Result {
  try {
    return parse();
  } catch (cause) {
    throw new InvalidInputError(`${what}: ${cause instanceof Error ? cause.message : 'it is not JSON'}`, { cause });
  }
}

/**
 * The generated code keeps a map in a plain object, where setting `__proto__` makes no entry but another prototype.
 * Refused, since storing the record without that header would be a silent loss.
 */
function checkHeaderNames({ headers }: Record, i: number): void {
  if (Object.getPrototypeOf(headers) !== Object.prototype)
    throw new InvalidInputError(`record ${i} of the batch: "__proto__" is not a valid header name on this transport`);
}

/** The binary `log.v1.ProduceRequest` of one that is JSON. Throws `InvalidInputError`, RESOURCE_EXHAUSTED. */
export function produceRequestOfJson(json: Uint8Array): Uint8Array {
  const text = decodeJson(json);
  const request = parsed('the message is malformed', () => fromJsonString(ProduceRequestSchema, text, ignoring));
  if (request.record !== undefined) checkHeaderNames(request.record, 0);
  return toBinary(ProduceRequestSchema, request);
}

/** Bytes that grow. */
class Output {
  #bytes: Uint8Array;
  #length = 0;

  constructor(bytesExpected: number) {
    this.#bytes = new Uint8Array(bytesExpected);
  }

  addRecord(record: Uint8Array): void {
    const at = this.#extend(1 + varintBytes(record.length) + record.length);
    this.#bytes[at] = recordsTag;
    this.#bytes.set(record, writeVarint(this.#bytes, at + 1, record.length));
  }

  add(bytes: Uint8Array): void {
    const at = this.#extend(bytes.length);
    this.#bytes.set(bytes, at);
  }

  /** Makes space at the end; returns where it begins. */
  #extend(bytes: number): number {
    const at = this.#length;
    this.#length += bytes;
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(2 * this.#length);
      larger.set(this.#bytes.subarray(0, at));
      this.#bytes = larger;
    }
    return at;
  }

  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }
}

/**
 * Makes the binary `golog.v1.AppendRequest` of one that is JSON, a step a record. Throws `InvalidInputError`,
 * `TooManyRecordsError`, and RESOURCE_EXHAUSTED for a record that is too much work.
 */
export function* appendRequestOfJson(json: Uint8Array): Generator<undefined, Uint8Array, void> {
  const text = utf8Text(json);
  const listAt = findList(text, 'records');
  // Records take fewer bytes than their JSON, save for some that are very short.
  const output = new Output(text.length);
  let rest = text;
  if (listAt !== undefined) {
    yield;
    const elements = elementsOf(text, listAt);
    let count = 0;
    let element = elements.next();
    for (; element.done !== true; element = elements.next()) {
      if (count === batchRecordsMax) throw new TooManyRecordsError(batchRecordsMax);
      output.addRecord(recordOfJson(element.value, count));
      count += 1;
      yield;
    }
    rest = `${text.slice(0, listAt)}[]${text.slice(element.value)}`;
  }
  checkJson(rest);
  const request = parsed('the message is malformed', () => fromJsonString(AppendRequestSchema, rest, ignoring));
  output.add(toBinary(AppendRequestSchema, request));
  return output.bytes;
}

function recordOfJson(text: string, i: number): Uint8Array {
  checkJson(text, 'record');
  // Not `JSON.parse`, which keeps the last of two equal names.
  const record = parsed(`record ${i} of the batch`, () => fromJsonString(RecordSchema, text, ignoring));
  checkHeaderNames(record, i);
  return toBinary(RecordSchema, record);
}
