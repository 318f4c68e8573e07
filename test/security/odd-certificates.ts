import 'reflect-metadata';
import { randomBytes, webcrypto } from 'node:crypto';
import { readFileSync } from 'node:fs';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import type { CertificateSet } from './certificate-sets.js';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const dayMs = 86_400_000;

export interface OddCertificate {
  readonly commonName: string;
  readonly uris?: readonly string[];
  readonly dns?: readonly string[];
  readonly usage?: 'serverAuth' | 'clientAuth' | 'both';
  /** From when on, and until when, in days from now. */
  readonly days?: readonly [number, number];
}

/** A certificate such as golog makes none, and its key, signed by a pair of the set (default: its CA). */
export async function oddCertificate(
  set: CertificateSet,
  { commonName, uris = [], dns = [], usage = 'clientAuth', days: [from, until] = [-1, 1] }: OddCertificate,
  signer = 'ca',
): Promise<{ readonly cert: string; readonly key: string }> {
  const altNames = [
    ...uris.map((value) => ({ type: 'url', value }) as const),
    ...dns.map((value) => ({ type: 'dns', value }) as const),
  ];
  const [der] = PemConverter.decode(readFileSync(set.file(`${signer}-key`), 'utf8'));
  const issuer = readFileSync(set.file(signer), 'utf8');
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.create(
    {
      serialNumber: `01${randomBytes(8).toString('hex')}`,
      subject: [{ CN: [commonName] }],
      issuer: new X509Certificate(issuer).subject,
      notBefore: new Date(Date.now() + from * dayMs),
      notAfter: new Date(Date.now() + until * dayMs),
      publicKey: keys.publicKey,
      signingKey: await webcrypto.subtle.importKey('pkcs8', der, algorithm, true, ['sign']),
      signingAlgorithm: algorithm,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new ExtendedKeyUsageExtension(
          usage === 'both' ? [ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth] : [ExtendedKeyUsage[usage]],
        ),
        ...(altNames.length === 0 ? [] : [new SubjectAlternativeNameExtension(altNames)]),
      ],
    },
    webcrypto,
  );
  const key = PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY');
  return { cert: `${certificate.toString('pem')}\n${signer === 'ca' ? '' : issuer}`, key };
}
