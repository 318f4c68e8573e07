/**
 * The few protobuf wire primitives that the hot paths write by hand. Numbers are safe integers >= 0; a writer returns
 * the position after what it wrote and never checks for space: sizes are computed first, exactly.
 */

export function varintSize(value: number): number {
  let size = 1;
  while (value >= 0x80) {
    value = Math.floor(value / 0x80);
    size++;
  }
  return size;
}

export function writeVarint(target: Uint8Array, position: number, value: number): number {
  while (value > 0x7fffffff) {
    target[position++] = (value % 0x80) | 0x80;
    value = Math.floor(value / 0x80);
  }
  while (value >= 0x80) {
    target[position++] = (value & 0x7f) | 0x80;
    value >>>= 7;
  }
  target[position++] = value;
  return position;
}

/** Size of a varint field with a one-byte tag; 0 for the default value, which proto3 leaves out. */
export function varintFieldSize(value: number): number {
  return value === 0 ? 0 : 1 + varintSize(value);
}

export function writeVarintField(target: Uint8Array, position: number, tag: number, value: number): number {
  if (value === 0) return position;
  target[position++] = tag;
  return writeVarint(target, position, value);
}

/** Size of a length-delimited field with a one-byte tag. */
export function bytesFieldSize(length: number): number {
  return 1 + varintSize(length) + length;
}

/** Writes the tag and the length; the content follows at the returned position. */
export function writeBytesFieldHeader(target: Uint8Array, position: number, tag: number, length: number): number {
  target[position++] = tag;
  return writeVarint(target, position, length);
}

export function writeBytesField(target: Uint8Array, position: number, tag: number, content: Uint8Array): number {
  position = writeBytesFieldHeader(target, position, tag, content.byteLength);
  target.set(content, position);
  return position + content.byteLength;
}
