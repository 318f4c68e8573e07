import { homedir } from 'node:os';
import { join } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { CertificateSetError, type WrittenPair, writeCertificateSet } from '../infrastructure/certificate-set.js';
import { ExitCode, exitCodesHelp, messageOf } from './options/exit-codes.js';
import { parseCount } from './options/option-values.js';

interface Flags {
  readonly dir: string;
  readonly cluster: string;
  readonly node: readonly string[];
  readonly host: readonly string[];
  readonly client: readonly string[];
  readonly days: number;
  readonly force?: true;
  readonly json?: true;
}

const caDays = 5 * 365;
const daysMax = 10 * 365;

const initDetails = `
Files, each with its -key.pem:
  ca.pem             the CA, which signs the others; keep ca-key.pem away from the nodes
  server.pem         for any node; it names no node, so peers cannot tell one holder from another
  node-<NAME>.pem    only for the node with this --node-name
  root-client.pem    for the client named root, as in test/policy.csv; likewise nobody-client.pem for nobody
Existing files are kept, and the existing CA signs the missing ones: add another --node later, or remove a pair to renew
it.

Examples:
  golog certs init
  golog certs init --dir certs --cluster main --node n1,n2,n3 --host 10.0.0.1,10.0.0.2,10.0.0.3
  golog certs init --dir certs --client billing
${exitCodesHelp}`;

const name = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
const host = /^([A-Za-z0-9*]([A-Za-z0-9._-]{0,252})|[0-9a-fA-F:.]{2,45})$/;

function listOf(pattern: RegExp, expected: string): (text: string) => string[] {
  return (text) => {
    const parts = text
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== '');
    for (const part of parts) if (!pattern.test(part)) throw new InvalidArgumentError(`expected ${expected}.`);
    return parts;
  };
}

const names = listOf(name, 'comma-separated names of letters, digits, dots, dashes and underscores');

export function addCertsCommand(program: Command): void {
  const certs = program
    .command('certs')
    .summary('make certificates')
    .description('Makes the certificates of a cluster and its clients.')
    .addHelpText('after', `\nExample:\n  golog certs init\n${exitCodesHelp}`);
  certs
    .command('init')
    .summary('make a CA, and certificates for nodes and clients')
    .description('Makes a CA, and certificates for nodes and clients. Needs no other tool.')
    .addOption(
      new Option('--dir <DIR>', 'directory to write to')
        .env('CONFIG_PATH')
        .default(join(homedir(), '.golog'), '$CONFIG_PATH, or ~/.golog'),
    )
    .addOption(new Option('--cluster <NAME>', 'cluster name in the certificates of nodes').default('golog'))
    .addOption(
      new Option('--node <NAMES>', 'names of nodes (--node-name), comma-separated; each gets a pair')
        .argParser(names)
        .default([], 'none'),
    )
    .addOption(
      new Option('--host <HOSTS>', 'host names and addresses of the nodes, comma-separated')
        .argParser(listOf(host, 'comma-separated host names and addresses'))
        .default(['localhost', '127.0.0.1', '::1'], 'localhost,127.0.0.1,::1'),
    )
    .addOption(
      new Option('--client <NAMES>', 'names of clients, comma-separated; each gets a pair')
        .argParser(names)
        .default(['root', 'nobody'], 'root,nobody'),
    )
    .option('--days <N>', 'validity of the certificates of nodes and clients, in days', parseCount(1, daysMax), 365)
    .option('--force', 'replace everything, including the CA: certificates of the old CA are no longer accepted')
    .option('--json', 'print JSON')
    .addHelpText('after', initDetails)
    .action(async (flags: Flags) => {
      process.exitCode = await init(flags);
    });
}

async function init({ dir, cluster, node, host, client, days, force, json }: Flags): Promise<ExitCode> {
  try {
    if (!name.test(cluster))
      throw new InvalidArgumentError(`invalid --cluster "${cluster}": expected a name such as main`);
    const written = await writeCertificateSet({
      directory: dir,
      cluster,
      nodes: node,
      hosts: host,
      clients: client,
      days,
      caDays: Math.max(caDays, days),
      force: force === true,
    });
    process.stdout.write(json === true ? `${JSON.stringify({ directory: dir, pairs: written })}\n` : describe(written));
    return ExitCode.ok;
  } catch (error) {
    process.stderr.write(`golog certs init: ${messageOf(error)}\n`);
    return error instanceof InvalidArgumentError || error instanceof CertificateSetError
      ? ExitCode.usage
      : ExitCode.failure;
  }
}

function describe(pairs: readonly WrittenPair[]): string {
  const width = Math.max(...pairs.map(({ certificateFile }) => certificateFile.length));
  const lines = pairs.map(
    ({ certificateFile, stored }) => `${stored ? 'kept ' : 'wrote'}  ${certificateFile.padEnd(width)}  and its key`,
  );
  return `${lines.join('\n')}\n`;
}
