import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CasbinPolicy, InvalidPolicyError } from '../../src/adapters/acl/casbin-policy.js';
import { parseConsumeBody, parseOffsetQuery, parseProduceBody } from '../../src/adapters/http/json-input.js';
import { checkNumbersExact, parseStrictJson } from '../../src/adapters/http/strict-json.js';
import { readKeyring } from '../../src/adapters/serf/keys/keyring-file.js';
import { Snapshot } from '../../src/adapters/serf/snapshot.js';
import { systemClock } from '../../src/adapters/clock/system-clock.js';
import { nodeOfUri } from '../../src/adapters/tls/node-uri.js';
import { gossipNodes } from '../../src/application/join/gossip-tags.js';
import { memberNameOrThrow, rpcAddrOrThrow } from '../../src/application/configuration/member-names.js';
import { InvalidInputError } from '../../src/domain/log/errors.js';
import { matchesExpression } from '../../src/domain/gossip/query-filter.js';
import { MalformedGossipError } from '../../src/domain/gossip/wire.js';
import { ConfigError, options, resolveConfig } from '../../src/infrastructure/config.js';
import type { Chance } from '../simulation/chance.js';
import { expectEqual, Refusal, WrongValueError, type Target } from './target.js';

const refusals = [InvalidInputError] as const;
const jsonWords = ['"record":', '"value":', '"headers":{', '"encoding":"base64"', '"offset":', 'null', '[[[[', '{"a":'];
const memberName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/** A temporary folder for decoders of files, removed on exit. */
const folder = mkdtempSync(join(tmpdir(), 'golog-fuzz-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
let files = 0;
/** Memory for the garbage of system calls, whatever was read. */
const filesBytesMax = 16 << 20;

/** Writes the input to a new file, so that concurrent inputs do not collide. */
async function inFile<T>(input: Uint8Array, read: (path: string) => T): Promise<Awaited<T>> {
  const path = join(folder, String((files += 1)));
  writeFileSync(path, input);
  try {
    return await read(path);
  } finally {
    rmSync(path, { force: true });
  }
}

const textOf = (input: Uint8Array): string => Buffer.from(input).toString();

const model = `[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.sub == p.sub && (r.obj == p.obj || p.obj == "*") && r.act == p.act
`;
const policy = 'p, root, *, produce\np, root, *, consume\n# nobody may\np, a, *, observe\n';

const configFile = `node-name: n1
bind-addr: 127.0.0.1:8401
start-join-addrs: [10.0.0.1:8401, 10.0.0.2:8401]
segment-bytes: 64MiB
retention-age: 7d
insecure: true
cors-origins: https://example.org
`;

function configOf(chance: Chance): Uint8Array {
  const lines = configFile.trimEnd().split('\n');
  return Buffer.from(`${chance.shuffled(lines).slice(chance.below(4)).join('\n')}\n`);
}

const consumeOnce = (input: Uint8Array): unknown => {
  const offset = parseConsumeBody(input);
  expectEqual(offset >= 0n && offset < 2n ** 64n, true, 'an offset');
  return offset;
};

/** Checks that the offset is exact: another number would select another record. */
const queryOnce = (input: Uint8Array): unknown => {
  const query = new URLSearchParams(textOf(input));
  const offset = parseOffsetQuery(query);
  if (offset === undefined) return undefined;
  expectEqual(String(offset), query.get('offset')?.replace(/^0+(?=\d)/, ''), 'the offset as it was given');
  return offset;
};

export const textTargets: readonly Target[] = [
  {
    name: 'json-produce',
    valid: (chance) =>
      Buffer.from(
        chance.pick([
          '{"record": {"value": "AA"}}',
          '{"record": {"value": "AAEC", "encoding": "base64", "key": "k", "headers": {"a": "b", "c": {"value": "AA==", "encoding": "base64"}}}}',
        ]),
      ),
    words: jsonWords,
    decode: (input) => {
      const { value, headers } = parseProduceBody(input).record;
      for (const each of [value, ...(headers?.values() ?? [])]) expectEqual(each instanceof Uint8Array, true, 'bytes');
      return [value, headers];
    },
    refusals,
  },
  {
    name: 'json-consume',
    valid: (chance) => Buffer.from(chance.pick(['{"offset": 0}', '{"offset": "18446744073709551615"}'])),
    words: jsonWords,
    decode: consumeOnce,
    refusals,
  },
  {
    name: 'query',
    valid: () => Buffer.from('offset=12'),
    words: ['offset=', '&', '%00', '+'],
    decode: queryOnce,
    refusals,
  },
  {
    name: 'json-numbers',
    valid: () => Buffer.from('{"offset": 9007199254740991, "since": "x", "a": [1e3, -0.5]}'),
    words: jsonWords,
    decode: (input) => {
      const text = textOf(input);
      checkNumbersExact(text);
      JSON.parse(JSON.stringify(parseStrictJson(input)));
      return text;
    },
    refusals,
  },
  {
    name: 'member-name',
    valid: (chance) => Buffer.from(chance.pick(['n1', 'node-1.example.org', 'a'.repeat(128)])),
    words: ['..', '../', '%2e', '.', '-'],
    decode: (input) => {
      const name = memberNameOrThrow(textOf(input));
      if (!memberName.test(name)) throw new WrongValueError(JSON.stringify(name));
      return name;
    },
    refusals,
  },
  {
    name: 'rpc-address',
    valid: (chance) => Buffer.from(chance.pick(['127.0.0.1:8400', '[::1]:8400', 'n1.example.org:1'])),
    words: [':0', ':65536', '[::', '@', 'http://'],
    decode: (input) => rpcAddrOrThrow(textOf(input)),
    refusals,
  },
  {
    name: 'gossip-tags',
    valid: () =>
      Buffer.from(
        'n1|node|01234567-89ab-4cde-8f01-23456789abcd|127.0.0.1:8400|127.0.0.1:4001|01234567-89ab-4cde-8f01-23456789abcd',
      ),
    words: ['|', '../', 'replica', ':8400'],
    decode: (input) => {
      const [name = '', role = '', id = '', rpc = '', http = '', cluster = ''] = textOf(input).split('|');
      const tags = new Map(Object.entries({ role, id, rpc_addr: rpc, http_addr: http, cluster, version: '0' }));
      const [node] = gossipNodes([{ name, addr: '10.0.0.1:8401', status: 'alive', tags }]);
      if (node === undefined) throw new Refusal('not a golog node');
      if (!memberName.test(node.name) || node.rpcAddr.includes('/')) throw new WrongValueError(JSON.stringify(node));
      return node;
    },
    refusals: [],
  },
  {
    name: 'node-uri',
    valid: () => Buffer.from('golog://main/node/n1'),
    words: ['golog://', '/node/', '%2f', '//', '../'],
    decode: (input) => {
      const node = nodeOfUri(textOf(input));
      if (node === undefined) throw new Refusal('no node');
      return node;
    },
    refusals: [],
  },
  {
    name: 'query-filter',
    valid: (chance) => Buffer.from(chance.pick(['^no.*e$|node', 'a.*b.*c.*|abcabcabc', '\\.x|.x'])),
    words: ['.*', '.*.*', '(a+)+$', '^', '$', '|'],
    decode: (input) => {
      const [expression = '', text = ''] = textOf(input).split('|');
      if (!matchesExpression(expression, text)) throw new Refusal('no match');
      return true;
    },
    refusals: [],
    heldBytesForEach: 256,
  },
  {
    name: 'config-file',
    valid: configOf,
    words: [...Object.keys(options).map((name) => `\n${name}: `), '&a [', '*a', '<<: ', '!!js', '|', '? ', '- '],
    decode: (input) => inFile(input, (path) => resolveConfig(new Map(), {}, path)),
    refusals: [ConfigError],
    heldBytesMax: 16 << 20,
  },
  {
    name: 'config-flags',
    valid: (chance) => Buffer.from(chance.pick(['node-name=n1', 'rpc-port=8400', 'encrypt=AAECAwQFBgcICQoLDA0ODw=='])),
    words: Object.keys(options).map((name) => `${name}=`),
    decode: (input) => {
      const [name = '', ...value] = textOf(input).split('=');
      const known = Object.keys(options).find((each) => each === name);
      if (known === undefined) throw new Refusal('no option');
      const config = resolveConfig(new Map([[known, value.join('=')]]), {}, undefined);
      expectEqual(memberName.test(config['node-name']), true, 'a name by the allow-list');
      return config;
    },
    refusals: [ConfigError],
  },
  {
    name: 'policy',
    valid: () => Buffer.from(policy),
    words: ['p, ', 'p2, ', 'g, ', 'root', '*', 'eval(', ',', '\n', '"', '#'],
    decode: async (input) => {
      const parsed = await CasbinPolicy.parse({ model, policy: textOf(input) });
      // No mutation may grant permissions to an unlisted subject.
      const nobody = parsed.decide('nobody at all', '*', 'admin');
      expectEqual(nobody.allowed, false, 'nobody may');
      return parsed;
    },
    refusals: [InvalidPolicyError],
    heldBytesMax: 16 << 20,
  },
  {
    name: 'acl-model',
    valid: () => Buffer.from(model),
    words: ['[matchers]', 'm = ', 'r.sub', 'p.sub', '==', '&&', '||', 'regexMatch(', 'eval(', 'g(', 'keyMatch(', '\n'],
    decode: (input) => CasbinPolicy.parse({ model: textOf(input), policy }),
    refusals: [InvalidPolicyError],
    heldBytesMax: 16 << 20,
  },
  {
    name: 'keyring-file',
    valid: () => Buffer.from('["AAECAwQFBgcICQoLDA0ODw==", "EBESExQVFhcYGRobHB0eHw=="]'),
    words: ['"AAECAwQFBgcICQoLDA0ODw=="', 'null', '{', '1'],
    decode: async (input) => (await inFile(input, readKeyring))?.secrets,
    refusals: [MalformedGossipError],
    heldBytesMax: filesBytesMax,
  },
  {
    name: 'serf-snapshot',
    valid: () => Buffer.from('alive: n1 10.0.0.1:7946\nclock: 9\nevent-clock: 3\nquery-clock: 1\nnot-alive: n2\n'),
    words: ['alive: ', 'clock: ', 'leave', '\n', ' '],
    decode: (input) =>
      inFile(input, async (path) => {
        const snapshot = await Snapshot.open(path, systemClock, (error) => {
          throw error;
        });
        await snapshot.close();
        for (const time of Object.values(snapshot.times)) expectEqual(Number.isSafeInteger(time), true, 'a time');
        if (snapshot.alive.size === 0) throw new Refusal('nobody');
        return snapshot;
      }),
    refusals: [],
    heldBytesMax: filesBytesMax,
  },
];
