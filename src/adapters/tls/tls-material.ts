import { createPrivateKey, X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';

/** PEM texts. The certificate may be followed by intermediate certificates, and there may be several CAs. */
export interface TlsTexts {
  readonly certificate: string;
  readonly key: string;
  /** The CAs that must have signed the other side's certificate. If undefined, no certificate is requested. */
  readonly authority?: string;
}

/** A certificate, a key or a CA cannot be used. The message says which and why, and contains nothing of a key. */
export class InvalidCertificateError extends Error {
  override readonly name = 'InvalidCertificateError';
}

/** The texts after parsing and validation. */
export interface TlsMaterial {
  readonly texts: TlsTexts;
  readonly context: SecureContext;
  readonly certificate: X509Certificate;
  readonly authorities: readonly X509Certificate[];
}

const block = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

function certificatesOf(text: string, what: string): X509Certificate[] {
  const found = text.match(block) ?? [];
  if (found.length === 0) throw new InvalidCertificateError(`${what} has no certificate: expected PEM`);
  return found.map((pem) => {
    try {
      return new X509Certificate(pem);
    } catch (cause) {
      throw new InvalidCertificateError(`${what} cannot be parsed`, { cause });
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
    throw new InvalidCertificateError('the key cannot be parsed: expected an unencrypted PEM private key', { cause });
  }
  if (!matches) throw new InvalidCertificateError('the key does not belong to the certificate');
  try {
    const context = createSecureContext({
      cert: pem,
      key,
      minVersion: 'TLSv1.3',
      ...(authority !== undefined && { ca: authority }),
    });
    return { texts, context, certificate, authorities };
  } catch (cause) {
    throw new InvalidCertificateError('the certificate, key and CA cannot be used together', { cause });
  }
}

/** Returns whether one of the CAs signed the certificate directly. */
export function isSignedBy(certificate: X509Certificate, authorities: readonly X509Certificate[]): boolean {
  return authorities.some((authority) => certificate.checkIssued(authority) && certificate.verify(authority.publicKey));
}
