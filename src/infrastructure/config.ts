import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { LineCounter, parseDocument } from 'yaml';
import * as z from 'zod';
import type { Retention } from '../domain/log/retention.js';

/** Something the operator said that golog cannot act on; the message names it and what was expected. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

const expectedPort = 'expected a port number, 0 to 65535';
const port = z
  .union([z.number(), z.string().regex(/^\d+$/, expectedPort).transform(Number)], expectedPort)
  .pipe(z.number().int().min(0).max(65_535, expectedPort));
const bytes = (min: number) => z.union([z.number(), z.string().transform(parseBytes)]).pipe(z.number().int().min(min));
const duration = z.union([z.number(), z.string().transform(parseDurationMs)]).pipe(z.number().int().min(1));
const flag = z.union([z.boolean(), z.stringbool()]);
const list = z.union([
  z.array(z.string()),
  z.string().transform((text) => text.split(',').filter((part) => part !== '')),
]);

/** One option of `golog serve`: its flag, its key in the file and, upper-cased, its `GOLOG_` variable. */
export interface ConfigOption {
  readonly schema: z.ZodType;
  readonly value?: string;
  readonly help: string;
  /** The value when nothing is said; an array is an empty one. */
  readonly initial?: string | number | boolean | readonly string[];
}

const file = (help: string) => ({ schema: z.string().min(1, 'expected a path'), value: 'FILE', help }) as const;

const mebibyte = 1024 * 1024;
const gibibyte = 1024 * mebibyte;

/** Every option of `golog serve`, in the order of `--help`. */
export const options = {
  'data-dir': {
    schema: z.string().min(1, 'expected a path'),
    value: 'DIR',
    help: 'where the log is kept',
    initial: './golog-data',
  },
  'node-name': { schema: nodeName(), value: 'NAME', help: 'unique in the cluster', initial: hostname() },
  'bind-addr': {
    schema: z.string().transform(assertHostPort),
    value: 'HOST:PORT',
    help: 'gossip listens here, over UDP and TCP; port 0 takes a free one',
    initial: '127.0.0.1:8401',
  },
  'rpc-addr': { schema: z.string().min(1), value: 'HOST', help: 'gRPC listens here (default: host of --bind-addr)' },
  'rpc-port': { schema: port, value: 'PORT', help: 'gRPC port; 0 takes a free one', initial: 8400 },
  'http-addr': { schema: z.string().min(1), value: 'HOST', help: 'HTTP listens here', initial: '127.0.0.1' },
  'http-port': {
    schema: port,
    value: 'PORT',
    help: 'port of Connect, gRPC-Web, gRPC and JSON; 0 takes a free one',
    initial: 4001,
  },
  'cors-origins': {
    schema: list.pipe(
      z.array(z.string().regex(/^(\*|https?:\/\/[^/\s]+)$/, 'expected origins such as https://example.org, or *')),
    ),
    value: 'ORIGINS',
    help: 'browser origins that may call, comma-separated, or *',
    initial: [],
  },
  'advertise-addr': {
    schema: z.string().transform(assertHostAndPort),
    value: 'HOST[:PORT]',
    help: 'where the other nodes reach this one; the port is that of gRPC (default: where it listens)',
  },
  'start-join-addrs': {
    schema: list.pipe(z.array(z.string().transform(assertHostPort))),
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
    schema: z
      .union([z.number(), z.string().regex(/^\d+$/, 'expected a number of nodes').transform(Number)])
      .pipe(z.number().int().min(0).max(99)),
    value: 'N',
    help: 'begin a cluster when N nodes that are in none, this one among them, know each other by gossip',
    initial: 0,
  },
  replica: {
    schema: flag,
    help: 'keep and serve a copy of the log, and be no member: found by gossip',
    initial: false,
  },
  encrypt: {
    schema: z
      .string()
      .refine(isGossipKey, 'expected 16, 24 or 32 bytes in base64, such as of: openssl rand -base64 32'),
    value: 'KEY',
    help: 'encrypts the gossip; kept in the data directory from then on, where keys are rotated',
  },
  'gossip-profile': {
    schema: z.enum(['lan', 'wan', 'local']),
    value: 'NAME',
    help: "Serf's timing of gossip: lan, wan or local",
    initial: 'lan',
  },
  'dead-member-timeout': {
    schema: z.union([z.literal('never').transform(() => 0), duration]),
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
    schema: bytes(4096).pipe(z.number().max(gibibyte, 'expected at most 1GiB')),
    value: 'BYTES',
    help: 'a segment rolls at this size',
    initial: 128 * mebibyte,
  },
  'retention-bytes': { schema: bytes(1), value: 'BYTES', help: 'drop whole old segments beyond this size' },
  'retention-age': { schema: duration, value: 'TIME', help: 'drop whole segments older than this (30m, 12h, 7d)' },
  'batch-bytes-max': {
    schema: bytes(1024).pipe(z.number().max(16 * mebibyte)),
    value: 'BYTES',
    help: 'largest batch, and so largest record',
    initial: mebibyte,
  },
  'calls-per-client-max': {
    schema: z
      .union([z.number(), z.string().regex(/^\d+$/, 'expected a number of calls').transform(Number)])
      .pipe(z.number().int().min(1)),
    value: 'N',
    help: 'calls and streams that one certificate name, or one address without certificates, may have under way',
    initial: 1024,
  },
  'disk-reserve-bytes': {
    schema: bytes(0),
    value: 'BYTES',
    help: 'refuse appends while less than this is free on the disk; below 32MiB, bursts may still meet a full disk',
    initial: 64 * mebibyte,
  },
  'log-level': {
    schema: z.enum(['debug', 'info', 'warn', 'error', 'silent']),
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
  const file = configFile === undefined ? new Map<string, unknown>() : readConfigFile(configFile);
  const knownVariables = ['GOLOG_CONFIG_FILE', ...optionNames.map(environmentName)];
  for (const variable of Object.keys(environment)) {
    if (variable.startsWith('GOLOG_') && !knownVariables.includes(variable) && !ofService.test(variable)) {
      throw new ConfigError(`unknown environment variable ${variable}${didYouMean(variable, knownVariables)}`);
    }
  }

  const resolve = (name: keyof Options): unknown => {
    const option: ConfigOption = options[name];
    const variable = environmentName(name);
    const [raw, source] = flags.has(name)
      ? [flags.get(name), `--${name}`]
      : environment[variable] !== undefined
        ? [environment[variable], variable]
        : file.has(name)
          ? [file.get(name), `${name} in ${configFile}`]
          : [option.initial, `the default of --${name}`];
    if (raw === undefined) return undefined;
    try {
      return option.schema.parse(raw);
    } catch (error) {
      if (error instanceof z.ZodError) {
        throw new ConfigError(`${source}: ${error.issues[0]?.message ?? 'invalid'} (got ${JSON.stringify(raw)})`);
      }
      if (error instanceof ConfigError) throw new ConfigError(`${source}: ${error.message}`);
      throw error;
    }
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
  if (config['require-node-identity'] && config['server-tls-ca-file'] === undefined)
    throw new ConfigError('--require-node-identity needs --server-tls-ca-file as well');
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

function readConfigFile(path: string): Map<string, unknown> {
  let document: unknown;
  try {
    document = parseStrictYaml(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new ConfigError(`--config-file ${path}: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
  if (document === null || document === undefined) return new Map();
  if (typeof document !== 'object' || Array.isArray(document)) {
    throw new ConfigError(`--config-file ${path}: expected "name: value" lines`);
  }
  const entries = new Map(Object.entries(document));
  for (const key of entries.keys()) {
    if (!(optionNames as string[]).includes(key)) {
      throw new ConfigError(`--config-file ${path}: unknown key ${JSON.stringify(key)}${didYouMean(key, optionNames)}`);
    }
  }
  return entries;
}

/** A warning of the parser, such as of a tag that it does not know, is an error here: it would read something else. */
function parseStrictYaml(text: string): unknown {
  // What it takes to see that keys are unique grows with their square.
  if (text.length > configCharsMax) throw new ConfigError(`it has more than ${configCharsMax} characters`);
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter, prettyErrors: false, logLevel: 'error' });
  const [problem] = [...document.errors, ...document.warnings];
  if (problem === undefined) return document.toJS();
  const { line, col } = lineCounter.linePos(problem.pos[0]);
  throw new ConfigError(`${problem.message} at line ${line}, column ${col}`);
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
  return z
    .string()
    .regex(
      /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/,
      'expected 1 to 128 of letters, digits, dot, dash, underscore; first a letter or digit',
    );
}

const configCharsMax = 64 * 1024;

const hostPortPattern = /^(?:\[[^\]]+\]|[^:]+):\d{1,5}$/;

function hasPort(address: string): boolean {
  return hostPortPattern.test(address);
}

function assertHostPort(address: string): string {
  if (!hasPort(address)) throw new ConfigError(`expected HOST:PORT, not ${JSON.stringify(address)}`);
  return address;
}

function assertHostAndPort(address: string): string {
  if (address === '' || /[\s/,]/.test(address)) throw new ConfigError('expected HOST or HOST:PORT');
  return address;
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

function parseUnits(text: string, units: Readonly<Record<string, number>>, expected: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([A-Za-z]*)$/.exec(text.trim());
  const unit = units[match?.[2]?.toLowerCase() ?? '?'];
  if (match === null || unit === undefined) throw new ConfigError(`expected ${expected}, not ${JSON.stringify(text)}`);
  return Math.floor(Number(match[1]) * unit);
}

function parseBytes(text: string): number {
  const units = {
    '': 1,
    b: 1,
    kib: 2 ** 10,
    mib: 2 ** 20,
    gib: 2 ** 30,
    tib: 2 ** 40,
    kb: 1e3,
    mb: 1e6,
    gb: 1e9,
    tb: 1e12,
  };
  return parseUnits(text, units, 'a size such as 1048576, 64MiB or 10GB');
}

function parseDurationMs(text: string): number {
  const units = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
  return parseUnits(text, units, 'a time such as 500ms, 30m, 12h or 7d');
}
