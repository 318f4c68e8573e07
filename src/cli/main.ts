import { Command, CommanderError } from 'commander';
import { misspelledVariables } from '../infrastructure/client-variables.js';
import { packageVersion } from '../infrastructure/package-files.js';
import { addContextOption } from './contexts/use-context.js';
import { ExitCode, exitCodesHelp, messageOf } from './options/exit-codes.js';
import { addTlsOptions } from './options/tls-options.js';

const details = `
Examples:
  golog serve
  golog dev --nodes 3
  golog produce access.log
  golog consume --from earliest --follow
  golog help produce
${exitCodesHelp}`;

type AddCommand = (program: Command) => void;

/** Commands by name, loaded on use: a client command does not need what a server loads. */
const commands = new Map<string, () => Promise<AddCommand>>([
  ['serve', async () => (await import('../infrastructure/serve-command.js')).addServeCommand],
  ['dev', async () => (await import('./dev/dev-command.js')).addDevCommand],
  ['produce', async () => (await import('./produce-command.js')).addProduceCommand],
  ['consume', async () => (await import('./consume-command.js')).addConsumeCommand],
  ['servers', async () => (await import('./servers-command.js')).addServersCommand],
  ['cluster', async () => (await import('./cluster-command.js')).addClusterCommand],
  ['member', async () => (await import('./member-command.js')).addMemberCommand],
  ['truncate', async () => (await import('./truncate-command.js')).addTruncateCommand],
  ['leader', async () => (await import('./leader-command.js')).addLeaderCommand],
  ['verify', async () => (await import('./offline-commands.js')).addVerifyCommand],
  ['recover', async () => (await import('./recover-command.js')).addRecoverCommand],
  ['dump', async () => (await import('./offline-commands.js')).addDumpCommand],
  ['acl', async () => (await import('./acl-command.js')).addAclCommand],
  ['context', async () => (await import('./contexts/context-command.js')).addContextCommand],
  ['certs', async () => (await import('./certs-command.js')).addCertsCommand],
]);

async function createProgram(commandName: string | undefined): Promise<Command> {
  const program = new Command('golog')
    .description('A replicated commit log: durable before it acknowledges.')
    .version(packageVersion())
    .exitOverride()
    .showHelpAfterError('(see --help)')
    .addHelpText('after', details);
  const named = commands.get(commandName ?? '');
  for (const load of named === undefined ? commands.values() : [named]) (await load())(program);
  addTlsOptions(program);
  addContextOption(program);
  return program;
}

let outputError: Error | undefined;
let isDone = false;

/** Has a command that lost its output fail, unless it has said why itself. */
function reportOutputError(): void {
  if (outputError === undefined || !isDone || (process.exitCode ?? ExitCode.ok) !== ExitCode.ok) return;
  process.stderr.write(`golog: cannot write the output: ${messageOf(outputError)}\n`);
  process.exitCode = ExitCode.failure;
}

// The reader may close the pipe early, as `head` does, and the command has not failed then.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') outputError ??= error;
  reportOutputError();
});

// `golog serve` refuses them.
if (process.argv[2] !== 'serve')
  for (const line of misspelledVariables(process.env)) process.stderr.write(`golog: ${line}\n`);

try {
  await (await createProgram(process.argv[2])).parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? ExitCode.ok : ExitCode.usage;
  else {
    process.stderr.write(`golog: ${messageOf(error)}\n`);
    process.exitCode = ExitCode.failure;
  }
}
isDone = true;
reportOutputError();
