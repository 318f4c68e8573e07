import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { ClientTls } from '../../client/index.js';

export interface TlsFlags {
  readonly tlsCaFile?: string;
  readonly tlsCertFile?: string;
  readonly tlsKeyFile?: string;
}

/** Adds the TLS options to each command that talks to a server, that is, each command with `--addr`. */
export function addTlsOptions(command: Command): void {
  command.commands.forEach(addTlsOptions);
  if (!command.options.some(({ long }) => long === '--addr')) return;
  const file = (name: string, help: string): Option =>
    new Option(`--tls-${name}-file <FILE>`, `${help}`)
      .env(`GOLOG_TLS_${name.toUpperCase()}_FILE`)
      .argParser((path: string) => {
        if (path === '') throw new InvalidArgumentError('expected the path of a file.');
        return path;
      });
  command
    .addOption(file('ca', 'CA of the servers; connects over TLS'))
    .addOption(file('cert', 'client certificate; connects over TLS'))
    .addOption(file('key', 'private key of --tls-cert-file'));
}

/** Reads the files of the flags; undefined when none is given. @throws InvalidArgumentError naming the flag */
export function clientTls({ tlsCaFile, tlsCertFile, tlsKeyFile }: TlsFlags): ClientTls | undefined {
  if (tlsCaFile === undefined && tlsCertFile === undefined && tlsKeyFile === undefined) return undefined;
  const ca = tlsCaFile === undefined ? {} : { ca: certificateText('--tls-ca-file', tlsCaFile) };
  if (tlsCertFile === undefined && tlsKeyFile === undefined) return ca;
  if (tlsCertFile === undefined || tlsKeyFile === undefined)
    throw new InvalidArgumentError('--tls-cert-file and --tls-key-file need each other: give both or neither');
  const cert = certificateText('--tls-cert-file', tlsCertFile);
  const key = textOf('--tls-key-file', tlsKeyFile);
  if (!new X509Certificate(cert).checkPrivateKey(privateKey('--tls-key-file', tlsKeyFile, key)))
    throw new InvalidArgumentError(
      `--tls-key-file ${tlsKeyFile} is not the key of --tls-cert-file ${tlsCertFile}: give the two of one pair`,
    );
  return { ...ca, cert, key };
}

function textOf(flag: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new InvalidArgumentError(`${flag} ${path}: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
}

function certificateText(flag: string, path: string): string {
  const text = textOf(flag, path);
  try {
    new X509Certificate(text);
  } catch {
    throw new InvalidArgumentError(`${flag} ${path} has no certificate: expected PEM`);
  }
  return text;
}

function privateKey(flag: string, path: string, text: string): KeyObject {
  try {
    return createPrivateKey(text);
  } catch {
    const expected = /ENCRYPTED/.test(text)
      ? 'is encrypted: decrypt it, for example with openssl pkey'
      : 'has no private key: expected PEM';
    throw new InvalidArgumentError(`${flag} ${path} ${expected}`);
  }
}
