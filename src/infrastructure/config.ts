import { hostname } from 'node:os';
import * as z from 'zod';
import type { Retention } from '../domain/log/retention.js';
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
  z.union(
    [z.array(z.string()), z.string().transform((texts) => texts.split(',').filter((part) => part !== ''))],
    expected,
  );
const hostPort = text('expected HOST:PORT').refine(hasPort, 'expected HOST:PORT');

/** One option of `golog serve`: its flag, its key in the file and, upper-cased, its `GOLOG_` variable. */
export interface ConfigOption {
  readonly schema: z.ZodType;
  readonly value?: string;
  readonly help: string;
  /** The value when nothing is said; an array is an empty one. */
  readonly initial?: string | readonly string[] | boolean;
}

const expectedOrigins = 'expected origins such as https://example.org, or *';
const expectedGossipKey = 'expected 16, 24 or 32 bytes in base64, such as of: openssl rand -base64 32';
const file = (help: string) => ({ schema: text('expected a path'), value: 'FILE', help }) as const;

/** Every option of `golog serve`, in the order of `--help`. */
export const options = {
  'data-dir': {
    schema: text('expected a path'),
    value: 'DIR',
    help: 'where the log is kept',
    initial: './golog-data',
  },
  'node-name': { schema: nodeName(), value: 'NAME', help: 'unique in the cluster', initial: hostname() },
  'bind-addr': {
    schema: hostPort,
    value: 'HOST:PORT',
    help: 'gossip listens here, over UDP and TCP; port 0 takes a free one',
    initial: '127.0.0.1:8401',
  },
  'rpc-addr': {
    schema: text('expected a host'),
    value: 'HOST',
    help: 'gRPC listens here (default: host of --bind-addr)',
  },
  'rpc-port': { schema: port, value: 'PORT', help: 'gRPC port; 0 takes a free one', initial: '8400' },
  'http-addr': { schema: text('expected a host'), value: 'HOST', help: 'HTTP listens here', initial: '127.0.0.1' },
  'http-port': {
    schema: port,
    value: 'PORT',
    help: 'port of Connect, gRPC-Web, gRPC and JSON; 0 takes a free one',
    initial: '4001',
  },
  'cors-origins': {
    schema: list(expectedOrigins).pipe(z.array(z.string().regex(/^(\*|https?:\/\/[^/\s]+)$/, expectedOrigins))),
    value: 'ORIGINS',
    help: 'browser origins that may call, comma-separated, or *',
    initial: [],
  },
  'advertise-addr': {
    schema: text('expected HOST or HOST:PORT').refine(isHostAndMaybePort, 'expected HOST or HOST:PORT'),
    value: 'HOST[:PORT]',
    help: 'where the other nodes reach this one; the port is that of gRPC (default: where it listens)',
  },
  'start-join-addrs': {
    schema: list('expected HOST:PORT, or several with commas between them').pipe(z.array(hostPort)),
    value: 'ADDRS',
    help: 'gossip addresses HOST:PORT of nodes to join, comma-separated; asked until one answers',
    initial: [],
  },
  bootstrap: {
    schema: flag,
    help: 'begin a cluster of one, unless --start-join-addrs lead to one; what a node with nothing to join does anyway',
    initial: false,
  },
  'bootstrap-expect': {
    schema: wholeNumber('a number of nodes', 0, 99),
    value: 'N',
    help: 'begin a cluster when N nodes that are in none, this one among them, know each other by gossip',
    initial: '0',
  },
  replica: {
    schema: flag,
    help: 'keep and serve a copy of the log, and be no member: found by gossip',
    initial: false,
  },
  encrypt: {
    schema: z.string(expectedGossipKey).refine(isGossipKey, expectedGossipKey),
    value: 'KEY',
    help: 'encrypts the gossip; kept in the data directory from then on, where keys are rotated',
  },
  'gossip-profile': {
    schema: oneOf('lan', 'wan', 'local'),
    value: 'NAME',
    help: "Serf's timing of gossip: lan, wan or local",
    initial: 'lan',
  },
  'dead-member-timeout': {
    schema: z.union([z.literal('never').transform(() => 0), duration], `${expectedDuration}, or never`),
    value: 'TIME',
    help: 'take out a member that is silent for so long while the others are well, or never',
    initial: '72h',
  },
  'leave-on-terminate': {
    schema: flag,
    help: 'when told to stop, leave the cluster: it goes on with one member less until this node is started again',
    initial: false,
  },
  'tick-interval': {
    schema: duration.pipe(z.number().min(10, 'expected at least 10ms').max(10_000, 'expected at most 10s')),
    value: 'TIME',
    help: 'half of the time between heartbeats; a leader that is silent for 10 to 20 of these is replaced',
    initial: '100ms',
  },
  'segment-bytes': {
    schema: bytes('4KiB', '1GiB'),
    value: 'SIZE',
    help: 'a segment rolls at this size',
    initial: '128MiB',
  },
  'retention-bytes': { schema: bytes('1B'), value: 'SIZE', help: 'drop whole old segments beyond this size' },
  'retention-age': { schema: duration, value: 'TIME', help: 'drop whole segments older than this (30m, 12h, 7d)' },
  'batch-bytes-max': {
    schema: bytes('1KiB', '16MiB'),
    value: 'SIZE',
    help: 'largest batch, and so largest record',
    initial: '1MiB',
  },
  'calls-per-client-max': {
    schema: wholeNumber('a number of calls', 1),
    value: 'N',
    help: 'calls and streams that one certificate name, or one address without certificates, may have under way',
    initial: '1024',
  },
  'disk-reserve-bytes': {
    schema: bytes('0B'),
    value: 'SIZE',
    help: 'refuse appends while less than this is free on the disk; below 32MiB, bursts may still meet a full disk',
    initial: '64MiB',
  },
  'log-level': {
    schema: oneOf('debug', 'info', 'warn', 'error', 'silent'),
    value: 'LEVEL',
    help: 'debug, info, warn, error or silent',
    initial: 'info',
  },
  'server-tls-cert-file': file('certificate of both listeners; with it they speak TLS 1.3 only'),
  'server-tls-key-file': file('its key'),
  'server-tls-ca-file': file('CA of clients and peers; with it nobody gets in without a certificate of it'),
  'peer-tls-cert-file': file("certificate shown to peers (default: the server's)"),
  'peer-tls-key-file': file('its key'),
  'peer-tls-ca-file': file("CA of the peers' servers (default: the server's)"),
  'require-node-identity': {
    schema: flag,
    help: 'take no certificate among peers that names no node',
    initial: false,
  },
  'allowed-node-names': {
    schema: list('expected a node name, or several with commas between them').pipe(z.array(nodeName())),
    value: 'NAMES',
    help: 'names that peers may go by, comma-separated (default: any that their certificates have)',
    initial: [],
  },
  'acl-model-file': file("Casbin's model"),
  'acl-policy-file': file("Casbin's policy: who may produce, consume, observe, admin; read again when it changes"),
  insecure: { schema: flag, help: 'allow listening beyond loopback without TLS', initial: false },
} as const satisfies Record<string, ConfigOption>;

type Options = typeof options;
type Resolved<O extends ConfigOption> = O extends { initial: unknown }
  ? z.output<O['schema']>
  : z.output<O['schema']> | undefined;
/** The resolved configuration of a node. */
export type Config = { readonly [Name in keyof Options]: Resolved<Options[Name]> };

export const Config = Symbol('Config');

/** What Kubernetes sets in every pod beside a Service named golog. */
const ofService = /^GOLOG_(SERVICE_(HOST|PORT)|PORT)(_|$)/;

const optionNames = Object.keys(options) as (keyof Options)[];

export function environmentName(name: string): string {
  return `GOLOG_${name.replaceAll('-', '_').toUpperCase()}`;
}

/**
 * The configuration of a node. Precedence: flag, then environment, then file, then default.
 *
 * @param flags by option name, only those given
 * @throws ConfigError naming the option, where it came from and what was expected
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
  const knownVariables = ['GOLOG_CONFIG_FILE', ...optionNames.map(environmentName)];
  for (const variable of Object.keys(environment)) {
    if (variable.startsWith('GOLOG_') && !knownVariables.includes(variable) && !ofService.test(variable)) {
      throw new ConfigError(`unknown environment variable ${variable}${didYouMean(variable, knownVariables)}`);
    }
  }

  const resolve = (name: keyof Options): unknown => {
    const option: ConfigOption = options[name];
    const variable = environmentName(name);
    const [raw, what, where] = flags.has(name)
      ? [flags.get(name), `--${name}`, '']
      : environment[variable] !== undefined
        ? [environment[variable], variable, '']
        : file?.has(name) === true
          ? [file.get(name), name, ` in ${configFile}`]
          : [option.initial, `--${name}`, ' by default'];
    if (raw === undefined) return undefined;
    const given = textOf(raw);
    const parsed = option.schema.safeParse(given);
    if (parsed.success) return parsed.data;
    const shown = name === 'encrypt' ? '' : ` ${JSON.stringify(given)}`;
    throw new ConfigError(`invalid ${what}${shown}${where}: ${parsed.error.issues[0]?.message}`);
  };
  const config = Object.fromEntries(optionNames.map((name) => [name, resolve(name)])) as Config;
  assertWhole(config);
  assertSafeToListen(config);
  assertCanBegin(config);
  return config;
}

/** Where the other nodes reach the gRPC of this one, which listens on `port`. */
export function advertisedAddr(config: Config, port: number): string {
  const given = config['advertise-addr'];
  if (given !== undefined && hasPort(given)) return given;
  const host = given ?? rpcHost(config);
  return host.includes(':') && !host.startsWith('[') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** What is to be kept of the log. */
export function retentionOf(config: Config): Retention {
  const { 'retention-bytes': bytesMax, 'retention-age': ageMsMax } = config;
  return { ...(bytesMax !== undefined && { bytesMax }), ...(ageMsMax !== undefined && { ageMsMax }) };
}

/** Where gRPC listens. */
export function rpcHost(config: Config): string {
  return config['rpc-addr'] ?? hostOfAddress(config['bind-addr']);
}

/** Whether something is asked to listen where others than this machine can reach it, by gossip. */
export function gossipsBeyondLoopback(config: Config): boolean {
  return !isLoopback(hostOfAddress(config['bind-addr']));
}

/** HOST:PORT where the gossip of the other nodes reaches this one; port 0: that where it listens. */
export function advertisedGossipAddr(config: Config): string | undefined {
  const given = config['advertise-addr'];
  if (given === undefined) return undefined;
  const host = hasPort(given) ? hostOfAddress(given) : given;
  return host.includes(':') && !host.startsWith('[') ? `[${host}]:0` : `${host}:0`;
}

/** What is of no use, or means something else, without the other. */
function assertWhole(config: Config): void {
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
  if (config['peer-tls-ca-file'] !== undefined && peerTlsFiles(config) === undefined)
    throw new ConfigError('--peer-tls-ca-file needs --peer-tls-cert-file as well');
  for (const option of ['require-node-identity', 'allowed-node-names'] as const) {
    const isGiven = config[option] === true || (Array.isArray(config[option]) && config[option].length > 0);
    if (isGiven && config['server-tls-ca-file'] === undefined)
      throw new ConfigError(`--${option} needs --server-tls-ca-file as well`);
  }
}

/** Files of one side of TLS. */
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

/** Of the listeners; undefined where they are in clear. */
export function serverTlsFiles(config: Config): TlsFiles | undefined {
  return tlsFiles(config['server-tls-cert-file'], config['server-tls-key-file'], config['server-tls-ca-file']);
}

/** Of connections to peers: a node's certificate is good for both sides. */
export function peerTlsFiles(config: Config): TlsFiles | undefined {
  const own = config['peer-tls-cert-file'] === undefined ? 'server' : 'peer';
  const authority = config['peer-tls-ca-file'] ?? config['server-tls-ca-file'];
  return tlsFiles(config[`${own}-tls-cert-file`], config[`${own}-tls-key-file`], authority);
}

function assertSafeToListen(config: Config): void {
  if (config.insecure || config['server-tls-ca-file'] !== undefined) return;
  const lack =
    serverTlsFiles(config) === undefined
      ? 'there is no TLS'
      : 'without --server-tls-ca-file no client is asked who it is';
  for (const [option, host] of [
    ['--rpc-addr', rpcHost(config)],
    ['--http-addr', config['http-addr']],
  ] as const) {
    if (!isLoopback(host)) {
      throw new ConfigError(
        `${option} ${host} is beyond loopback and ${lack}: anyone who reaches it could read and write the log. Give --insecure if that is meant`,
      );
    }
  }
}

function assertCanBegin(config: Config): void {
  const expect = config['bootstrap-expect'];
  if (expect > 0 && config.bootstrap)
    throw new ConfigError('--bootstrap begins a cluster of this node alone: leave out it or --bootstrap-expect');
  if (config.replica && (expect > 0 || config.bootstrap))
    throw new ConfigError('--replica is no member of a cluster: leave out it, or --bootstrap and --bootstrap-expect');
  if (expect > 1 && config['start-join-addrs'].length === 0)
    throw new ConfigError(`--bootstrap-expect ${expect}: say with --start-join-addrs where the other nodes are`);
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

/** The one form that every source has: a flag of a command is a boolean, a port from JavaScript may be a number. */
function textOf(raw: unknown): unknown {
  return typeof raw === 'number' || typeof raw === 'boolean' ? String(raw) : raw;
}

function didYouMean(name: string, known: readonly string[]): string {
  const [nearest] = known
    .map((other) => ({ other, distance: editDistance(name, other) }))
    .sort((a, b) => a.distance - b.distance);
  return nearest !== undefined && nearest.distance <= 4 ? `; did you mean ${nearest.other}?` : '';
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= b.length; column += 1) {
      const substitution = previous[column - 1] + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min(substitution, previous[column] + 1, current[column - 1] + 1));
    }
    previous = current;
  }
  return previous[b.length];
}

function nodeName() {
  const expected = 'expected 1 to 128 of letters, digits, dot, dash, underscore; first a letter or digit';
  return z.string(expected).regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/, expected);
}

const hostPortPattern = /^(?:\[[^\]]+\]|[^:\s/,]+):(\d{1,5})$/;

function hasPort(address: string): boolean {
  const [, port] = hostPortPattern.exec(address) ?? [];
  return port !== undefined && Number(port) <= 65_535;
}

function isHostAndMaybePort(address: string): boolean {
  return /^[^\s/,]+$/.test(address) && (hasPort(address) || !hostPortPattern.test(address));
}

function isGossipKey(text: string): boolean {
  const bytes = Buffer.from(text, 'base64');
  return [16, 24, 32].includes(bytes.length) && bytes.toString('base64') === text;
}

function hostOfAddress(address: string): string {
  const host = /^(?:\[([^\]]+)\]|([^:]+)):\d{1,5}$/.exec(address);
  if (host === null) throw new ConfigError('expected HOST:PORT');
  return host[1] ?? host[2];
}
