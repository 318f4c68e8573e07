import { hostname } from 'node:os';
import * as z from 'zod';
import type { Retention } from '../domain/log/retention.js';
import { clientVariables, isOfService } from './client-variables.js';
import { didYouMean } from './did-you-mean.js';
import { reachableIp } from '../adapters/serf/host-port.js';
import { formatHostPort, isLoopback, isUnspecified, parseHost, parseHostPort } from './addresses.js';
import { ConfigError } from './config-error.js';
import { readConfigFile } from './config-file.js';
import { expectedDuration, expectedSize, parseBytes, parseDurationMs, parseWholeNumber } from './quantities.js';

export { ConfigError } from './config-error.js';

const text = (expected: string) => z.string(expected).min(1, expected);
const number = (parse: (text: string) => number | undefined, expected: string) =>
  z.string(expected).transform(parse).pipe(z.number(expected));

function wholeNumber(what: string, min: number, max = Number.MAX_SAFE_INTEGER) {
  const bounds = max === Number.MAX_SAFE_INTEGER ? `, at least ${min}` : ` from ${min} to ${max}`;
  const expected = `expected ${what}${bounds}`;
  return number(parseWholeNumber, expected).pipe(z.number().min(min, expected).max(max, expected));
}

const port = wholeNumber('a port number', 0, 65_535);
const duration = number(parseDurationMs, expectedDuration).pipe(z.number().min(1, 'expected at least 1ms'));
const bytes = (min: string, max = `${Number.MAX_SAFE_INTEGER}B`) =>
  number(parseBytes, expectedSize).pipe(
    z.number().min(parseBytes(min)!, `expected at least ${min}`).max(parseBytes(max)!, `expected at most ${max}`),
  );
const flag = z.string('expected true or false').pipe(z.stringbool('expected true or false'));
const oneOf = <const Names extends readonly [string, ...string[]]>(...names: Names) =>
  z.enum(names, `expected one of ${names.join(', ')}`);
const list = (expected: string) =>
  z
    .union([z.array(z.string()), z.string().transform((texts) => texts.split(','))], expected)
    .transform((parts) => parts.map((part) => part.trim()).filter((part) => part !== ''));
/** A text that `parse` turns into one of its own spelling; undefined stands for a text that is not valid. */
const parsed = (parse: (text: string) => string | undefined, expected: string) =>
  text(expected).transform(parse).pipe(z.string(expected));
const host = parsed(parseHost, 'expected a host name or an IP address');
const hostPort = parsed((given) => {
  const address = parseHostPort(given);
  return address && formatHostPort(address);
}, 'expected HOST:PORT');

/** One option of `golog serve`: its flag, its key in the file and, upper-cased, its `GOLOG_` variable. */
export interface ConfigOption {
  readonly schema: z.ZodType;
  readonly value?: string;
  readonly help: string;
  /** The default; an array here is always empty. */
  readonly initial?: string | readonly string[] | boolean;
}

const expectedAdvertised =
  'expected HOST or HOST:PORT at which other nodes reach this node, such as 10.0.0.5 or n1.example.org:8400';
const expectedOrigins = 'expected origins such as https://example.org, or *';
export const expectedGossipKey =
  'expected 16, 24 or 32 bytes in base64, such as the output of: openssl rand -base64 32';
const file = (help: string) => ({ schema: text('expected a path'), value: 'FILE', help }) as const;

/** Every option of `golog serve`, in the order of `--help`. */
export const options = {
  'data-dir': {
    schema: text('expected a path'),
    value: 'DIR',
    help: 'directory for the log and the state of this node',
    initial: './golog-data',
  },
  'node-name': {
    schema: nodeName(),
    value: 'NAME',
    help: 'name of this node, unique in the cluster',
    initial: hostname(),
  },
  'bind-addr': {
    schema: hostPort,
    value: 'HOST:PORT',
    help: 'address for gossip to listen on, over UDP and TCP; port 0 picks a free port',
    initial: '127.0.0.1:8401',
  },
  'rpc-addr': {
    schema: host,
    value: 'HOST',
    help: 'host for gRPC to listen on (default: host of --bind-addr)',
  },
  'rpc-port': { schema: port, value: 'PORT', help: 'port for gRPC; 0 picks a free port', initial: '8400' },
  'http-addr': {
    schema: host,
    value: 'HOST',
    help: 'host for HTTP to listen on',
    initial: '127.0.0.1',
  },
  'http-port': {
    schema: port,
    value: 'PORT',
    help: 'port for HTTP (Connect, gRPC-Web, gRPC and JSON); 0 picks a free port',
    initial: '4001',
  },
  'health-addr': {
    schema: hostPort,
    value: 'HOST:PORT',
    help: 'address for a listener in clear that serves only health: /healthz, /readyz and gRPC health (default: none)',
  },
  'cors-origins': {
    schema: list(expectedOrigins).pipe(z.array(z.string().regex(/^(\*|https?:\/\/[^/\s]+)$/, expectedOrigins))),
    value: 'ORIGINS',
    help: 'origins of web pages that may call the HTTP port, comma-separated, or * for any',
    initial: [],
  },
  'advertise-addr': {
    schema: parsed(parseAdvertised, expectedAdvertised),
    value: 'HOST[:PORT]',
    help: 'address at which other nodes reach this node; the port is its gRPC port (default: where it listens; an address of this machine if that is all addresses)',
  },
  'start-join-addrs': {
    schema: list('expected HOST:PORT, or several separated by commas').pipe(z.array(hostPort)),
    value: 'ADDRS',
    help: 'gossip addresses (HOST:PORT) of nodes to join, comma-separated; retried until one answers',
    initial: [],
  },
  bootstrap: {
    schema: flag,
    help: 'start a cluster of this node alone; with --start-join-addrs only once each of these nodes has said that it is in no cluster, otherwise join theirs; the default without --start-join-addrs and --bootstrap-expect',
    initial: false,
  },
  'bootstrap-expect': {
    schema: wholeNumber('a number of nodes', 0, 99),
    value: 'N',
    help: 'start a cluster once N nodes, including this one, have found each other through gossip and none knows a cluster; if one does, join it',
    initial: '0',
  },
  replica: {
    schema: flag,
    help: 'run as a read replica: find the cluster through gossip, store and serve a copy of its log, and never vote',
    initial: false,
  },
  encrypt: {
    schema: z.string(expectedGossipKey).refine(isGossipKey, expectedGossipKey),
    value: 'KEY',
    help: 'gossip encryption key, 16, 24 or 32 bytes in base64; saved to a keyring in the data directory, which takes precedence from then on; anyone on the machine can read it in the process list: prefer --encrypt-file',
  },
  'encrypt-file': file('file with the gossip encryption key in base64, as for --encrypt'),
  'gossip-profile': {
    schema: oneOf('lan', 'wan', 'local'),
    value: 'NAME',
    help: 'Serf timing profile for gossip: lan, wan or local',
    initial: 'lan',
  },
  'dead-member-timeout': {
    schema: z.union([z.literal('never').transform(() => 0), duration], `${expectedDuration}, or never`),
    value: 'TIME',
    help: 'remove a member that has been unreachable for this long, if a majority of the other voters is healthy; the value never disables removal',
    initial: '72h',
  },
  'leave-on-terminate': {
    schema: flag,
    help: 'leave the cluster on SIGTERM or SIGINT; the node joins again when it is restarted',
    initial: false,
  },
  'tick-interval': {
    schema: duration.pipe(z.number().min(10, 'expected at least 10ms').max(10_000, 'expected at most 10s')),
    value: 'TIME',
    help: 'Raft tick: a leader sends a heartbeat every 3 ticks; a follower starts an election after 10 to 20 ticks without one',
    initial: '100ms',
  },
  'segment-bytes': {
    schema: bytes('4KiB', '1GiB'),
    value: 'SIZE',
    help: 'size at which the log rolls to a new segment',
    initial: '128MiB',
  },
  'retention-bytes': {
    schema: bytes('1B'),
    value: 'SIZE',
    help: 'remove the oldest segments while the log is larger than this (default: no limit)',
  },
  'retention-age': {
    schema: duration,
    value: 'TIME',
    help: 'remove segments whose newest record is older than this by the earliest of several clocks (default: no limit)',
  },
  'batch-bytes-max': {
    schema: bytes('1KiB', '16MiB'),
    value: 'SIZE',
    help: 'largest batch, and therefore the largest record, that a client may append',
    initial: '1MiB',
  },
  'calls-per-client-max': {
    schema: wholeNumber('a number of calls', 1),
    value: 'N',
    help: 'calls and streams in flight per client: per certificate name, or per address without client certificates',
    initial: '1024',
  },
  'disk-reserve-bytes': {
    schema: bytes('0B'),
    value: 'SIZE',
    help: 'refuse appends while less than this is free on the disk; below 32MiB, a burst of appends may still fill it',
    initial: '64MiB',
  },
  'scrub-bytes-per-second': {
    schema: bytes('1KiB', '1GiB'),
    value: 'SIZE',
    help: 'read sealed segments through at this rate, again and again, to find damage (default: each segment once a week, at 4MiB at most)',
  },
  'log-level': {
    schema: oneOf('debug', 'info', 'warn', 'error', 'silent'),
    value: 'LEVEL',
    help: 'lowest level to log: debug, info, warn, error or silent',
    initial: 'info',
  },
  'server-tls-cert-file': file('certificate of the gRPC and HTTP servers, which then accept TLS 1.3 only'),
  'server-tls-key-file': file('private key of --server-tls-cert-file'),
  'server-tls-ca-file': file('CA that signs client and peer certificates; connections without one are then refused'),
  'peer-tls-cert-file': file('certificate that this node presents to its peers (default: the server certificate)'),
  'peer-tls-key-file': file('private key of --peer-tls-cert-file'),
  'peer-tls-ca-file': file('CA that signs the server certificates of peers (default: --server-tls-ca-file)'),
  'require-node-identity': {
    schema: flag,
    help: 'refuse peers whose certificate does not name a node',
    initial: false,
  },
  'allowed-node-names': {
    schema: list('expected a node name, or several separated by commas').pipe(z.array(nodeName())),
    value: 'NAMES',
    help: 'node names that peers may use, comma-separated (default: any name in their certificates)',
    initial: [],
  },
  'acl-model-file': file('Casbin model'),
  'acl-policy-file': file('Casbin policy: who may produce, consume, observe and administer; reloaded when it changes'),
  insecure: {
    schema: flag,
    help: 'allow non-loopback addresses without mutual TLS and gossip encryption',
    initial: false,
  },
} as const satisfies Record<string, ConfigOption>;

type Options = typeof options;
type Resolved<O extends ConfigOption> = O extends { initial: unknown }
  ? z.output<O['schema']>
  : z.output<O['schema']> | undefined;
/** The resolved configuration of a node. */
export type Config = { readonly [Name in keyof Options]: Resolved<Options[Name]> };

export const Config = Symbol('Config');

const optionNames = Object.keys(options) as (keyof Options)[];

export function environmentName(name: string): string {
  return `GOLOG_${name.replaceAll('-', '_').toUpperCase()}`;
}

/**
 * Resolves the configuration of a node. Precedence: flag, environment variable, file, default.
 *
 * @param flags the flags that were given, by option name
 * @throws ConfigError naming the option, its source and what was expected
 */
export function resolveConfig(
  flags: ReadonlyMap<string, unknown>,
  environment: NodeJS.ProcessEnv,
  configFile: string | undefined,
): Config {
  const file = configFile === undefined ? undefined : readConfigFile(configFile);
  for (const [key, value] of file ?? []) {
    if (!(optionNames as string[]).includes(key)) {
      throw new ConfigError(
        `--config-file ${configFile}: unknown key ${JSON.stringify(key)}${didYouMean(key, optionNames)}`,
      );
    }
    if (value === undefined) {
      throw new ConfigError(
        `invalid ${key} in ${configFile}: expected a value, or a list of values; remove the line for the default`,
      );
    }
  }
  const knownVariables = ['GOLOG_CONFIG_FILE', ...optionNames.map(environmentName), ...clientVariables];
  const variables = Object.entries(environment).filter(([name, value]) => !isOfService(name, value));
  const given = new Map(variables);
  for (const variable of given.keys()) {
    if (variable.startsWith('GOLOG_') && !knownVariables.includes(variable)) {
      throw new ConfigError(`unknown environment variable ${variable}${didYouMean(variable, knownVariables)}`);
    }
  }

  const resolve = (name: keyof Options): unknown => {
    const option: ConfigOption = options[name];
    const variable = environmentName(name);
    const [raw, what, where] = flags.has(name)
      ? [flags.get(name), `--${name}`, '']
      : given.get(variable) !== undefined
        ? [given.get(variable), variable, '']
        : file?.has(name) === true
          ? [file.get(name), name, ` in ${configFile}`]
          : [option.initial, `--${name}`, ' by default'];
    if (raw === undefined) return undefined;
    const text = textOf(raw);
    const result = option.schema.safeParse(text);
    if (result.success) return result.data;
    const shown = name.startsWith('encrypt') ? '' : ` ${JSON.stringify(text)}`;
    throw new ConfigError(`invalid ${what}${shown}${where}: ${result.error.issues[0]?.message}`);
  };
  const config = Object.fromEntries(optionNames.map((name) => [name, resolve(name)])) as Config;
  assertOptionsComplete(config);
  assertSafeToListen(config);
  assertBootstrapOptions(config);
  return config;
}

/** The HOST:PORT at which other nodes reach the gRPC of this node, which listens on `port`. */
export function advertisedAddr(config: Config, port: number): string {
  const given = config['advertise-addr'];
  if (given !== undefined && parseHostPort(given) !== undefined) return given;
  return formatHostPort({ host: given ?? reachableHost(config, rpcHost(config)), port });
}

/** The HOST:PORT at which others reach the HTTP of this node, which listens on `port`. */
export function advertisedHttpAddr(config: Config, port: number): string {
  const host = config['http-addr'];
  const advertised = (): string => parseHostPort(advertisedAddr(config, 0))?.host ?? host;
  return formatHostPort({ host: isUnspecified(host) ? advertised() : host, port });
}

/** Returns `host`, or, if that stands for all addresses of this machine, one at which others can reach it. */
function reachableHost(config: Config, host: string): string {
  if (!isUnspecified(host)) return host;
  const concrete = [rpcHost(config), gossipHost(config)].find((other) => !isUnspecified(other));
  return concrete ?? reachableIp(host);
}

/** Whether the advertised address is one that was chosen, since none was given and the node listens on all. */
export function isAdvertisedChosen(config: Config): boolean {
  return (
    config['advertise-addr'] === undefined && [rpcHost(config), gossipHost(config)].every((host) => isUnspecified(host))
  );
}

/** The retention limits of the log. */
export function retentionOf(config: Config): Retention {
  const { 'retention-bytes': bytesMax, 'retention-age': ageMsMax } = config;
  return { ...(bytesMax !== undefined && { bytesMax }), ...(ageMsMax !== undefined && { ageMsMax }) };
}

/** The host that gRPC listens on. */
export function rpcHost(config: Config): string {
  return config['rpc-addr'] ?? gossipHost(config);
}

function gossipHost(config: Config): string {
  return parseHostPort(config['bind-addr'])!.host;
}

/** Whether gossip listens on an address that other machines can reach. */
export function gossipsBeyondLoopback(config: Config): boolean {
  return !isLoopback(gossipHost(config));
}

/** The HOST:PORT at which the gossip of other nodes reaches this node; port 0 stands for the port it listens on. */
export function advertisedGossipAddr(config: Config): string | undefined {
  const given = config['advertise-addr'];
  const bound = gossipHost(config);
  if (given === undefined && !isUnspecified(bound)) return undefined;
  const host = given === undefined ? reachableHost(config, bound) : (parseHostPort(given)?.host ?? given);
  return formatHostPort({ host, port: 0 });
}

/** Refuses an option that does nothing, or means something else, without another one. */
function assertOptionsComplete(config: Config): void {
  for (const [option, other] of [
    ['server-tls-cert-file', 'server-tls-key-file'],
    ['server-tls-key-file', 'server-tls-cert-file'],
    ['server-tls-ca-file', 'server-tls-cert-file'],
    ['peer-tls-cert-file', 'peer-tls-key-file'],
    ['peer-tls-key-file', 'peer-tls-cert-file'],
    ['acl-model-file', 'acl-policy-file'],
    ['acl-policy-file', 'acl-model-file'],
  ] as const)
    if (config[option] !== undefined && config[other] === undefined)
      throw new ConfigError(`--${option} needs --${other} as well`);
  if (config.encrypt !== undefined && config['encrypt-file'] !== undefined)
    throw new ConfigError('--encrypt and --encrypt-file both give the gossip key: give only one of them');
  if (config['peer-tls-ca-file'] !== undefined && peerTlsFiles(config) === undefined)
    throw new ConfigError('--peer-tls-ca-file needs --peer-tls-cert-file as well');
  for (const option of ['require-node-identity', 'allowed-node-names'] as const) {
    const isGiven = config[option] === true || (Array.isArray(config[option]) && config[option].length > 0);
    if (isGiven && config['server-tls-ca-file'] === undefined)
      throw new ConfigError(`--${option} needs --server-tls-ca-file as well`);
  }
}

/** The files of one side of TLS. */
export interface TlsFiles {
  readonly certificate: string;
  readonly key: string;
  readonly authority?: string;
}

function tlsFiles(
  certificate: string | undefined,
  key: string | undefined,
  authority: string | undefined,
): TlsFiles | undefined {
  if (certificate === undefined || key === undefined) return undefined;
  return { certificate, key, ...(authority !== undefined && { authority }) };
}

/** The TLS files of the listeners; undefined without TLS. */
export function serverTlsFiles(config: Config): TlsFiles | undefined {
  return tlsFiles(config['server-tls-cert-file'], config['server-tls-key-file'], config['server-tls-ca-file']);
}

/** The TLS files for connections to peers; by default those of the listeners, since a node certificate is for both. */
export function peerTlsFiles(config: Config): TlsFiles | undefined {
  const own = config['peer-tls-cert-file'] === undefined ? 'server' : 'peer';
  const authority = config['peer-tls-ca-file'] ?? config['server-tls-ca-file'];
  return tlsFiles(config[`${own}-tls-cert-file`], config[`${own}-tls-key-file`], authority);
}

function assertSafeToListen(config: Config): void {
  if (config.insecure || config['server-tls-ca-file'] !== undefined) return;
  const lack =
    serverTlsFiles(config) === undefined
      ? 'TLS is not configured'
      : 'without --server-tls-ca-file clients are not authenticated';
  for (const [option, host] of [
    ['--rpc-addr', rpcHost(config)],
    ['--http-addr', config['http-addr']],
  ] as const) {
    if (!isLoopback(host)) {
      throw new ConfigError(
        `${option} ${host} is not a loopback address and ${lack}: anyone who can reach it could read and write the log. Configure mutual TLS (golog certs init makes certificates), or give --insecure to allow this`,
      );
    }
  }
}

function assertBootstrapOptions(config: Config): void {
  const expect = config['bootstrap-expect'];
  if (expect > 0 && config.bootstrap)
    throw new ConfigError(
      '--bootstrap starts a cluster of this node alone and excludes --bootstrap-expect: give only one of them',
    );
  if (config.replica && (expect > 0 || config.bootstrap))
    throw new ConfigError(
      'a --replica is not a member of a cluster: remove --replica, or remove --bootstrap and --bootstrap-expect',
    );
  if (expect > 1 && config['start-join-addrs'].length === 0)
    throw new ConfigError(
      `--bootstrap-expect ${expect} needs --start-join-addrs: give the gossip addresses of the other nodes`,
    );
}

/** Converts to text, the form that all sources share: a bare flag is a boolean, a JavaScript value may be a number. */
function textOf(raw: unknown): unknown {
  return typeof raw === 'number' || typeof raw === 'boolean' ? String(raw) : raw;
}

function nodeName() {
  const expected = 'expected 1 to 128 letters, digits, dots, dashes or underscores, starting with a letter or digit';
  return z.string(expected).regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/, expected);
}

/** Parses HOST or HOST:PORT; undefined for one at which nobody can reach a node. */
function parseAdvertised(given: string): string | undefined {
  const address = parseHostPort(given);
  const host = address?.host ?? parseHost(given);
  if (host === undefined || isUnspecified(host)) return undefined;
  return address === undefined ? host : formatHostPort(address);
}

export function isGossipKey(text: string): boolean {
  const bytes = Buffer.from(text, 'base64');
  return [16, 24, 32].includes(bytes.length) && bytes.toString('base64') === text;
}
