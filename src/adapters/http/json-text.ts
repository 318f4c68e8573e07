import { inSlices } from './turns.js';

/**
 * The pieces of a JSON text, none of which takes long to make. An empty piece only says that some work was done.
 */
export type JsonText = Generator<string, void, void>;

/** Pieces between two looks at the clock. */
const piecesPerStep = 16;
/** Characters that become bytes at a time. */
const flushChars = 64 * 1024;
/** Characters, or bytes, of a string that become JSON at a time; a multiple of 3, so that base64 can be joined. */
const pieceLength = 48 * 1024;

/** The UTF-8 of the text, made in slices between which the event loop does other work. */
export function encodeInSlices(text: JsonText): Promise<Buffer> {
  return inSlices(encode(text));
}

function* encode(text: JsonText): Generator<undefined, Buffer, void> {
  const chunks: Buffer[] = [];
  let pending = '';
  let pieces = 0;
  for (const piece of text) {
    pending += piece;
    if (pending.length >= flushChars) {
      chunks.push(Buffer.from(pending));
      pending = '';
    }
    pieces += 1;
    if (pieces % piecesPerStep === 0) yield;
  }
  return Buffer.concat([...chunks, Buffer.from(pending)]);
}

/** A JSON string. A surrogate pair that two pieces share is escaped. */
export function* stringText(text: string): JsonText {
  if (isShort(text)) {
    yield JSON.stringify(text);
    return;
  }
  yield '"';
  for (let at = 0; at < text.length; at += pieceLength)
    yield JSON.stringify(text.slice(at, at + pieceLength)).slice(1, -1);
  yield '"';
}

/** Whether it becomes JSON in one piece. */
export function isShort({ length }: string | Uint8Array): boolean {
  return length <= pieceLength;
}

/** Bytes that are short, as a JSON string of base64. */
export function shortBase64(bytes: Uint8Array): string {
  return `"${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64')}"`;
}

/** A JSON string of base64: the standard alphabet, padded. */
export function* base64Text(bytes: Uint8Array): JsonText {
  if (isShort(bytes)) {
    yield shortBase64(bytes);
    return;
  }
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  yield '"';
  for (let at = 0; at < buffer.length; at += pieceLength) yield buffer.toString('base64', at, at + pieceLength);
  yield '"';
}
