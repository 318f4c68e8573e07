import 'reflect-metadata';
import { chmod, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { makeDirectory } from '../adapters/file-system/make-directory.js';
import { CertificateAuthority, type CertificatePair } from '../adapters/tls/certificate-authority.js';

export interface CertificateSetOptions {
  readonly directory: string;
  readonly cluster: string;
  /** Each node gets its own pair, `node-<name>.pem`. */
  readonly nodes: readonly string[];
  /** Host names and addresses of the servers; every server certificate contains all of them. */
  readonly hosts: readonly string[];
  /** The common names of the clients; each gets a pair `<name>-client.pem`. */
  readonly clients: readonly string[];
  readonly days: number;
  readonly caDays: number;
  /** Replaces all existing pairs, including the CA. */
  readonly force: boolean;
}

export interface WrittenPair {
  readonly name: string;
  readonly certificateFile: string;
  readonly keyFile: string;
  /** Whether the pair already existed and was left unchanged. */
  readonly stored: boolean;
}

/** The set cannot be written to the directory; the message says why. */
export class CertificateSetError extends Error {
  override readonly name = 'CertificateSetError';
}

async function textOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function writeNew(path: string, text: string, mode: number): Promise<void> {
  const file = await open(path, 'wx', mode);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

/**
 * Writes a CA, a `server` pair, and a pair for each node and each client, with keys that only the owner can read.
 * Existing pairs are kept and an existing CA signs the missing ones, unless `force` replaces them all.
 */
export async function writeCertificateSet(options: CertificateSetOptions): Promise<WrittenPair[]> {
  const { directory, cluster, nodes, hosts, clients, days, caDays, force } = options;
  await makeDirectory(directory, { mode: 0o700 });
  let authority: CertificateAuthority | undefined;
  const issued = async (issue: (from: CertificateAuthority) => Promise<CertificatePair>): Promise<CertificatePair> => {
    if (authority === undefined)
      throw new CertificateSetError(
        `${join(directory, 'ca-key.pem')} is missing: the CA cannot sign certificates without it`,
      );
    return issue(authority);
  };
  const plan: [name: string, make: () => Promise<CertificatePair>][] = [
    ['server', () => issued((from) => from.node({ cluster, hosts }, days))],
    ...nodes.map((name): [string, () => Promise<CertificatePair>] => [
      `node-${name}`,
      () => issued((from) => from.node({ cluster, name, hosts }, days)),
    ]),
    ...clients.map((name): [string, () => Promise<CertificatePair>] => [
      `${name}-client`,
      () => issued((from) => from.client(name, days)),
    ]),
  ];
  const written = [
    await writePair(directory, 'ca', force, async () => {
      authority = await CertificateAuthority.create(caDays);
      return authority.pair();
    }),
  ];
  authority ??= await existingAuthority(directory);
  for (const [name, make] of plan) written.push(await writePair(directory, name, force, make));
  return written;
}

async function existingAuthority(directory: string): Promise<CertificateAuthority | undefined> {
  const [certificate, key] = [await textOf(join(directory, 'ca.pem')), await textOf(join(directory, 'ca-key.pem'))];
  if (certificate === undefined || key === undefined) return undefined;
  try {
    return await CertificateAuthority.load({ certificate, key });
  } catch (cause) {
    throw new CertificateSetError(`${directory}: ca.pem and ca-key.pem are not a CA made by golog certs init`, {
      cause,
    });
  }
}

async function writePair(
  directory: string,
  name: string,
  force: boolean,
  make: () => Promise<CertificatePair>,
): Promise<WrittenPair> {
  const [certificateFile, keyFile] = [join(directory, `${name}.pem`), join(directory, `${name}-key.pem`)];
  const found = { name, certificateFile, keyFile };
  const hasCertificate = (await textOf(certificateFile)) !== undefined;
  const hasKey = (await textOf(keyFile)) !== undefined;
  if (!force && hasCertificate && (hasKey || name === 'ca')) return { ...found, stored: true };
  if (!force && (hasCertificate || hasKey))
    throw new CertificateSetError(
      `${hasKey ? keyFile : certificateFile} exists without ${hasKey ? certificateFile : keyFile}: restore the missing file, or remove the other one to make a new pair`,
    );
  const { certificate, key } = await make();
  if (force) await Promise.all([rm(certificateFile, { force: true }), rm(keyFile, { force: true })]);
  await writeNew(keyFile, key, 0o600);
  await chmod(keyFile, 0o600);
  await writeNew(certificateFile, certificate, 0o644);
  return { ...found, stored: false };
}
