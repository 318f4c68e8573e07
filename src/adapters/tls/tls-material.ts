import { createPrivateKey, X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';

/** PEM texts; a certificate may be followed by those between it and the CA, and there may be several CAs. */
export interface TlsTexts {
  readonly certificate: string;
  readonly key: string;
  /** Who signs the certificates that this side takes. Without, none is asked for. */
  readonly authority?: string;
}

/** A certificate, a key or a CA cannot be used; the message says which and why, and shows nothing of a key. */
export class InvalidCertificateError extends Error {
  override readonly name = 'InvalidCertificateError';
}

/** The texts, read and found to belong together. */
export interface TlsMaterial {
  readonly texts: TlsTexts;
  readonly context: SecureContext;
  readonly certificate: X509Certificate;
  readonly authorities: readonly X509Certificate[];
}

const block = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

function certificatesOf(text: string, what: string): X509Certificate[] {
  const found = text.match(block) ?? [];
  if (found.length === 0) throw new InvalidCertificateError(`${what} has no certificate in PEM`);
  return found.map((pem) => {
    try {
      return new X509Certificate(pem);
    } catch (cause) {
      throw new InvalidCertificateError(`${what} cannot be read`, { cause });
    }
  });
}

/** @throws InvalidCertificateError */
export function tlsMaterial(texts: TlsTexts): TlsMaterial {
  const { certificate: pem, key, authority } = texts;
  const [certificate] = certificatesOf(pem, 'the certificate');
  const authorities = authority === undefined ? [] : certificatesOf(authority, 'the CA');
  let matches: boolean;
  try {
    matches = certificate.checkPrivateKey(createPrivateKey(key));
  } catch (cause) {
    throw new InvalidCertificateError('the key cannot be read', { cause });
  }
  if (!matches) throw new InvalidCertificateError('the key is not that of the certificate');
  try {
    const context = createSecureContext({
      ...{ cert: pem, key, minVersion: 'TLSv1.3' },
      ...(authority !== undefined && { ca: authority }),
    });
    return { texts, context, certificate, authorities };
  } catch (cause) {
    throw new InvalidCertificateError('the certificate, key and CA do not fit together', { cause });
  }
}

/** Whether one of the CAs itself signed the certificate. */
export function isSignedBy(certificate: X509Certificate, authorities: readonly X509Certificate[]): boolean {
  return authorities.some((authority) => certificate.checkIssued(authority) && certificate.verify(authority.publicKey));
}
