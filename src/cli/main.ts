import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { addServeCommand } from '../infrastructure/serve-command.js';
import { addConsumeCommand } from './consume-command.js';
import { ExitCode, exitCodesHelp, messageOf } from './exit-codes.js';
import { addDumpCommand, addVerifyCommand } from './offline-commands.js';
import { addProduceCommand } from './produce-command.js';
import { addServersCommand } from './servers-command.js';

function version(): string {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return version;
}

const details = `
Examples:
  golog serve
  golog produce access.log
  golog consume --from earliest --follow
  golog help produce
${exitCodesHelp}`;

function createProgram(): Command {
  const program = new Command('golog')
    .description('A replicated commit log: durable before it acknowledges.')
    .version(version())
    .exitOverride()
    .showHelpAfterError('(see --help)')
    .addHelpText('after', details);
  addServeCommand(program);
  addProduceCommand(program);
  addConsumeCommand(program);
  addServersCommand(program);
  addVerifyCommand(program);
  addDumpCommand(program);
  return program;
}

try {
  await createProgram().parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? ExitCode.ok : ExitCode.usage;
  else {
    process.stderr.write(`golog: ${messageOf(error)}\n`);
    process.exitCode = ExitCode.failure;
  }
}
