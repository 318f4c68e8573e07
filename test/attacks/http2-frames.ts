/** HTTP/2 by hand (RFC 9113 §4, §6), so that a test may send what no library would. */

export const frameType = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const flag = { ack: 0x1, endStream: 0x1, endHeaders: 0x4, padded: 0x8, priority: 0x20 } as const;

export const connectionPreface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

const headBytes = 9;

/** One frame; the length says what the payload has, unless it is told to lie. */
export function frame(
  type: number,
  flags: number,
  streamId: number,
  payload: Uint8Array = Buffer.alloc(0),
  saidLength = payload.length,
): Buffer {
  const head = Buffer.alloc(headBytes);
  head.writeUIntBE(saidLength, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, payload]);
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** Identifiers of RFC 9113 §6.5.2. */
export const setting = { headerTableSize: 1, enablePush: 2, maxConcurrentStreams: 3, initialWindowSize: 4 } as const;

export function settings(...pairs: readonly (readonly [id: number, value: number])[]): Buffer {
  const payload = pairs.map(([id, value]) => Buffer.concat([Buffer.from([0, id]), uint32(value)]));
  return frame(frameType.settings, 0, 0, Buffer.concat(payload));
}

export const rstStream = (streamId: number, code = 8): Buffer => frame(frameType.rstStream, 0, streamId, uint32(code));

export const windowUpdate = (streamId: number, increment: number): Buffer =>
  frame(frameType.windowUpdate, 0, streamId, uint32(increment));

export const data = (streamId: number, payload: Uint8Array, flags = 0): Buffer =>
  frame(frameType.data, flags, streamId, payload);

/** An integer with a prefix of `bits` (RFC 7541 §5.1). */
function prefixed(value: number, bits: number, first: number): number[] {
  const full = 2 ** bits - 1;
  if (value < full) return [first | value];
  const bytes = [first | full];
  let left = value - full;
  for (; left >= 128; left = Math.floor(left / 128)) bytes.push((left % 128) | 0x80);
  return [...bytes, left];
}

/** A header block of literals that are never indexed and not Huffman-coded (RFC 7541 §6.2.3). */
export function headerBlock(fields: readonly (readonly [name: string, value: string])[]): Buffer {
  const text = (value: string): Buffer =>
    Buffer.concat([Buffer.from(prefixed(Buffer.byteLength(value, 'latin1'), 7, 0)), Buffer.from(value, 'latin1')]);
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.from([0x10]), text(name), text(value)]));
}

export const headers = (streamId: number, block: Uint8Array, flags: number = flag.endHeaders): Buffer =>
  frame(frameType.headers, flags, streamId, block);

/** A message of gRPC, or of a Connect stream: a flag, its length, itself. */
export function enveloped(message: Uint8Array, flags = 0, saidLength = message.length): Buffer {
  return Buffer.concat([Buffer.from([flags]), uint32(saidLength), message]);
}

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

/** Takes the frames out of a byte stream. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0);

  *push(chunk: Buffer): Generator<Frame> {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    while (this.#rest.length >= headBytes) {
      const end = headBytes + this.#rest.readUIntBE(0, 3);
      if (this.#rest.length < end) return;
      const streamId = this.#rest.readUInt32BE(5) & 0x7fffffff;
      const payload = this.#rest.subarray(headBytes, end);
      yield { type: this.#rest.readUInt8(3), flags: this.#rest.readUInt8(4), streamId, payload };
      this.#rest = this.#rest.subarray(end);
    }
  }
}
