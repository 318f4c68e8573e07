import { Argument, type Command, InvalidArgumentError } from 'commander';
import type { ClusterClient, ClusterSettings, SettingName } from '../client/index.js';
import { expectedDuration, expectedSize, parseBytes, parseDurationMs } from '../infrastructure/quantities.js';
import { addressesOption } from './options/address-option.js';
import { type ServerFlags, withCluster } from './options/cluster-call.js';
import { exitCodesHelp } from './options/exit-codes.js';
import { parseCount } from './options/option-values.js';

/** A setting as the commands name it, write it and read it. */
interface Setting {
  readonly name: SettingName;
  readonly parse: (text: string) => number;
  readonly format: (value: number) => string;
}

const settings: ReadonlyMap<string, Setting> = new Map([
  [
    'retention-bytes',
    { name: 'retentionBytes', parse: limit(parseBytes, expectedSize), format: (bytes) => `${bytes}B` },
  ],
  ['retention-age', { name: 'retentionAgeMs', parse: limit(parseDurationMs, expectedDuration), format: duration }],
  ['producers-max', { name: 'producersMax', parse: parseCount(1, 1_000_000), format: String }],
  ['producer-expiry', { name: 'producerExpiryMs', parse: parseExpiry, format: duration }],
] satisfies [string, Setting][]);

const keys = [...settings.keys()];

const keysHelp = `
Settings:
  retention-bytes   remove the oldest segments while the log is larger than this SIZE; none: no limit
  retention-age     remove segments whose newest record is older than this TIME; none: no limit
  producers-max     refuse new producer ids while the log remembers this many: a number from 1 to 1000000
  producer-expiry   forget producer ids whose last batch is older than this TIME

They are stored in the log and are the same on every node. --retention-bytes and --retention-age of a node count where
they are stricter. producers-max and producer-expiry take effect from feature level 2 of the cluster on, and do not
count ephemeral producers.
`;

interface Flags extends ServerFlags {
  readonly json?: true;
}

/** Adds `golog cluster get` and `golog cluster set`. */
export function addSettingCommands(cluster: Command): void {
  cluster
    .command('get')
    .summary('show the settings of the cluster')
    .description('Prints one setting of the cluster, or all of them.')
    .addArgument(new Argument('[KEY]', 'the setting to print (default: all)').choices(keys))
    .addOption(addressesOption())
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `${keysHelp}\nExamples:\n  golog cluster get\n  golog cluster get retention-age\n${exitCodesHelp}`,
    )
    .action(async (key: string | undefined, { json, ...servers }: Flags) => {
      process.exitCode = await withCluster('cluster get', servers, async (client, signal) => {
        print(await settingsOf(client, signal), key, json);
      });
    });

  cluster
    .command('set')
    .summary('change a setting of the cluster')
    .description('Changes one setting of the cluster, on every node. Waits until the change is committed.')
    .addArgument(new Argument('<KEY>', 'the setting to change').choices(keys))
    .argument('<VALUE>', 'the new value')
    .addOption(addressesOption())
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `${keysHelp}\nExamples:\n  golog cluster set retention-age 30d\n  golog cluster set retention-bytes none\n${exitCodesHelp}`,
    )
    .action(async (key: string, text: string, { json, ...servers }: Flags) => {
      process.exitCode = await withCluster('cluster set', servers, async (client, signal) => {
        const { name, parse } = settings.get(key)!;
        print(await client.setSetting(name, valueOf(key, text, parse), signal), key, json);
      });
    });
}

async function settingsOf(client: ClusterClient, signal: AbortSignal): Promise<ClusterSettings | undefined> {
  return (await client.status({ signal })).settings;
}

function print(found: ClusterSettings | undefined, key: string | undefined, json: true | undefined): void {
  if (found === undefined) throw new Error('the server is too old for cluster settings: upgrade it');
  const shown = [...settings].filter(([name]) => key === undefined || name === key);
  const values = shown.map(([name, { name: field, format }]): [string, string, number | null] => {
    const value = found[field];
    return [name, value === undefined ? 'none' : format(value), value ?? null];
  });
  const text = values.map(([name, value]) => (key === undefined ? `${name} ${value}\n` : `${value}\n`)).join('');
  const fields = Object.fromEntries(values.map(([name, , value]) => [name, value]));
  process.stdout.write(json === true ? `${JSON.stringify(fields)}\n` : text);
}

function valueOf(key: string, text: string, parse: Setting['parse']): number {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    throw new InvalidArgumentError(`invalid ${key} ${JSON.stringify(text)}: ${error.message}`);
  }
}

/** Returns a parser of a limit, where 0 stands for none. */
function limit(parse: (text: string) => number | undefined, expected: string): Setting['parse'] {
  return (text) => {
    if (text === 'none') return 0;
    const value = parse(text);
    if (value === undefined || value === 0) throw new InvalidArgumentError(`${expected}, or none.`);
    return value;
  };
}

function parseExpiry(text: string): number {
  const value = parseDurationMs(text);
  if (value === undefined || value === 0) throw new InvalidArgumentError(`${expectedDuration}.`);
  return value;
}

/** Formats a duration in its largest unit that is exact. */
function duration(ms: number): string {
  for (const [unit, factor] of [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1_000],
  ] as const)
    if (ms % factor === 0) return `${ms / factor}${unit}`;
  return `${ms}ms`;
}
