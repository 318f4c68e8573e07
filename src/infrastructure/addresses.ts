import { isIP, isIPv6 } from 'node:net';

/** Parts of HOST:PORT; an IPv6 host is in brackets in the text, and without them here. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/**
 * Returns a host in one spelling, or undefined for text that is not a host: names in lower case, IPv4 with four numbers,
 * IPv6 in its shortest form and without brackets, and IPv4 where IPv6 only maps it.
 */
export function parseHost(text: string): string | undefined {
  const bare = /^\[(.*)\]$/.exec(text)?.[1] ?? text;
  if (isIPv6(bare) && bare.includes('%')) return bare.toLowerCase();
  if (bare !== text && !isIPv6(bare)) return undefined;
  if (/[\s/?#@\\]/.test(bare) || (bare.includes(':') && !isIPv6(bare))) return undefined;
  const url = `http://${bare.includes(':') ? `[${bare}]` : bare}`;
  if (bare === '' || !URL.canParse(url)) return undefined;
  const { hostname } = new URL(url);
  return mappedIpv4(hostname) ?? hostname.replace(/^\[(.*)\]$/, '$1').replace(/^(.+)\.$/, '$1');
}

/** Parses HOST:PORT; undefined for anything else. */
export function parseHostPort(text: string): HostPort | undefined {
  const [, written, digits] = /^(\[[^\]]+\]|[^:]+):(\d{1,5})$/.exec(text) ?? [];
  const host = written === undefined ? undefined : parseHost(written);
  const port = Number(digits);
  return host === undefined || port > 65_535 ? undefined : { host, port };
}

export function formatHostPort({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The two functions below take a host as `parseHost` returns it. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

/** Whether the host stands for all addresses of this machine: others cannot connect to it. */
export function isUnspecified(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}

/** `[::ffff:7f00:1]` is 127.0.0.1. */
function mappedIpv4(hostname: string): string | undefined {
  const [, high, low] = /^\[::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})\]$/.exec(hostname) ?? [];
  if (high === undefined || low === undefined) return undefined;
  return [high, low].flatMap((word) => [parseInt(word, 16) >> 8, parseInt(word, 16) & 0xff]).join('.');
}
