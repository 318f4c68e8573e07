import type { X509Certificate } from 'node:crypto';
import type { Caller } from '../../application/access/access.js';
import { nodeOfUri } from './node-uri.js';

const serverAuth = '1.3.6.1.5.5.7.3.1';
const subjectCharsMax = 512;
/** Matches C0, DEL and C1 characters, which could forge a log line or control a terminal. */
const control = /[\u0000-\u001f\u007f-\u009f]/; // eslint-disable-line no-control-regex -- they are what is looked for

/** Matches one entry of `X509Certificate.subjectAltName`. Node quotes, as JSON, values that are ambiguous. */
const altNameEntry = /([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,]*)(?:, |$)/y;

function altNames(certificate: X509Certificate): { uris: string[]; dns: string[] } {
  const [uris, dns]: [string[], string[]] = [[], []];
  const text = certificate.subjectAltName ?? '';
  altNameEntry.lastIndex = 0;
  for (let match = altNameEntry.exec(text); match !== null; match = altNameEntry.exec(text)) {
    const [, type, written] = match;
    const value = written.startsWith('"') ? String(JSON.parse(written)) : written;
    if (type === 'URI') uris.push(value);
    else if (type === 'DNS') dns.push(value);
    if (altNameEntry.lastIndex >= text.length) break;
  }
  return { uris, dns };
}

function commonNameOf(certificate: X509Certificate): string | undefined {
  const { CN } = certificate.toLegacyObject().subject as { CN?: string | string[] };
  return typeof CN === 'string' ? CN : undefined;
}

/**
 * Returns the identity in a verified certificate. A node's certificate has the server's extended key usage and names
 * its node by a SAN URI, or, since CFSSL 1.2 writes no URIs, by a DNS name that equals the common name or has no dot.
 * Any other certificate is a client's, named by its SAN URI or its common name. Returns undefined if the name is
 * missing, is ambiguous, contains control characters or has more than 512 characters.
 */
export function certifiedCaller(certificate: X509Certificate): Caller | undefined {
  const { uris, dns } = altNames(certificate);
  const commonName = commonNameOf(certificate);
  const subject = uris.length === 0 ? commonName : uris[0];
  if (subject === undefined || subject === '' || subject.length > subjectCharsMax || control.test(subject))
    return undefined;
  // The type says it is always present, but a certificate without the extension has none. It is valid for any purpose,
  // so it must not count as a node's.
  const purposes = certificate.keyUsage as readonly string[] | undefined;
  if (purposes?.includes(serverAuth) !== true) return { subject, certified: true };
  const nodes = uris.map(nodeOfUri).filter((node) => node !== undefined);
  if (nodes.length > 0) {
    const clusters = [...new Set(nodes.map(({ cluster }) => cluster))];
    const [own, ...others] = clusters.map((cluster) => ({
      cluster,
      names: nodes.filter((node) => node.cluster === cluster).map(({ name }) => name),
    }));
    return { subject, certified: true, node: others.length > 0 ? { ...own, others } : own };
  }
  const names = dns.filter((name) => name !== 'localhost' && (name === commonName || !/[.*]/.test(name)));
  return { subject, certified: true, node: { names } };
}
