import { type Command, Option } from 'commander';
import type { Context } from '../../infrastructure/contexts-file.js';
import { contextsPath, readContexts } from '../../infrastructure/contexts-file.js';
import { ExitCode, messageOf } from '../options/exit-codes.js';

/** The name that stands for no context: commands then use the defaults of their flags. */
export const noContext = 'default';

const contextFlag = '--context';

/** Adds `--context` to each command that talks to a server, and has it fill in what is not given otherwise. */
export function addContextOption(command: Command): void {
  command.commands.forEach(addContextOption);
  if (command.name() === 'add' && command.parent?.name() === 'context') return;
  if (!command.options.some(({ long }) => long === '--addr')) return;
  command.addOption(
    new Option(`${contextFlag} <NAME>`, 'servers and TLS files as stored by "golog context add"').env('GOLOG_CONTEXT'),
  );
  command.hook('preAction', () => {
    try {
      useContext(command);
    } catch (error) {
      command.error(`golog: ${messageOf(error)}`, { exitCode: ExitCode.usage });
    }
  });
}

/**
 * Fills in the options that no flag and no variable gave. A context that is named gives each of them; the current one
 * gives them only where no address is given, since it may be about other servers.
 */
function useContext(command: Command): void {
  const name = command.opts<{ readonly context?: string }>().context;
  if (name === noContext || (name === undefined && isGiven(command, 'addr'))) return;
  const { current, contexts } = readContexts();
  const used = name ?? current;
  if (used === undefined) return;
  const context = contexts.get(used);
  if (context === undefined) command.error(unknownContext(used, contexts), { exitCode: ExitCode.usage });
  else fillIn(command, context);
}

export function unknownContext(name: string, contexts: ReadonlyMap<string, Context>): string {
  const known = [noContext, ...contexts.keys()].join(', ');
  return `golog: there is no context ${JSON.stringify(name)} in ${contextsPath()}: expected one of ${known}; "golog context add" adds one`;
}

function isGiven(command: Command, key: string): boolean {
  const source = command.getOptionValueSource(key);
  return source !== undefined && source !== 'default';
}

function fillIn(command: Command, { addr, tlsCaFile, tlsCertFile, tlsKeyFile }: Context): void {
  const set = (key: string, value: unknown): void => {
    if (value !== undefined) command.setOptionValueWithSource(key, value, 'context');
  };
  if (!isGiven(command, 'addr')) set('addr', addr);
  if (!isGiven(command, 'tlsCaFile')) set('tlsCaFile', tlsCaFile);
  // A certificate and its key are one: half of a pair would not fit the other half.
  if (isGiven(command, 'tlsCertFile') || isGiven(command, 'tlsKeyFile')) return;
  set('tlsCertFile', tlsCertFile);
  set('tlsKeyFile', tlsKeyFile);
}
