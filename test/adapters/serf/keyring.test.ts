import { mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { answerKeyQuery, isKeyQuery, type KeyChange } from '../../../src/adapters/serf/keys/key-queries.js';
import { KeyringStore } from '../../../src/adapters/serf/keys/keyring-store.js';
import { SerfWire } from '../../../src/adapters/serf/wire/serf-wire.js';
import type { KeyResponse } from '../../../src/domain/gossip/message.js';
import { Keyring, KeyringError, keyText, parseKey } from '../../../src/adapters/serf/keys/keyring.js';
import { readKeyring, writeKeyring } from '../../../src/adapters/serf/keys/keyring-file.js';
import { MalformedGossipError } from '../../../src/domain/gossip/wire.js';

const keyOf = (byte: number, length = 16): Uint8Array => new Uint8Array(length).fill(byte);
const [a, b] = [keyText(keyOf(1)), keyText(keyOf(2, 32))];

describe('a keyring', () => {
  it('rotates: install, use, remove', () => {
    const keyring = new Keyring([a]);
    keyring.install(parseKey(b));
    keyring.install(parseKey(b));
    expect(keyring.keys).toEqual([a, b]);
    expect(() => keyring.remove(parseKey(a))).toThrow(KeyringError);
    keyring.use(parseKey(b));
    expect(keyring.keys).toEqual([b, a]);
    expect(keyring.primary).toEqual(keyOf(2, 32));
    keyring.remove(parseKey(a));
    keyring.remove(parseKey(a));
    expect(keyring.keys).toEqual([b]);
    expect(() => keyring.use(parseKey(a))).toThrow(KeyringError);
    expect(() => keyring.install(keyOf(1, 17))).toThrow(KeyringError);
  });

  it('takes only keys', () => {
    for (const keys of [[], [''], ['AAAA'], [a.slice(0, -1)], [`${a}\n`], [keyText(keyOf(1, 17))]])
      expect(() => new Keyring(keys)).toThrow(MalformedGossipError);
    expect(new Keyring([a, b, a]).keys).toEqual([a, b]);
  });
});

describe('a keyring file', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'golog-keyring-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  it("is Serf's, for its owner alone, and nothing is left beside it", async () => {
    const path = join(directory, 'keys.json');
    expect(await readKeyring(path)).toBeUndefined();
    await writeFile(path, '[]', { mode: 0o644 });
    await writeKeyring(path, new Keyring([b, a]));
    expect(JSON.parse(await readFile(path, 'utf8'))).toEqual([b, a]);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readdir(directory)).toEqual(['keys.json']);
    expect((await readKeyring(path))?.keys).toEqual([b, a]);
  });

  it.each(['', '{}', '[1]', '["x"]', '[]', 'null'])('is refused when it is %p', async (text) => {
    const path = join(directory, 'keys.json');
    await writeFile(path, text);
    await expect(readKeyring(path)).rejects.toBeInstanceOf(MalformedGossipError);
  });
});

describe('a key query', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'golog-keyring-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  const wire = new SerfWire();
  const ask = async (keys: KeyringStore, name: string, key: Uint8Array = new Uint8Array()): Promise<KeyResponse> => {
    expect(isKeyQuery(name)).toBe(true);
    return wire.decodeKeyResponse(await answerKeyQuery({ name, payload: wire.encodeKeyRequest(key) }, wire, keys));
  };

  it('changes the keys and their file', async () => {
    const path = join(directory, 'keys.json');
    const keys = await KeyringStore.open(path, a);
    const done = { result: true, message: '', keys: [], primaryKey: '' };
    expect(await ask(keys, '_serf_install-key', parseKey(b))).toEqual(done);
    expect(await ask(keys, '_serf_list-keys')).toEqual({ ...done, keys: [a, b], primaryKey: a });
    expect((await readKeyring(path))?.keys).toEqual([a, b]);
    expect(await ask(keys, '_serf_use-key', parseKey(b))).toEqual(done);
    expect(await ask(keys, '_serf_remove-key', parseKey(a))).toEqual(done);
    expect((await readKeyring(path))?.keys).toEqual([b]);
    expect((await KeyringStore.open(path, a)).keyring?.keys).toEqual([b]);
  });

  it('is answered with what is in its way', async () => {
    const keys = await KeyringStore.open(undefined, a);
    expect(await ask(keys, '_serf_use-key', parseKey(b))).toMatchObject({
      result: false,
      message: 'requested key is not in the keyring',
    });
    expect(await ask(keys, '_serf_install-key', keyOf(1, 5))).toMatchObject({ result: false });
    const garbled = { name: '_serf_remove-key', payload: Uint8Array.of(1) };
    expect(wire.decodeKeyResponse(await answerKeyQuery(garbled, wire, keys))).toMatchObject({ result: false });
    const plain = await KeyringStore.open(undefined, undefined);
    for (const name of ['_serf_install-key', '_serf_use-key', '_serf_remove-key', '_serf_list-keys'])
      expect((await ask(plain, name)).message).toMatch(/encryption not enabled/);
    expect(isKeyQuery('_serf_ping')).toBe(false);
  });

  it('is reported, whether it was done or not, without the key', async () => {
    const changes: KeyChange[] = [];
    const keys = await KeyringStore.open(undefined, a);
    for (const [name, key] of [
      ['_serf_install-key', parseKey(b)],
      ['_serf_remove-key', parseKey(a)],
      ['_serf_list-keys', keyOf(0, 0)],
    ] as const)
      await answerKeyQuery({ name, payload: wire.encodeKeyRequest(key) }, wire, keys, (change) => changes.push(change));
    expect(changes).toEqual([
      { action: 'install-key', fingerprint: expect.stringMatching(/^[0-9a-f]{16}$/), result: 'done' },
      { action: 'remove-key', fingerprint: expect.any(String), result: expect.stringContaining('primary') },
    ]);
    expect(JSON.stringify(changes)).not.toContain(b);
  });

  it('lists as many keys as an answer holds', async () => {
    const keys = await KeyringStore.open(undefined, a);
    for (let byte = 2; byte < 40; byte++) keys.keyring?.install(keyOf(byte, 32));
    const payload = await answerKeyQuery({ name: '_serf_list-keys', payload: new Uint8Array() }, wire, keys);
    expect(payload.length).toBeLessThan(900);
    expect(wire.decodeKeyResponse(payload)).toMatchObject({ result: true, primaryKey: a });
    expect(wire.decodeKeyResponse(payload).message).toBe('truncated key list response, showing first 15 of 39 keys');
  });

  it('says so when the file cannot be written', async () => {
    const keys = await KeyringStore.open(join(directory, 'folder', '..', 'keys.json'), undefined);
    expect(keys.keyring).toBeUndefined();
    await writeKeyring(join(directory, 'keys.json'), new Keyring([a]));
    const stored = await KeyringStore.open(join(directory, 'keys.json'), undefined);
    await rm(directory, { recursive: true });
    const answer = await ask(stored, '_serf_install-key', parseKey(b));
    expect(answer).toMatchObject({ result: false, message: 'the keyring file could not be written' });
    await mkdir(directory);
  });
});
