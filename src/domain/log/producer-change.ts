import { producerIdBytesMax } from './batch-prefix.js';
import { malformed, varintBytes, WireReader, writeSafeVarint, writeVarint } from './wire-reader.js';

/** An id that a producer has opened: from this entry on, the epoch holds, and lower ones are fenced. */
export interface OpenedProducer {
  readonly id: string;
  readonly epoch: number;
  /** Forgotten soon after its last batch. Holds only for an id that is not known yet. */
  readonly isEphemeral: boolean;
}

/** What a control batch of kind `producers` does: opens ids, and then forgets others. */
export interface ProducerChange {
  readonly opened: readonly OpenedProducer[];
  readonly forgotten: readonly string[];
}

const Tag = { opened: 0x0a, forgotten: 0x12, id: 0x0a, epoch: 0x10, isEphemeral: 0x18 } as const;

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Encodes the payload of the control batch: see docs/storage-format.md. */
export function encodeProducerChange({ opened, forgotten }: ProducerChange): Uint8Array {
  const fields = [
    ...opened.map((each) => ({ tag: Tag.opened, content: encodeOpened(each) })),
    ...forgotten.map((id) => ({ tag: Tag.forgotten, content: encoder.encode(id) })),
  ];
  const sizes = fields.map(({ content }) => 1 + varintBytes(content.length) + content.length);
  const bytes = new Uint8Array(sizes.reduce((sum, size) => sum + size, 0));
  let at = 0;
  for (const { tag, content } of fields) {
    bytes[at] = tag;
    at = writeVarint(bytes, at + 1, content.length);
    bytes.set(content, at);
    at += content.length;
  }
  return bytes;
}

function encodeOpened({ id, epoch, isEphemeral }: OpenedProducer): Uint8Array {
  const name = encoder.encode(id);
  const bytes = new Uint8Array(3 + name.length + 9 + 2);
  bytes[0] = Tag.id;
  let at = writeVarint(bytes, 1, name.length);
  bytes.set(name, at);
  bytes[at + name.length] = Tag.epoch;
  at = writeSafeVarint(bytes, at + name.length + 1, epoch);
  if (isEphemeral) {
    bytes[at++] = Tag.isEphemeral;
    bytes[at++] = 1;
  }
  return bytes.subarray(0, at);
}

/** Returns the change in a payload; `malformed` if it is not one. Fields of a later release are passed over. */
export function decodeProducerChange(payload: Uint8Array): ProducerChange | typeof malformed {
  const reader = new WireReader(payload, 0, payload.length);
  const opened: OpenedProducer[] = [];
  const forgotten: string[] = [];
  while (reader.at < payload.length) {
    const tag = reader.tag();
    if (tag === Tag.opened) {
      const content = contentOf(reader);
      const producer = content === malformed ? malformed : decodeOpened(content);
      if (producer === malformed) return malformed;
      opened.push(producer);
    } else if (tag === Tag.forgotten) {
      const id = idIn(reader);
      if (id === undefined) return malformed;
      forgotten.push(id);
    } else if (tag === malformed || tag >>> 3 <= 2 || reader.skip(tag) === malformed) {
      return malformed;
    }
  }
  return { opened, forgotten };
}

function decodeOpened(bytes: Uint8Array): OpenedProducer | typeof malformed {
  const reader = new WireReader(bytes, 0, bytes.length);
  let id: string | undefined;
  let epoch = 0;
  let isEphemeral = false;
  while (reader.at < bytes.length) {
    const tag = reader.tag();
    if (tag === Tag.id) {
      id = idIn(reader);
      if (id === undefined) return malformed;
    } else if (tag === Tag.epoch) {
      epoch = reader.safeInteger();
      if (epoch === malformed) return malformed;
    } else if (tag === Tag.isEphemeral) {
      const value = reader.safeInteger();
      if (value === malformed) return malformed;
      isEphemeral = value !== 0;
    } else if (tag === malformed || tag >>> 3 <= 3 || reader.skip(tag) === malformed) {
      return malformed;
    }
  }
  return id === undefined ? malformed : { id, epoch, isEphemeral };
}

function contentOf(reader: WireReader): Uint8Array | typeof malformed {
  const length = reader.length();
  if (length === malformed) return malformed;
  const start = reader.at;
  reader.at += length;
  return reader.bytes.subarray(start, reader.at);
}

function idIn(reader: WireReader): string | undefined {
  const content = contentOf(reader);
  if (content === malformed || content.length === 0 || content.length > producerIdBytesMax) return undefined;
  try {
    return decoder.decode(content);
  } catch {
    return undefined;
  }
}
