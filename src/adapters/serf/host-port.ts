import { lookup } from 'node:dns/promises';
import { isIP, isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { GossipAddress } from '../../domain/gossip/message.js';
import { bytesOfIp, ipOfBytes } from './wire/address-bytes.js';

const portMax = 0xffff;

/** Parses `HOST:PORT`, with an IPv6 host in brackets. Throws `RangeError` for anything else. */
export function parseHostPort(text: string): { host: string; port: number } {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  if (host === undefined || port > portMax) throw new RangeError(`invalid address "${text}": expected HOST:PORT`);
  return { host, port };
}

export function formatAddress({ ip, port }: GossipAddress): string {
  return isIPv6(ip) ? `[${ip}]:${port}` : `${ip}:${port}`;
}

/** Resolves with the distinct addresses of a host name or IP address. Rejects with the system's error. */
export async function addressesOf(text: string): Promise<GossipAddress[]> {
  const { host, port } = parseHostPort(text);
  if (isIP(host) > 0) return [{ ip: plainIp(host), port }];
  const found = await lookup(host, { all: true });
  return [...new Set(found.map(({ address }) => plainIp(address)))].map((ip) => ({ ip, port }));
}

/** Normalizes an IP address from the system: without a zone, and IPv4-mapped IPv6 as IPv4. */
export function plainIp(ip: string): string {
  return ipOfBytes(bytesOfIp(ip.replace(/%.*$/, '')));
}

/** Returns an IP address at which others can reach a node that listens on all addresses: the first non-loopback one. */
export function reachableIp(listening: string): string {
  if (listening !== '0.0.0.0' && listening !== '::') return listening;
  const found = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, address }) => !internal && !address.startsWith('fe80:'));
  const [first] = [...found.filter(({ family }) => family === 'IPv4'), ...found];
  return first === undefined ? '127.0.0.1' : plainIp(first.address);
}
