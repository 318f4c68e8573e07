import type { X509Certificate } from 'node:crypto';
import type { Caller } from '../../application/access/access.js';
import { nodeOfUri } from './node-uri.js';

const serverAuth = '1.3.6.1.5.5.7.3.1';
const subjectCharsMax = 512;
/** C0, DEL and C1: what could forge a line of a log, or paint on a terminal. */
const control = /[\u0000-\u001f\u007f-\u009f]/; // eslint-disable-line no-control-regex -- they are what is looked for

/** One entry of `X509Certificate.subjectAltName`: Node quotes, as JSON, the values that could be taken for more than one. */
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
 * Who holds a certificate that is verified already. A node's has the server's extended key usage; it names its node by a
 * SAN URI, or, as CFSSL 1.2 writes none, by a DNS name that is the common name as well or has no dot. Any other is a
 * client's: its SAN URI, or its common name. Undefined where that is missing, is no single one, has control characters
 * or more than 512 characters.
 */
export function certifiedCaller(certificate: X509Certificate): Caller | undefined {
  const { uris, dns } = altNames(certificate);
  const commonName = commonNameOf(certificate);
  const subject = uris.length === 0 ? commonName : uris[0];
  if (subject === undefined || subject === '' || subject.length > subjectCharsMax || control.test(subject))
    return undefined;
  // Typed as always there; a certificate without the extension has none, and is good for any purpose, so for no node.
  const purposes = certificate.keyUsage as readonly string[] | undefined;
  if (purposes?.includes(serverAuth) !== true) return { subject, certified: true };
  const nodes = uris.map(nodeOfUri).filter((node) => node !== undefined);
  if (nodes.length > 0) {
    const names = nodes.map(({ name }) => name);
    return { subject, certified: true, node: { cluster: nodes[0].cluster, names } };
  }
  const names = dns.filter((name) => name !== 'localhost' && (name === commonName || !/[.*]/.test(name)));
  return { subject, certified: true, node: { names } };
}
