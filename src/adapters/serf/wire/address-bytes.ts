import { isIPv4, isIPv6 } from 'node:net';
import { MalformedGossipError } from '../../../domain/gossip/wire.js';

const v4InV6 = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/** Returns the address as Go's net.IP: 4 or 16 bytes. Throws `RangeError` for an invalid address or one with a zone. */
export function bytesOfIp(ip: string): Uint8Array {
  if (isIPv4(ip)) return Uint8Array.from(ip.split('.'), Number);
  if (!isIPv6(ip) || ip.includes('%')) throw new RangeError(`not an IP address: ${ip}`);
  const [head = '', tail] = ip.split('::');
  const front = groups(head);
  const back = tail === undefined ? [] : groups(tail);
  return Uint8Array.from([...front, ...new Array<number>(16 - front.length - back.length).fill(0), ...back]);
}

/** Returns the address as text, IPv4-mapped IPv6 as IPv4. Throws `MalformedGossipError` unless it has 4 or 16 bytes. */
export function ipOfBytes(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  if (bytes.length !== 16) throw new MalformedGossipError(`an IP address of ${bytes.length} bytes: expected 4 or 16`);
  if (v4InV6.every((byte, i) => bytes[i] === byte)) return bytes.subarray(12).join('.');
  const view = new DataView(bytes.buffer, bytes.byteOffset, 16);
  const words = Array.from({ length: 8 }, (_, i) => view.getUint16(2 * i).toString(16));
  // RFC 5952: the first of the longest runs of two zeros or more becomes `::`.
  const runs = [...words.join(':').matchAll(/(?<![0-9a-f])0(:0)+(?![0-9a-f])/g)];
  const longest = runs.reduce((best, [run]) => (run.length > best.length ? run : best), '');
  if (longest === '') return words.join(':');
  const at = runs.find(([run]) => run === longest)?.index ?? 0;
  const text = words.join(':');
  return `${text.slice(0, at).replace(/:$/, '')}::${text.slice(at + longest.length).replace(/^:/, '')}`;
}

/** Parses hexadecimal groups separated by colons; the last may be an IPv4 address. */
function groups(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (group.includes('.')) return group.split('.').map(Number);
    const word = parseInt(group, 16);
    return [word >> 8, word & 0xff];
  });
}
