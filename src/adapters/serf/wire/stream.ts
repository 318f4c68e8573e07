import type { Ack, Ping, PushPull, User } from '../../../domain/gossip/message.js';
import { MalformedGossipError } from '../../../domain/gossip/wire.js';
import { unwrapCompressed, wrapCompressed } from './compression.js';
import { decrypt, encrypt, encryptedForOthers, encryptionOverheadBytes, notEncrypted } from '../keys/encryption.js';
import type { Keyring } from '../keys/keyring.js';
import { MsgpackReader, TruncatedError } from './msgpack-reader.js';
import { encode, struct, text, uint53 } from './msgpack.js';
import { PushPullLength, decodePushPull, encodePushPull } from './push-pull-wire.js';
import { decodeSwim, encodeSwim, messageType } from './swim-wire.js';

/** memberlist's limit on encrypted bytes. */
const encryptedBytesMax = 20 << 20;
/** The limit on a decompressed message. */
const plainBytesMax = 40 << 20;
/**
 * After the first MiB, the limit on decompressed bytes per compressed byte: member states shrink to a fifth or a tenth.
 */
const expansionMax = 64;
const plainBytesAlwaysAllowed = 1 << 20;
const encryptionHeaderBytes = 5;
/** The limit on fields that are scanned again for each piece that arrives; the protocol's own messages have two. */
const fieldsMax = 64;

/** An error that the other side sends instead of an answer. */
export interface StreamFailure {
  readonly type: 'error';
  readonly message: string;
}

/** One message of a TCP stream. */
export type StreamMessage = Ping | Ack | User | StreamFailure | (PushPull & { readonly type: 'push-pull' });

const userHeader = struct({ UserMsgLen: uint53 });
const failure = struct({ Error: text });

/** Layers, outermost first: encryption, compression (even if it adds bytes, as memberlist does), message. */
export function encodeStream(message: StreamMessage, keyring?: Keyring): Uint8Array {
  const packed = wrapCompressed(encodePlain(message));
  if (keyring === undefined) return packed;
  const header = Buffer.alloc(encryptionHeaderBytes);
  header.writeUInt8(messageType.encrypted, 0);
  header.writeUInt32BE(packed.length + encryptionOverheadBytes, 1);
  return Buffer.concat([header, encrypt(packed, keyring, header)]);
}

function encodePlain(message: StreamMessage): Uint8Array {
  switch (message.type) {
    case 'push-pull':
      return encodePushPull(message);
    case 'user': {
      const header = encode(userHeader, { UserMsgLen: message.payload.length }, messageType.user);
      return Buffer.concat([header, message.payload]);
    }
    case 'error':
      return encode(failure, { Error: message.message }, messageType.error);
    case 'ping':
    case 'ack':
      return encodeSwim(message);
  }
}

/** Decodes a TCP stream of one message, in pieces of any size. */
export class StreamDecoder {
  readonly #keyring: Keyring | undefined;
  readonly #pushPull = new PushPullLength();
  #bytes = Buffer.alloc(0);
  #length = 0;
  /** The number of bytes needed before the next scan. */
  #wanted = 1;

  /** With a keyring, accepts only messages encrypted with one of its keys. */
  constructor(keyring?: Keyring) {
    this.#keyring = keyring;
  }

  /**
   * Returns the message once its last byte has arrived; bytes after it are an error. Throws `MalformedGossipError` as
   * early as possible; the decoder must not be used after that.
   */
  push(piece: Uint8Array): StreamMessage | undefined {
    this.#append(piece);
    if (this.#length < this.#wanted) return undefined;
    const start = this.#bytes.subarray(0, this.#length);
    try {
      this.#wanted = this.#lengthOf(start);
    } catch (error) {
      if (error instanceof TruncatedError && this.#length <= plainBytesMax) return undefined;
      throw error;
    }
    if (this.#wanted > plainBytesMax)
      throw new MalformedGossipError(`a message of ${this.#wanted} bytes: expected at most ${plainBytesMax}`);
    return this.#length < this.#wanted ? undefined : decodeStream(start, this.#keyring);
  }

  #append(piece: Uint8Array): void {
    const length = this.#length + piece.length;
    if (length > this.#bytes.length) {
      const larger = Buffer.alloc(Math.max(length, 2 * this.#bytes.length));
      this.#bytes.copy(larger, 0, 0, this.#length);
      this.#bytes = larger;
    }
    this.#bytes.set(piece, this.#length);
    this.#length = length;
  }

  /** Throws `TruncatedError` if more bytes are needed. */
  #lengthOf(start: Buffer): number {
    if (this.#keyring === undefined) return plainLength(start, this.#pushPull);
    if (start[0] !== messageType.encrypted) throw new MalformedGossipError(`the stream is ${notEncrypted}`);
    if (start.length < encryptionHeaderBytes) throw new TruncatedError('a stream ends within its header');
    const encryptedBytes = start.readUInt32BE(1);
    if (encryptedBytes > encryptedBytesMax)
      throw new MalformedGossipError(`${encryptedBytes} encrypted bytes: expected at most ${encryptedBytesMax}`);
    return encryptionHeaderBytes + encryptedBytes;
  }
}

function plainLength(start: Uint8Array, pushPull: PushPullLength): number {
  switch (start[0]) {
    case messageType.pushPull:
      return pushPull.of(start);
    case messageType.user: {
      const reader = new MsgpackReader(start, 1, fieldsMax);
      const { UserMsgLen } = userHeader.read(reader);
      return reader.position + UserMsgLen;
    }
    case messageType.compressed:
    case messageType.ping:
    case messageType.ack:
    case messageType.error: {
      const reader = new MsgpackReader(start, 1, fieldsMax);
      reader.skip();
      return reader.position;
    }
    case messageType.encrypted:
      throw new MalformedGossipError(`the stream is ${encryptedForOthers}`);
    default:
      throw new MalformedGossipError(`unexpected first byte of a stream: ${start[0]}`);
  }
}

/** Decodes a complete stream of one message. Throws `MalformedGossipError`. */
export function decodeStream(stream: Uint8Array, keyring?: Keyring): StreamMessage {
  const encryptionHeader = stream.subarray(0, encryptionHeaderBytes);
  if (keyring !== undefined && encryptionHeader[0] !== messageType.encrypted)
    throw new MalformedGossipError(`the stream is ${notEncrypted}`);
  const content =
    keyring === undefined ? stream : decrypt(stream.subarray(encryptionHeaderBytes), keyring, encryptionHeader);
  if (content[0] !== messageType.compressed) return decodePlain(content);
  const lengthMax = Math.min(plainBytesMax, Math.max(plainBytesAlwaysAllowed, expansionMax * content.length));
  return decodePlain(unwrapCompressed(content, lengthMax));
}

function decodePlain(plain: Uint8Array): StreamMessage {
  switch (plain[0]) {
    case messageType.pushPull:
      return { type: 'push-pull', ...decodePushPull(plain) };
    case messageType.ping:
    case messageType.ack:
      return asStreamMessage(plain);
    case messageType.user: {
      const reader = new MsgpackReader(plain, 1);
      const { UserMsgLen } = userHeader.read(reader);
      const payload = Uint8Array.from(reader.rest());
      if (payload.length !== UserMsgLen)
        throw new MalformedGossipError(`a user message of ${UserMsgLen} bytes has ${payload.length}`);
      return { type: 'user', payload };
    }
    case messageType.error: {
      const reader = new MsgpackReader(plain, 1);
      const { Error: message } = failure.read(reader);
      reader.expectEnd();
      return { type: 'error', message };
    }
    default:
      throw new MalformedGossipError(`unexpected message type in a stream: ${plain[0]}`);
  }
}

function asStreamMessage(plain: Uint8Array): Ping | Ack {
  const message = decodeSwim(plain);
  if (message.type === 'ping' || message.type === 'ack') return message;
  throw new MalformedGossipError(`unexpected message in a stream: ${message.type}`);
}
