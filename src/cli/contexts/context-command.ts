import { resolve } from 'node:path';
import { Argument, type Command, InvalidArgumentError } from 'commander';
import { type Context, type Contexts, readContexts, writeContexts } from '../../infrastructure/contexts-file.js';
import { addressesOption } from '../options/address-option.js';
import type { ServerFlags } from '../options/cluster-call.js';
import { ExitCode, exitCodesHelp, messageOf } from '../options/exit-codes.js';
import { printableJson } from '../options/printable.js';
import { columnsOfOutput, tableText } from '../options/terminal.js';
import { clientTls } from '../options/tls-options.js';
import { noContext, unknownContext } from './use-context.js';

const details = `
A context is a name for --addr and the --tls-… flags of one cluster, for all commands that talk to a server. It holds
the paths of files, not what is in them. Which one a command uses:
  1. what its flags and GOLOG_ variables give;
  2. for the rest, the context of --context or GOLOG_CONTEXT;
  3. without either, and without an address, the one of "golog context use";
  4. the defaults of the flags, which are the context "${noContext}".

Examples:
  golog context add prod --addr 10.0.0.1:8400,10.0.0.2:8400 --tls-ca-file ca.pem \\
    --tls-cert-file root-client.pem --tls-key-file root-client-key.pem
  golog context use prod
  golog consume --follow
  golog cluster status --context ${noContext}
${exitCodesHelp}`;

const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

function parseName(text: string): string {
  if (namePattern.test(text)) return text;
  throw new InvalidArgumentError('expected up to 63 letters, digits, dots, dashes and underscores.');
}

const nameOf = (what: string): Argument => new Argument('<NAME>', what).argParser(parseName);

export function addContextCommand(program: Command): void {
  const context = program
    .command('context')
    .summary('name the servers and TLS files of a cluster')
    .description('Stores servers and TLS files under a name, and chooses which ones commands use.')
    .addHelpText('after', details);

  context
    .command('add')
    .summary('store a context')
    .description('Stores the given servers and TLS files under a name.')
    .addArgument(nameOf('name of the context'))
    .addOption(addressesOption())
    .option('--replace', 'replace the context of that name')
    .addHelpText('after', details)
    .action(async (name: string, { replace, ...flags }: ServerFlags & { replace?: true }, command: Command) => {
      const { current, contexts } = readContexts();
      const fail = (message: string): never => command.error(`golog context add: ${message}`, usage);
      if (name === noContext) fail(`"${noContext}" stands for no context; give another name`);
      if (contexts.has(name) && replace !== true) fail(`the context "${name}" exists; give --replace or another name`);
      if (command.getOptionValueSource('addr') === 'default')
        fail('--addr is missing: give the servers of the cluster');
      try {
        clientTls(flags);
      } catch (error) {
        fail(messageOf(error));
      }
      await writeContexts({ current, contexts: new Map(contexts).set(name, contextOf(flags)) });
      process.stdout.write(`stored "${name}"; "golog context use ${name}" makes it the current context\n`);
    });

  context
    .command('use')
    .summary('choose the context of commands that name none')
    .description(`Makes a context the current one; "${noContext}" for none.`)
    .addArgument(nameOf('name of the context'))
    .action(async (name: string, _: unknown, command: Command) => {
      const { contexts } = readContexts();
      if (name !== noContext) assertKnown(command, name, contexts);
      await writeContexts({ current: name === noContext ? undefined : name, contexts });
      process.stdout.write(`the current context is "${name}"\n`);
    });

  context
    .command('list')
    .summary('list the contexts')
    .description('Lists the contexts; * marks the current one.')
    .option('--json', 'print JSON')
    .action(({ json }: { json?: true }) => {
      const { current = noContext, contexts } = readContexts();
      const all = Object.fromEntries(contexts);
      process.stdout.write(
        json === true
          ? `${printableJson(JSON.stringify({ current, contexts: all }))}\n`
          : listText({ current, contexts }),
      );
    });

  context
    .command('show')
    .summary('show a context')
    .description('Shows a context as it is stored; the current one if none is named.')
    .addArgument(new Argument('[NAME]', 'name of the context').argParser(parseName))
    .action((named: string | undefined, _: unknown, command: Command) => {
      const { current = noContext, contexts } = readContexts();
      const name = named ?? current;
      const shown = name === noContext ? defaults : assertKnown(command, name, contexts);
      process.stdout.write(`${printableJson(JSON.stringify({ name, ...shown }, undefined, 2))}\n`);
    });

  context
    .command('remove')
    .summary('remove a context')
    .description('Removes a context, not the files that it names.')
    .addArgument(nameOf('name of the context'))
    .action(async (name: string, _: unknown, command: Command) => {
      const { current, contexts } = readContexts();
      assertKnown(command, name, contexts);
      const rest = new Map(contexts);
      rest.delete(name);
      const isCurrent = name === current;
      await writeContexts({ current: isCurrent ? undefined : current, contexts: rest });
      process.stdout.write(`removed "${name}"${isCurrent ? `; the current context is "${noContext}"` : ''}\n`);
    });
}

const usage = { exitCode: ExitCode.usage };
const defaults: Context = { addr: ['127.0.0.1:8400'] };

/** Commands run in any directory, so the paths of a context are absolute. */
function contextOf({ addr, tlsCaFile, tlsCertFile, tlsKeyFile }: ServerFlags): Context {
  return {
    addr,
    ...(tlsCaFile !== undefined && { tlsCaFile: resolve(tlsCaFile) }),
    ...(tlsCertFile !== undefined && { tlsCertFile: resolve(tlsCertFile) }),
    ...(tlsKeyFile !== undefined && { tlsKeyFile: resolve(tlsKeyFile) }),
  };
}

function assertKnown(command: Command, name: string, contexts: Contexts['contexts']): Context {
  return contexts.get(name) ?? command.error(unknownContext(name, contexts), usage);
}

function listText({ current, contexts }: Contexts): string {
  const rows = [[noContext, defaults] as const, ...contexts].map(([name, { addr, tlsCaFile, tlsCertFile }]) => [
    name,
    name === current ? '*' : '',
    addr.join(','),
    tlsCertFile ?? tlsCaFile ?? '',
  ]);
  return tableText(
    ['context', 'current', 'gRPC addresses', 'certificate or CA'].map((column) => ({ name: column })),
    rows,
    columnsOfOutput(),
  );
}
