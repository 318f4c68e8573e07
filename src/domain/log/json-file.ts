import type { Crc32c } from './checksum.js';

/** A kind of file that holds JSON behind a checked header. */
export interface JsonFileFormat {
  readonly magic: number;
  readonly version: number;
}

const headerBytes = 12;

/** Returns the file in parts: magic, version, CRC-32C of the JSON (4 bytes each, big-endian), and the JSON in UTF-8. */
export function encodeJsonFile(format: JsonFileFormat, value: unknown, crc32c: Crc32c): Uint8Array[] {
  const json = new TextEncoder().encode(JSON.stringify(value));
  const header = new DataView(new ArrayBuffer(headerBytes));
  header.setUint32(0, format.magic);
  header.setUint32(4, format.version);
  header.setUint32(8, crc32c(json) >>> 0);
  return [new Uint8Array(header.buffer), json];
}

/** Returns the bytes of the JSON, not parsed, or what is wrong with the file, as the predicate of a sentence. */
export function decodeJsonFile(
  format: JsonFileFormat,
  bytes: Uint8Array,
  crc32c: Crc32c,
): { readonly json: Uint8Array } | { readonly fault: string } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < headerBytes || view.getUint32(0) !== format.magic) return { fault: 'is another kind of file' };
  const json = bytes.subarray(headerBytes);
  if (view.getUint32(8) !== crc32c(json) >>> 0) return { fault: 'fails its checksum' };
  const version = view.getUint32(4);
  return version === format.version ? { json } : { fault: `has version ${version}, expected ${format.version}` };
}
