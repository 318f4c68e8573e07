import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ConfigError, type ConfigOption, environmentName, options, resolveConfig } from './config.js';

interface Kind {
  /** Texts and their values, chosen within the bounds of every option of the kind. */
  readonly good: Readonly<Record<string, unknown>>;
  readonly bad: readonly string[];
  readonly expected: RegExp;
}

const numbersWithoutUnit = ['0', '30', '72', '1048576', '1e3', '1e9', '0x10', '0o17', '.5', '1.5', '1_000', '-1'];
const notBareBytes = ['1e3', '1e9', '0x10', '0o17', '.5', '1.5', '1_000', '-1', '1 000'];
const notNumbers = ['', ' ', 'true', 'false', 'null', '~', 'x', '2026-01-31', '2026-01-31T09:30:00Z', '.inf', '.nan'];
const malformed = ['-1s', '+1s', '1 000ms', '1,5h', '1e3s', '0x10s', '.5s', '5.s', '1_000ms', '1s 1s', 's', '1  s'];
const wrongBytes = ['-1KiB', '+1KiB', '1 000B', '1e3B', '0x10B', '.5MiB', '1_000KiB', 'MiB', '1MiBs', '30s', '0.1B'];
const notWhole = ['', ' ', '-1', '+1', '1.5', '1.0', '1e3', '0x10', '0o17', '.5', '1_000', '1 000', '30s', '1KiB'];

/** How options are written, by the placeholder in their help; `flag` has no value. */
const kinds: Readonly<Record<string, Kind>> = {
  TIME: {
    good: { '50ms': 50, '1s': 1_000, '0.5s': 500, '2.3s': 2_300, '1 s': 1_000, '0.1m': 6_000 },
    bad: [
      ...numbersWithoutUnit,
      ...notNumbers,
      ...malformed,
      '0ms',
      '0s',
      '0.1ms',
      '1M',
      '7 fortnights',
      `${2 ** 53}d`,
    ],
    expected: /: expected a duration with a unit, such as 500ms, 30s, 15m or 7d|: expected at least/,
  },
  SIZE: {
    good: {
      '4096': 4096,
      '4096B': 4096,
      '64KiB': 65_536,
      '64kib': 65_536,
      '100kB': 100_000,
      '1 MiB': 1 << 20,
      '0.5MiB': 1 << 19,
    },
    bad: [...notBareBytes, ...notNumbers, ...wrongBytes, `${2 ** 53}B`, `${2 ** 53}`],
    expected: /: expected a size in bytes or with a unit, such as 4096, 64MiB or 10GB/,
  },
  PORT: {
    good: { '0': 0, '8400': 8400, '65535': 65_535 },
    bad: [...notWhole, ...notNumbers, '65536', '99999999999999999999'],
    expected: /: expected a port number from 0 to 65535$/,
  },
  N: {
    good: { '1': 1, '99': 99 },
    bad: [...notWhole, ...notNumbers, '99999999999999999999'],
    expected: /: expected a number of [a-z]+(, at least| from)/,
  },
  flag: {
    good: { true: true, false: false },
    bad: ['', ' ', '2', '-1', '30', '1.5', 'null', '~', 'x', '2026-01-31'],
    expected: /: expected true or false$/,
  },
  'HOST:PORT': {
    good: { '127.0.0.1:8401': '127.0.0.1:8401', '[::1]:0': '[::1]:0' },
    bad: ['', '8401', 'a', ':8401', 'a:', 'a:x', 'a:65536', 'a:-1', 'a:1e3', 'a b:1'],
    expected: /: expected HOST:PORT$/,
  },
  ADDRS: {
    good: { 'a:1,b:2': ['a:1', 'b:2'] },
    bad: ['8401', 'a', 'a:65536', 'a:1,b', 'a:1,2'],
    expected: /: expected HOST:PORT/,
  },
  ORIGINS: {
    good: { '*': ['*'], 'https://example.org,http://a:1': ['https://example.org', 'http://a:1'] },
    bad: ['30', 'true', 'example.org'],
    expected: /: expected origins such as/,
  },
  NAMES: {
    good: { 'n1,n2': ['n1', 'n2'], '007': ['007'] },
    bad: ['-1', '.5', 'a b', 'a,b c'],
    expected: /: expected 1 to 128 letters/,
  },
  'HOST[:PORT]': { good: { a: 'a', 'a:1': 'a:1' }, bad: ['', 'a b', 'a:65536', 'a/b'], expected: /: expected HOST or/ },
  HOST: {
    good: { localhost: 'localhost', '127.0.0.1': '127.0.0.1' },
    bad: [''],
    expected: /: expected a host name or an IP address$/,
  },
  DIR: { good: { '30': '30', './a b': './a b' }, bad: [''], expected: /: expected a path$/ },
  FILE: { good: { '007': '007', 'a.pem': 'a.pem' }, bad: [''], expected: /: expected a path$/ },
  KEY: {
    good: { 'AAECAwQFBgcICQoLDA0ODw==': 'AAECAwQFBgcICQoLDA0ODw==' },
    bad: ['', '30', 'AAEC'],
    expected: /: expected 16, 24 or 32 bytes in base64/,
  },
};

/** Options with a set of names of their own. */
const named: Readonly<Record<string, Kind>> = {
  'node-name': {
    good: { n1: 'n1', '007': '007', '1e3': '1e3' },
    bad: ['', '-1', '.5', 'a b'],
    expected: /expected 1 to/,
  },
  'gossip-profile': { good: { wan: 'wan' }, bad: ['', '30', 'LAN'], expected: /: expected one of lan, wan, local$/ },
  'log-level': { good: { warn: 'warn' }, bad: ['', '30', 'null', 'loud'], expected: /: expected one of debug, info/ },
};

function kindOf(name: string): Kind | undefined {
  const { value = 'flag' } = (options as Record<string, ConfigOption>)[name];
  return named[name] ?? kinds[value];
}

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'golog-sources-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

type Source = (name: string, text: string) => unknown;

const inFile = (name: string, line: string): unknown => {
  const path = join(folder, 'golog.yaml');
  writeFileSync(path, `${line}\n`);
  return valueOf(name, new Map(), {}, path);
};

/** The other options that an option asks for, so that its own value is what is looked at. */
function valueOf(name: string, flags: Map<string, unknown>, environment: NodeJS.ProcessEnv, file?: string): unknown {
  const partners = ['server-tls', 'peer-tls'].flatMap((side) => [`${side}-cert-file`, `${side}-key-file`]);
  for (const other of [...partners, 'server-tls-ca-file', 'acl-model-file', 'acl-policy-file'])
    if (other !== name) flags.set(other, 'other');
  if (name !== 'insecure') flags.set('insecure', true);
  if (name !== 'start-join-addrs') flags.set('start-join-addrs', 'other:1');
  return resolveConfig(flags, environment, file)[name as keyof typeof options];
}

/** The number or boolean that has this spelling, or else the text. */
function scalarOf(text: string): unknown {
  if (text === 'true' || text === 'false') return text === 'true';
  return String(Number(text)) === text ? Number(text) : text;
}

const isYamlScalar = (text: string): boolean => /^[\w.+-]+$/.test(text) && !/^(null|\.nan)$/i.test(text);

const sources: Readonly<Record<string, Source>> = {
  'a flag': (name, text) => valueOf(name, new Map([[name, text]]), {}),
  'a variable': (name, text) => valueOf(name, new Map(), { [environmentName(name)]: text }),
  'a file, plain': (name, text) => inFile(name, `${name}: ${isYamlScalar(text) ? text : JSON.stringify(text)}`),
  'a file, in single quotes': (name, text) => inFile(name, `${name}: '${text}'`),
  'a file, JSON': (name, text) => inFile(name, JSON.stringify({ [name]: scalarOf(text) })),
  'a file, through an alias': (name, text) => {
    const holder = name === 'data-dir' ? 'node-name' : 'data-dir';
    const path = join(folder, 'golog.yaml');
    writeFileSync(path, `${holder}: &a ${JSON.stringify(text)}\n${name}: *a\n`);
    return valueOf(name, new Map([[holder, 'other']]), {}, path);
  },
  'a JavaScript value': (name, text) => valueOf(name, new Map([[name, scalarOf(text)]]), {}),
};

it.each(Object.entries<ConfigOption>(options))('this test covers the syntax of --%s', (name, { value }) => {
  expect(kindOf(name)).toBeDefined();
  // An option named after a quantity needs a unit, whatever its placeholder.
  if (/(^|-)(age|timeout|interval|time|delay|period)(-|$)/.test(name)) expect(value).toBe('TIME');
  if (/(^|-)(bytes|size)(-|$)/.test(name)) expect(value).toBe('SIZE');
  // A bare number counts bytes, so the name must say bytes.
  if (value === 'SIZE') expect(name).toMatch(/(^|-)bytes(-|$)/);
});

describe.each(Object.keys(options))('--%s', (name) => {
  const { good, bad, expected } = kindOf(name) ?? { good: {}, bad: [], expected: /never/ };

  it.each(Object.entries(sources))('means the same in %s', (_, valueFrom) => {
    for (const [text, value] of Object.entries(good)) expect([text, valueFrom(name, text)]).toEqual([text, value]);
  });

  it.each(Object.entries(sources))('is refused in %s, and the error says what was expected', (_, valueFrom) => {
    for (const text of bad) {
      const answer = answerOf(() => valueFrom(name, text));
      expect([text, answer]).toEqual([text, expect.stringMatching(expected)]);
      expect(answer).toMatch(/^ConfigError: invalid (--|GOLOG_)?[A-Za-z-_]+( "| in |: )/);
    }
  });

  it.each(['', 'null', '~', '{}', '{a: 1}', '[[1]]', '[null]', '!!null x'])('is refused in a file as %j', (value) => {
    expect(answerOf(() => inFile(name, `${name}: ${value}`))).toMatch(/^ConfigError: .*golog\.yaml: /);
  });

  it('has a default that every source accepts', () => {
    const { initial } = (options as Record<string, ConfigOption>)[name];
    if (initial === undefined || Array.isArray(initial)) return;
    const byDefault = valueOf(name, new Map(), {});
    for (const valueFrom of Object.values(sources)) expect(valueFrom(name, String(initial))).toEqual(byDefault);
  });
});

it('says what is wrong, where, and what was expected', () => {
  const path = join(folder, 'golog.yaml');
  expect(answerOf(() => inFile('retention-age', 'retention-age: 30'))).toBe(
    `ConfigError: invalid retention-age "30" in ${path}: expected a duration with a unit, such as 500ms, 30s, 15m or 7d`,
  );
  expect(answerOf(() => sources['a variable']('dead-member-timeout', '72'))).toBe(
    'ConfigError: invalid GOLOG_DEAD_MEMBER_TIMEOUT "72": ' +
      'expected a duration with a unit, such as 500ms, 30s, 15m or 7d, or never',
  );
  expect(answerOf(() => sources['a flag']('disk-reserve-bytes', '1e3'))).toBe(
    'ConfigError: invalid --disk-reserve-bytes "1e3": expected a size in bytes or with a unit, such as 4096, 64MiB or 10GB',
  );
});

it('accepts 0 bytes and never, which disable the option', () => {
  expect(sources['a file, plain']('disk-reserve-bytes', '0')).toBe(0);
  expect(sources['a file, plain']('disk-reserve-bytes', '0B')).toBe(0);
  expect(sources['a file, plain']('dead-member-timeout', 'never')).toBe(0);
});

it('does not print an invalid gossip key', () => {
  expect(answerOf(() => sources['a flag']('encrypt', 'c2VjcmV0'))).not.toContain('c2VjcmV0');
});

it('accepts a list in a file for list options only', () => {
  expect(inFile('start-join-addrs', 'start-join-addrs: [a:1, &b b:2]')).toEqual(['a:1', 'b:2']);
  expect(inFile('start-join-addrs', 'start-join-addrs:\n  - a:1\n  - "b:2"')).toEqual(['a:1', 'b:2']);
  expect(inFile('start-join-addrs', 'start-join-addrs: []')).toEqual([]);
  for (const name of Object.keys(options)) {
    if (['cors-origins', 'start-join-addrs', 'allowed-node-names'].includes(name)) continue;
    expect(answerOf(() => inFile(name, `${name}: [30s]`))).toMatch(/golog\.yaml: expected /);
  }
});

function answerOf(run: () => unknown): string {
  try {
    return `accepted as ${String(run())}`;
  } catch (error) {
    return error instanceof ConfigError ? `ConfigError: ${error.message}` : `not a ConfigError: ${String(error)}`;
  }
}
