import { Code, ConnectError } from '@connectrpc/connect';
import { checkNumbersExact } from './strict-json.js';
import type { Compression, UniversalServerRequest } from '@connectrpc/connect/protocol';

/**
 * So many fields a message may have, or objects in JSON. Parsing makes an object of each record, so it is their number
 * and not the size of the message that holds up the event loop: 700,000 empty ones for seconds. A batch of a mebibyte
 * has no more records than this if they have 12 bytes of value or more.
 */
export const elementsMax = 65_536;

const tag = 0;
const varint = 1;
const length = 2;
const unreadable = 3;
/** What follows a tag, by its wire type: varint, 8 bytes, a length, groups, 4 bytes. */
const afterTag: readonly number[] = [varint, tag, length, unreadable, unreadable, tag];

/**
 * Reads the fields of a message as they come, without what is in them. What is malformed, or has groups, is left to the
 * parser, which is laxer and may find more fields in it than are counted here (SECURITY.md).
 */
class FieldCounter {
  #fields = 0;
  #expected = tag;
  #wireType = 0;
  #value = 0;
  #shift = 0;
  #skip = 0;

  read(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length && this.#expected !== unreadable;) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, bytes.length - at);
        this.#skip -= skipped;
        at += skipped;
        continue;
      }
      const byte = bytes[at++] ?? 0;
      if (this.#shift === 0) this.#wireType = byte & 7;
      if (this.#shift < 32) this.#value |= (byte & 0x7f) << this.#shift;
      this.#shift += 7;
      if (byte < 0x80) this.#take(this.#value >>> 0);
    }
  }

  #take(value: number): void {
    if (this.#expected === length) this.#skip = value;
    this.#expected = this.#expected === tag ? this.#takeTag() : tag;
    this.#value = this.#shift = 0;
  }

  #takeTag(): number {
    this.#fields += 1;
    check(this.#fields);
    if (this.#wireType === 1) this.#skip = 8;
    if (this.#wireType === 5) this.#skip = 4;
    return afterTag[this.#wireType] ?? unreadable;
  }
}

/** The same for a run of messages in envelopes: a byte of flags, four of length. Compressed ones are skipped. */
class EnvelopeCounter {
  #counter = new FieldCounter();
  #header: number[] = [];
  #left = 0;

  read(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      if (this.#left === 0) {
        this.#header.push(bytes[at++] ?? 0);
        if (this.#header.length === 5) this.#begin();
        continue;
      }
      const part = bytes.subarray(at, at + this.#left);
      if (((this.#header[0] ?? 0) & 1) === 0) this.#counter.read(part);
      this.#left -= part.length;
      at += part.length;
      if (this.#left === 0) this.#header = [];
    }
  }

  #begin(): void {
    this.#counter = new FieldCounter();
    this.#left = Buffer.from(this.#header).readUInt32BE(1);
    if (this.#left === 0) this.#header = [];
  }
}

function check(elements: number): void {
  if (elements > elementsMax)
    throw new ConnectError(`the message has more than ${elementsMax} elements`, Code.ResourceExhausted);
}

/**
 * Decodes the text of a JSON message, whatever it came in. Throws RESOURCE_EXHAUSTED if it has more objects than
 * `elementsMax`; `InvalidInputError` if it has a number that `JSON.parse` rounds: an offset would become another.
 */
export function decodeJson(bytes: Uint8Array | undefined): string {
  const text = new TextDecoder().decode(bytes);
  // No text has more objects than opening braces, and few have that many.
  let braces = 0;
  for (let at = text.indexOf('{'); at >= 0 && braces <= elementsMax; at = text.indexOf('{', at + 1)) braces += 1;
  if (braces > elementsMax) check(text.replace(/"(?:[^"\\]|\\.)*"?/gs, '').split('{', elementsMax + 2).length - 1);
  checkNumbersExact(text);
  return text;
}

/** Fails once the message has ended, so that an answer over HTTP/1.1 finds nobody who sends still. */
async function* limited(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const counter = new FieldCounter();
  let refusal: ConnectError | undefined;
  for await (const chunk of body) {
    try {
      if (refusal === undefined) counter.read(chunk);
    } catch (error) {
      refusal = ConnectError.from(error);
    }
    yield chunk;
  }
  if (refusal !== undefined) throw refusal;
}

/** Fails before the message has ended: others may never follow. */
async function* limitedEnvelopes(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const counter = new EnvelopeCounter();
  for await (const chunk of body) {
    counter.read(chunk);
    yield chunk;
  }
}

/** The request, whose body fails with RESOURCE_EXHAUSTED instead of giving a message of more than `elementsMax` fields. */
export function withElementLimit(request: UniversalServerRequest): UniversalServerRequest {
  const { header, body } = request;
  const type = header.get('content-type') ?? '';
  const isEnveloped = !/^application\/proto$/i.test(type);
  const isCompressed = !isEnveloped && (header.get('content-encoding') ?? 'identity') !== 'identity';
  if (isCompressed || /json/i.test(type)) return request;
  if (typeof body !== 'object' || body === null || !(Symbol.asyncIterator in body)) return request;
  return { ...request, body: isEnveloped ? limitedEnvelopes(body) : limited(body) };
}

/** The same limit for what was compressed. JSON passes: its first byte would begin a group, which no message here has. */
export function limitElements(compression: Compression): Compression {
  return {
    ...compression,
    decompress: async (bytes, bytesMax) => {
      const message = await compression.decompress(bytes, bytesMax);
      new FieldCounter().read(message);
      return message;
    },
  };
}
