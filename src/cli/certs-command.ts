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
  ca.pem             signs the others; keep ca-key.pem away from the nodes
  server.pem         for any node: it names none, so that peers cannot tell one node from another
  node-<NAME>.pem    for the node of that --node-name, and for no other
  root-client.pem    a client whose name is root, as in test/policy.csv; so nobody-client.pem, for nobody
What is there is kept, and its CA signs what is missing: name a further --node later, or remove a pair to renew it.

Examples:
  golog certs init
  golog certs init --dir certs --cluster main --node n1,n2,n3 --host 10.0.0.1,10.0.0.2,10.0.0.3
  golog certs init --dir certs --client billing
${exitCodesHelp}`;

const name = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
const host = /^([A-Za-z0-9*]([A-Za-z0-9._-]{0,252})|[0-9a-fA-F:.]{2,45})$/;

function listOf(pattern: RegExp, expected: string): (text: string) => string[] {
  return (text) => {
    const parts = text.split(',').filter((part) => part !== '');
    for (const part of parts) if (!pattern.test(part)) throw new InvalidArgumentError(`expected ${expected}.`);
    return parts;
  };
}

const names = listOf(name, 'names of letters, digits, dot, dash, underscore, comma-separated');

export function addCertsCommand(program: Command): void {
  const certs = program
    .command('certs')
    .summary('make certificates')
    .description('Makes the certificates of a cluster and of its clients.')
    .addHelpText('after', `\nExample:\n  golog certs init\n${exitCodesHelp}`);
  certs
    .command('init')
    .summary('make a CA, and certificates for nodes and clients')
    .description('Makes a CA, and certificates for nodes and clients, with no other tool.')
    .addOption(
      new Option('--dir <DIR>', 'where to')
        .env('CONFIG_PATH')
        .default(join(homedir(), '.golog'), '$CONFIG_PATH, or ~/.golog'),
    )
    .addOption(new Option('--cluster <NAME>', 'stands in the names of its nodes').default('golog'))
    .addOption(
      new Option('--node <NAMES>', 'a pair for each --node-name, comma-separated').argParser(names).default([], 'none'),
    )
    .addOption(
      new Option('--host <HOSTS>', 'names and addresses of the nodes, comma-separated')
        .argParser(listOf(host, 'names and addresses, comma-separated'))
        .default(['localhost', '127.0.0.1', '::1'], 'localhost,127.0.0.1,::1'),
    )
    .addOption(
      new Option('--client <NAMES>', 'clients, comma-separated')
        .argParser(names)
        .default(['root', 'nobody'], 'root,nobody'),
    )
    .option('--days <N>', 'how long nodes and clients have until the next one', parseCount(1, daysMax), 365)
    .option('--force', 'make all anew, the CA too: what the old one signed is worth nothing then')
    .option('--json', 'print JSON')
    .addHelpText('after', initDetails)
    .action(async (flags: Flags) => {
      process.exitCode = await init(flags);
    });
}

async function init({ dir, cluster, node, host, client, days, force, json }: Flags): Promise<ExitCode> {
  try {
    if (!name.test(cluster)) throw new InvalidArgumentError('--cluster: expected a name such as main');
    const written = await writeCertificateSet({
      ...{ directory: dir, cluster, nodes: node, hosts: host, clients: client, days },
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
