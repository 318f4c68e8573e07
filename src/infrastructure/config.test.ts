import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  advertisedAddr,
  advertisedGossipAddr,
  advertisedHttpAddr,
  type Config,
  ConfigError,
  resolveConfig,
  rpcHost,
} from './config.js';

const nothing = new Map<string, unknown>();
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'golog-config-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

function file(text: string): string {
  const path = join(folder, 'golog.yaml');
  writeFileSync(path, text);
  return path;
}

function errorOf(run: () => Config): string {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).message;
  }
  throw new Error('expected a ConfigError');
}

describe('resolveConfig', () => {
  it('has defaults for a laptop: loopback, the two ports, one data directory', () => {
    const config = resolveConfig(nothing, {}, undefined);
    expect(config['data-dir']).toBe('./golog-data');
    expect(rpcHost(config)).toBe('127.0.0.1');
    expect([config['rpc-port'], config['http-port']]).toEqual([8400, 4001]);
    expect(config['retention-age']).toBeUndefined();
  });

  it('prefers the flag to the environment, the environment to the file, and the file to the default', () => {
    const path = file('http-port: 1\nrpc-port: 1\nlog-level: warn\n');
    const config = resolveConfig(new Map([['http-port', '3']]), { GOLOG_HTTP_PORT: '2', GOLOG_RPC_PORT: '2' }, path);
    expect([config['http-port'], config['rpc-port'], config['log-level']]).toEqual([3, 2, 'warn']);
  });

  it('reads sizes and times with units', () => {
    const config = resolveConfig(nothing, {}, file('segment-bytes: 64MiB\nretention-bytes: 10GB\nretention-age: 7d\n'));
    expect(config['segment-bytes']).toBe(64 * 1024 * 1024);
    expect(config['retention-bytes']).toBe(10_000_000_000);
    expect(config['retention-age']).toBe(7 * 86_400_000);
  });

  it('suggests the nearest name for an unknown one, in the file and in the environment', () => {
    expect(errorOf(() => resolveConfig(nothing, {}, file('data-dri: /tmp\n')))).toMatch(
      /"data-dri"; did you mean data-dir\?/,
    );
    expect(errorOf(() => resolveConfig(nothing, { GOLOG_HTP_PORT: '1' }, undefined))).toMatch(
      /GOLOG_HTP_PORT; did you mean GOLOG_HTTP_PORT\?/,
    );
  });

  it('F16: passes over the variables that Kubernetes sets for Services named golog, or golog-…', () => {
    const environment = {
      GOLOG_SERVICE_HOST: '10.0.0.1',
      GOLOG_PORT: 'tcp://10.0.0.1:8400',
      GOLOG_PORT_8400_TCP: 'x',
      GOLOG_CLIENT_SERVICE_HOST: '10.0.0.1',
      GOLOG_CLIENT_SERVICE_PORT_GRPC: '8400',
      GOLOG_CLIENT_PORT: 'tcp://10.0.0.1:8400',
      GOLOG_CLIENT_PORT_8401_UDP_ADDR: '10.0.0.1',
      GOLOG_HTTP_PORT: 'tcp://10.0.0.1:80',
      GOLOG_HTTP_PORT_80_TCP_PROTO: 'tcp',
      GOLOG_RPC_PORT: 'udp://[fd00::1]:80',
    };
    const config = resolveConfig(nothing, environment, file('http-port: 4002\n'));
    expect([config['rpc-port'], config['http-port']]).toEqual([8400, 4002]);
    expect(errorOf(() => resolveConfig(nothing, { GOLOG_CLIENT_PORT: '8400' }, undefined))).toMatch(/unknown env/);
    expect(errorOf(() => resolveConfig(nothing, { GOLOG_HTTP_PORT: 'tcp' }, undefined))).toMatch(
      /GOLOG_HTTP_PORT "tcp"/,
    );
  });

  it.each(['a:1, b:2', ' a:1 ,b:2,', '\ta:1,\nb:2'])('F19: trims the parts of the list %j', (text) => {
    expect(resolveConfig(new Map([['start-join-addrs', text]]), {}, undefined)['start-join-addrs']).toEqual([
      'a:1',
      'b:2',
    ]);
    expect(resolveConfig(nothing, {}, file('cors-origins: ["https://a ", " https://b"]\n'))['cors-origins']).toEqual([
      'https://a',
      'https://b',
    ]);
  });

  const loopback = [
    '::1',
    '[::1]',
    '[0:0:0:0:0:0:0:1]',
    '127.1',
    '::ffff:127.0.0.1',
    'LocalHost',
    'localhost.',
    '127.9.9.9',
  ];
  it.each(loopback)('F18: listens on %s, which is loopback', (host) => {
    const config = resolveConfig(new Map([['http-addr', host]]), {}, undefined);
    expect(config['http-addr']).toMatch(/^(::1|127\.\d+\.\d+\.\d+|localhost)$/);
    const bindAddr = `${host.includes(':') && !host.startsWith('[') ? `[${host}]` : host}:8401`;
    expect(rpcHost(resolveConfig(new Map([['bind-addr', bindAddr]]), {}, undefined))).toBe(config['http-addr']);
  });

  it.each([
    '0.0.0.0',
    '::',
    '[::]',
    '0',
    '0::0',
    '[::ffff:0.0.0.0]',
    '10.1',
    '[fe80::1%eth0]',
    '127.0.0.1.example.org',
  ])('F18: does not listen on %s without TLS', (host) => {
    expect(errorOf(() => resolveConfig(new Map([['http-addr', host]]), {}, undefined))).toMatch(/not a loopback/);
  });

  it.each(['[::1', '::1]', '[127.0.0.1]', 'a b', 'a/b', '1:2', '256.1.1.1', 'a@b'])(
    'F18: refuses the host %j',
    (host) => {
      expect(errorOf(() => resolveConfig(new Map([['http-addr', host]]), {}, undefined))).toMatch(/expected a host/);
    },
  );

  it.each(['0.0.0.0:8401', '[::]:8401', '0:8401'])('F17: tells peers an address of this machine for %s', (bindAddr) => {
    const flags = new Map<string, unknown>([
      ['bind-addr', bindAddr],
      ['http-addr', '::'],
      ['insecure', true],
    ]);
    const config = resolveConfig(flags, {}, undefined);
    const addresses = [advertisedAddr(config, 1), advertisedGossipAddr(config), advertisedHttpAddr(config, 3)];
    const [host] = addresses.map((address) => address?.replace(/:\d+$/, ''));
    expect(addresses).toEqual([`${host}:1`, `${host}:0`, `${host}:3`]);
    expect(isIP(host!.replace(/[[\]]/g, ''))).not.toBe(0);
    expect(host).not.toMatch(/^(0\.0\.0\.0|\[::\])$/);
    const given = resolveConfig(flags.set('advertise-addr', '[fd00::5]'), {}, undefined);
    expect(advertisedHttpAddr(given, 3)).toBe('[fd00::5]:3');
    for (const nowhere of ['0.0.0.0', '[::]:8400'])
      expect(errorOf(() => resolveConfig(flags.set('advertise-addr', nowhere), {}, undefined))).toMatch(
        /expected HOST/,
      );
  });

  it.each([
    ['http-port', '70000', /--http-port "70000": expected .*65535/],
    ['http-port', '-1', /--http-port "-1": expected a port number from 0 to 65535/],
    ['http-port', '1.5', /--http-port/],
    ['data-dir', '', /--data-dir "": expected a path/],
    ['segment-bytes', '4GiB', /--segment-bytes "4GiB": expected at most 1GiB/],
    ['cors-origins', 'foo', /--cors-origins "foo": expected origins/],
    ['http-port', 'x', /--http-port/],
    ['http-port', '', /--http-port/],
    ['retention-age', '7 fortnights', /--retention-age "7 fortnights": expected a duration/],
    ['segment-bytes', '-1', /--segment-bytes "-1": expected a size/],
    ['node-name', '../etc', /--node-name "\.\.\/etc": expected 1 to 128 letters/],
    ['bind-addr', 'localhost', /--bind-addr "localhost": expected HOST:PORT/],
    ['log-level', 'loud', /--log-level/],
  ])('refuses --%s %j and says what was expected', (name, value, message) => {
    expect(errorOf(() => resolveConfig(new Map([[name, value]]), {}, undefined))).toMatch(message);
  });

  it('refuses to listen on non-loopback addresses without TLS, unless --insecure is given', () => {
    const flags = new Map<string, unknown>([['http-addr', '0.0.0.0']]);
    expect(errorOf(() => resolveConfig(flags, {}, undefined))).toMatch(
      /--http-addr 0\.0\.0\.0 is not a loopback address/,
    );
    expect(resolveConfig(flags.set('insecure', true), {}, undefined)['http-addr']).toBe('0.0.0.0');
    expect(errorOf(() => resolveConfig(new Map([['bind-addr', '10.0.0.1:8401']]), {}, undefined))).toMatch(
      /--rpc-addr/,
    );
  });

  it('refuses a file that is not a mapping or not YAML, and names it', () => {
    expect(errorOf(() => resolveConfig(nothing, {}, file('- a\n')))).toMatch(/golog\.yaml: expected "name: value"/);
    expect(errorOf(() => resolveConfig(nothing, {}, file('a: [\n')))).toMatch(/golog\.yaml: .*at line 2, column 1$/);
    const tagged = 'rpc-port: 8400\nnode-name: !n1\n';
    expect(errorOf(() => resolveConfig(nothing, {}, file(tagged)))).toMatch(
      /Unresolved tag: !n1 at line 2, column 12$/,
    );
    const endless = `node-name: n1\n${'#'.repeat(1 << 20)}`;
    expect(errorOf(() => resolveConfig(nothing, {}, file(endless)))).toMatch(/golog\.yaml: it has more than 65536/);
    expect(errorOf(() => resolveConfig(nothing, {}, join(folder, 'absent.yaml')))).toMatch(/absent\.yaml.*ENOENT/);
  });
});
