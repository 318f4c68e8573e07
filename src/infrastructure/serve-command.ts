import { type Command, Option } from 'commander';
import { ConfigError, type ConfigOption, environmentName, options, resolveConfig } from './config.js';
import { serve } from './serve.js';

function describeInitial(initial: ConfigOption['initial']): string {
  return initial === undefined || initial === false || typeof initial === 'object'
    ? ''
    : ` (default: ${String(initial)})`;
}

/** Adds `golog serve`. Its exit code is 0 after a graceful stop, 1 after a failure, 2 for an invalid configuration. */
export function addServeCommand(program: Command): void {
  const command = program
    .command('serve')
    .summary('run a node')
    .description(
      `Runs a node until SIGTERM or SIGINT. Each option can also be set by an environment variable (${environmentName('data-dir')} for --data-dir) ` +
        'or in --config-file; a flag takes precedence over the variable, and the variable over the file.',
    )
    .option('--config-file <FILE>', 'YAML file of "name: value" lines; names are those of the flags');
  for (const [name, { value, help, initial }] of Object.entries<ConfigOption>(options)) {
    const flag = value === undefined ? `--${name}` : `--${name} <${value}>`;
    command.addOption(new Option(flag, help + describeInitial(initial)));
  }
  command.addHelpText(
    'after',
    `
A TIME needs a unit (500ms, 30s, 15m, 12h, 7d), in every source; a SIZE without a unit counts bytes (4096, 64KiB, 10GB).

Examples:
  golog serve
  golog serve --data-dir /var/lib/golog --retention-age 30d
  GOLOG_LOG_LEVEL=debug golog serve --http-port 0 --rpc-port 0

Exit codes:
  0    stopped gracefully
  1    failed; the log says why
  2    invalid configuration
  137  killed itself, since a disk that hangs keeps it from exiting (as a shell shows SIGKILL)`,
  );
  command.action(async (_: unknown, self: Command) => {
    const given = new Map<string, unknown>();
    for (const option of self.options) {
      if (self.getOptionValueSource(option.attributeName()) === 'cli') {
        given.set(option.name(), self.getOptionValue(option.attributeName()));
      }
    }
    const configFile = (given.get('config-file') as string | undefined) ?? process.env[environmentName('config-file')];
    given.delete('config-file');
    try {
      const exitCode = await serve(resolveConfig(given, process.env, configFile));
      // A TLS handshake with an address that says nothing would keep the process running.
      process.exit(exitCode);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      process.stderr.write(`golog serve: ${error.message}\n`);
      process.exitCode = 2;
    }
  });
}
