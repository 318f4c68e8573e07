import { webcrypto } from 'node:crypto';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type GeneralNameType,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { nodeUri } from './node-uri.js';

type CryptoKey = webcrypto.CryptoKey;

/** PEM texts of a certificate and of its PKCS #8 key. */
export interface CertificatePair {
  readonly certificate: string;
  readonly key: string;
}

/**
 * The identity in a node's certificate. Without a name the certificate is valid for any node, and peers accept it with
 * a warning.
 */
export interface NodeSubject {
  readonly cluster: string;
  readonly name?: string;
  /** Names and addresses that clients use to reach the node. */
  readonly hosts: readonly string[];
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const dayMs = 86_400_000;
/** The clocks of a cluster differ, so a certificate is valid from a little before its creation. */
const earlierMs = 5 * 60_000;
const serialBytes = 16;

const isAddress = (host: string): boolean => /^[\d.]+$/.test(host) || host.includes(':');

/** 16 random bytes, positive (RFC 5280 §4.1.2.2). */
function serialNumber(): string {
  const bytes = webcrypto.getRandomValues(new Uint8Array(serialBytes));
  bytes[0] &= 0x7f;
  return Buffer.from(bytes).toString('hex');
}

function makeKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
}

async function keyPem(key: CryptoKey): Promise<string> {
  return `${PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')}\n`;
}

const certificatePem = (certificate: X509Certificate): string => `${certificate.toString('pem')}\n`;

function validity(days: number): { notBefore: Date; notAfter: Date } {
  const now = Date.now();
  return { notBefore: new Date(now - earlierMs), notAfter: new Date(now + days * dayMs) };
}

/** Signs the certificates of one cluster: ECDSA over P-256 (RFC 5280 profile). */
export class CertificateAuthority {
  private constructor(
    private readonly certificate: X509Certificate,
    private readonly key: CryptoKey,
  ) {}

  /** Creates a new CA, valid for `days`. */
  static async create(days: number): Promise<CertificateAuthority> {
    const keys = await makeKeys();
    const certificate = await X509CertificateGenerator.createSelfSigned(
      {
        serialNumber: serialNumber(),
        name: 'CN=golog CA',
        ...validity(days),
        keys,
        signingAlgorithm: algorithm,
        extensions: [
          new BasicConstraintsExtension(true, 0, true),
          new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
          await SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
        ],
      },
      webcrypto,
    );
    return new CertificateAuthority(certificate, keys.privateKey);
  }

  /** Loads a CA from its PEM texts. Rejects if the texts are not a certificate and a P-256 key. */
  static async load({ certificate, key }: CertificatePair): Promise<CertificateAuthority> {
    const [der] = PemConverter.decode(key);
    return new CertificateAuthority(
      new X509Certificate(certificate),
      await webcrypto.subtle.importKey('pkcs8', der, algorithm, true, ['sign']),
    );
  }

  async pair(): Promise<CertificatePair> {
    return { certificate: certificatePem(this.certificate), key: await keyPem(this.key) };
  }

  /** Issues a certificate for a node, which is a server to clients, and both server and client to its peers. */
  node({ cluster, name, hosts }: NodeSubject, days: number): Promise<CertificatePair> {
    const names: { type: GeneralNameType; value: string }[] = hosts.map((value) => ({
      type: isAddress(value) ? 'ip' : 'dns',
      value,
    }));
    if (name !== undefined) names.unshift({ type: 'url', value: nodeUri(cluster, name) });
    return this.#issue(name ?? 'golog server', days, [
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
      new SubjectAlternativeNameExtension(names),
    ]);
  }

  /** Issues a certificate for a client, whose identity is the common name. */
  client(commonName: string, days: number): Promise<CertificatePair> {
    return this.#issue(commonName, days, [new ExtendedKeyUsageExtension([ExtendedKeyUsage.clientAuth])]);
  }

  async #issue(
    commonName: string,
    days: number,
    extensions: readonly (ExtendedKeyUsageExtension | SubjectAlternativeNameExtension)[],
  ): Promise<CertificatePair> {
    const keys = await makeKeys();
    const certificate = await X509CertificateGenerator.create(
      {
        serialNumber: serialNumber(),
        subject: [{ CN: [commonName] }],
        issuer: this.certificate.subject,
        ...validity(days),
        publicKey: keys.publicKey,
        signingKey: this.key,
        signingAlgorithm: algorithm,
        extensions: [
          new BasicConstraintsExtension(false, undefined, true),
          new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
          await SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
          await AuthorityKeyIdentifierExtension.create(this.certificate, false, webcrypto),
          ...extensions,
        ],
      },
      webcrypto,
    );
    return { certificate: certificatePem(certificate), key: await keyPem(keys.privateKey) };
  }
}
