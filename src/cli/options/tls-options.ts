import { readFileSync } from 'node:fs';
import { type Command, InvalidArgumentError } from 'commander';
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
  command
    .option('--tls-ca-file <FILE>', 'CA of the servers; connects over TLS')
    .option('--tls-cert-file <FILE>', 'client certificate; connects over TLS')
    .option('--tls-key-file <FILE>', 'private key of --tls-cert-file');
}

/** Reads the files of the flags; undefined when none is given. @throws InvalidArgumentError naming the flag */
export function clientTls({ tlsCaFile, tlsCertFile, tlsKeyFile }: TlsFlags): ClientTls | undefined {
  if (tlsCaFile === undefined && tlsCertFile === undefined && tlsKeyFile === undefined) return undefined;
  if ((tlsCertFile === undefined) !== (tlsKeyFile === undefined))
    throw new InvalidArgumentError('--tls-cert-file and --tls-key-file need each other: give both or neither');
  return {
    ...(tlsCaFile !== undefined && { ca: textOf('--tls-ca-file', tlsCaFile) }),
    ...(tlsCertFile !== undefined && { cert: textOf('--tls-cert-file', tlsCertFile) }),
    ...(tlsKeyFile !== undefined && { key: textOf('--tls-key-file', tlsKeyFile) }),
  };
}

function textOf(flag: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new InvalidArgumentError(`${flag} ${path}: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
}
